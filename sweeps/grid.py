"""Grids: overrides in Hydra's grammar to the configurations of a sweep, one a cell."""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep

from sweeps.config import PlannedCell, describe

SWEPT = ("model", "category", "pair", "seed", "edit", "sampler", "cycle")
"""What a cell depends on, and so what can be an axis."""

Compose = Callable[[list[str]], Mapping[str, Any]]
"""Overrides to a composed configuration as plain values; unknown keys raise."""


@dataclass(frozen=True)
class Axis:
    """A swept key: its values as overrides (`texts`) and, for a key that is no config group, as plain values."""

    key: str
    texts: tuple[str, ...]
    is_group: bool

    def values(self) -> list[Any]:
        """The plain values, floats from exact decimals."""
        parser = OverridesParser.create()
        return [parser.parse_override(f"{self.key}={text}").value() for text in self.texts]


@dataclass(frozen=True)
class Grid:
    """Overrides split into what is fixed and what is swept."""

    fixed: tuple[str, ...]
    axes: tuple[Axis, ...]

    def __len__(self) -> int:
        total = 1
        for axis in self.axes:
            total *= len(axis.texts)
        return total


def parse_grid(arguments: Sequence[str], params: Mapping[str, Any] | None, is_group: Callable[[str], bool]) -> Grid:
    """Split command-line overrides and an experiment's `params` into fixed overrides and axes.

    A key on the command line replaces the experiment's axis of that name.

    Raises:
        hydra.errors.OverrideParseException: an override is not in Hydra's grammar.
        ValueError: an axis cannot be enumerated, is given twice, or is none of a cell.
    """
    parser = OverridesParser.create()
    given = parser.parse_overrides(list(arguments))
    keys = [override.key_or_group for override in given]
    own = parser.parse_overrides([f"{key}={value}" for key, value in (params or {}).items()])
    overrides = [override for override in own if override.key_or_group not in keys] + given
    axes = tuple(_axis(override, is_group) for override in overrides if override.is_sweep_override())
    fixed_only = [axis.key for axis in axes if axis.key.split(".")[0] not in SWEPT]
    if fixed_only:
        raise ValueError(f"{', '.join(fixed_only)} cannot be swept; can be: {', '.join(SWEPT)}")
    twice = sorted({axis.key for axis in axes if sum(axis.key == other.key for other in axes) > 1})
    if twice:
        raise ValueError(f"swept twice: {', '.join(twice)}; give every axis once")
    fixed = tuple(str(override.input_line) for override in overrides if not override.is_sweep_override())
    return Grid(fixed, axes)


def configurations(grid: Grid, compose: Compose) -> Iterator[tuple[dict[str, Any], Mapping[str, Any]]]:
    """Each cell's axis values and composed configuration.

    Hydra composes once per combination of config groups; the values of other axes are put in place directly.
    """
    groups = [axis for axis in grid.axes if axis.is_group]
    plain = [axis for axis in grid.axes if not axis.is_group]
    plain_values = [axis.values() for axis in plain]
    for choice in itertools.product(*(axis.texts for axis in groups)):
        chosen = [f"{axis.key}={text}" for axis, text in zip(groups, choice, strict=True)]
        first = [f"{axis.key}={axis.texts[0]}" for axis in plain]
        base = compose([*grid.fixed, *chosen, *first])
        for values in itertools.product(*plain_values):
            config = copy.deepcopy(dict(base))
            for axis, value in zip(plain, values, strict=True):
                _put(config, axis.key, value)
            named = zip([axis.key for axis in groups + plain], [*choice, *values], strict=True)
            yield dict(named), config


def build_cells(grid: Grid, compose: Compose, build: Callable[[Mapping[str, Any]], PlannedCell]) -> list[PlannedCell]:
    """Every cell of a grid, checked; cells that draw the same pixels once.

    Raises:
        ValueError: a cell is wrong; the message names it.
        FileNotFoundError: a cell's model or file is not there.
    """
    cells: dict[str, PlannedCell] = {}
    for axis_values, config in configurations(grid, compose):
        try:
            planned = build(config)
        except ValueError as error:
            where = f" (cell {describe(axis_values)})" if axis_values else ""
            raise ValueError(f"{error}{where}") from error
        cells.setdefault(planned.cell.cell_id, planned)
    return list(cells.values())


def _axis(override: Override, is_group: Callable[[str], bool]) -> Axis:
    key = override.key_or_group
    if not override.is_discrete_sweep():
        raise ValueError(f"{key}: an interval has no points to sweep; give choices or a range")
    value = override.value()
    texts = _range_texts(value) if isinstance(value, RangeSweep) else override.sweep_string_iterator()
    return Axis(key, tuple(dict.fromkeys(texts)), is_group(key))


def _range_texts(value: RangeSweep) -> list[str]:
    """The points of `range(start, stop, step)` in exact decimals; Hydra's own drift at seven tenths."""
    start, stop, step = (Decimal(str(x)) for x in (value.start or 0, value.stop, value.step))
    return [str(start + i * step) for i in range(math.ceil((stop - start) / step))]


def _put(config: dict[str, Any], key: str, value: Any) -> None:
    *path, last = key.split(".")
    for name in path:
        config = config[name]
    config[last] = value
