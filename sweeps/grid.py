"""From a grid to its cells."""

import difflib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from sweeps.axes import Dimension, Grid, Part
from sweeps.config import PlannedCell, describe

Compose = Callable[[list[str]], Mapping[str, Any]]
"""Overrides to a composed configuration as plain values, interpolations (`${...}`) left; unknown keys raise."""


@dataclass(frozen=True, eq=False)
class Setting:
    """One value of an axis: as an override, and as a plain value."""

    key: str
    text: str
    value: Any
    is_group: bool

    @property
    def section(self) -> str:
        """The first name of a key."""
        return self.key.split(".")[0]


Point = tuple[Setting, ...]
"""One value of a dimension: a setting, or one for each of the zipped axes."""


def build_cells(
    grid: Grid,
    compose: Compose,
    build: Callable[[Mapping[str, Any]], PlannedCell],
    expand: Callable[[Mapping[str, Any]], Sequence[Mapping[str, Any]]] = lambda config: (config,),
) -> list[PlannedCell]:
    """Every cell of a grid, checked; cells that draw the same pixels once.

    Args:
        grid: what is swept.
        compose: gives a configuration.
        build: makes a cell of one.
        expand: the configurations that one stands for (`pair='glob(*)'`).

    Raises:
        ValueError: a key is unknown or a cell is wrong; the message names it.
        FileNotFoundError: a cell's model or file is not there.
    """
    cells: dict[str, PlannedCell] = {}
    for points, config in configurations(grid, compose):
        try:
            for planned in map(build, expand(config)):
                cells.setdefault(planned.cell.cell_id, planned)
        except ValueError as error:
            where = f" (cell {describe(axis_values(points))})" if points else ""
            raise ValueError(f"{error}{where}") from error
    return list(cells.values())


def configurations(grid: Grid, compose: Compose) -> Iterator[tuple[tuple[Point, ...], Mapping[str, Any]]]:
    """Each cell's point and composed configuration.

    Hydra composes once per combination of config groups; the values of other axes are put in place directly.
    Configurations share equal sections (`config["edit"]`, ...) as one object: change none.
    """
    composer = _Composer(grid.fixed, compose)
    for part in grid.parts:
        yield from composer.configurations(part)


def axis_values(points: tuple[Point, ...]) -> dict[str, Any]:
    """The values of a cell's axes by key."""
    return {setting.key: setting.value for setting in itertools.chain.from_iterable(points)}


class _Composer:
    """Puts configurations together from sections that they share."""

    def __init__(self, fixed: tuple[str, ...], compose: Compose):
        self._fixed, self._compose = fixed, compose
        self._points: dict[Dimension, list[Point]] = {}
        self._bases: dict[tuple[Point, ...], Mapping[str, Any]] = {}
        self._sections: dict[tuple[Any, ...], Any] = {}
        self._equal: dict[str, Any] = {}
        self._interpolates = False

    def configurations(self, part: Part) -> Iterator[tuple[tuple[Point, ...], Mapping[str, Any]]]:
        """Those of one part of a grid."""
        dimensions = [self._points_of(dimension) for dimension in part]
        groups = [d for d, points in enumerate(dimensions) if any(s.is_group for s in points[0])]
        plain: dict[str, list[int]] = {}
        for d, points in enumerate(dimensions):
            for section in dict.fromkeys(s.section for s in points[0] if not s.is_group):
                plain.setdefault(section, []).append(d)
        for point in itertools.product(*dimensions):
            config = dict(self._base(tuple([point[d] for d in groups])))
            for section, places in plain.items():
                config[section] = self._section(config, section, tuple([point[d] for d in places]))
            yield point, self._resolved(config) if self._interpolates else config

    def _points_of(self, dimension: Dimension) -> list[Point]:
        if dimension not in self._points:
            columns = [
                [Setting(a.key, *pair, a.is_group) for pair in zip(a.texts, a.values(), strict=True)] for a in dimension
            ]
            self._points[dimension] = list(zip(*columns, strict=True))
            self._interpolates |= any("${" in text for axis in dimension for text in axis.texts)
        return self._points[dimension]

    def _base(self, points: tuple[Point, ...]) -> Mapping[str, Any]:
        """The composed configuration of a choice of config groups."""
        found = self._bases.get(points)
        if found is None:
            settings = itertools.chain.from_iterable(points)
            chosen = [f"{setting.key}={setting.text}" for setting in settings if setting.is_group]
            found = self._bases[points] = self._shared(self._compose([*self._fixed, *chosen]))
            self._interpolates |= "${" in repr(found)
        return found

    def _section(self, config: Mapping[str, Any], name: str, points: tuple[Point, ...]) -> Any:
        """A section with the values of its axes."""
        base = config.get(name)
        key = (name, id(base), points)
        if key not in self._sections:
            values: Any = config
            for setting in itertools.chain.from_iterable(points):
                if setting.section == name and not setting.is_group:
                    values = _put(values, setting.key, setting.key.split("."), setting.value)
            self._sections[key] = values[name]
        return self._sections[key]

    def _resolved(self, config: Mapping[str, Any]) -> Mapping[str, Any]:
        values: Any = OmegaConf.to_container(OmegaConf.create(dict(config)), resolve=True)
        return self._shared(values)

    def _shared(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration whose sections are the first ones that were equal to them."""
        return {name: self._equal.setdefault(repr(section), section) for name, section in config.items()}


def _put(values: Any, key: str, path: list[str], value: Any) -> Any:
    """A copy of nested mappings with another value at a path; what does not lie on the path is shared.

    Raises:
        ValueError: the path is not there.
    """
    if not path:
        return value
    if not isinstance(values, Mapping) or path[0] not in values:
        raise _unknown(values, key, path)
    return {**values, path[0]: _put(values[path[0]], key, path[1:], value)}


def _unknown(values: Any, key: str, path: list[str]) -> ValueError:
    above = key.removesuffix(".".join(path))
    if not isinstance(values, Mapping):
        name = above.removesuffix(".")
        example = f"{name}={{{path[-1]}: ...}},..."
        return ValueError(f"unknown key {key}: {name} is {json.dumps(values)}; sweep all of it, as {example}")
    close = difflib.get_close_matches(path[0], list(values), n=1)
    hint = f"did you mean {above}{close[0]}? " if close else ""
    return ValueError(f"unknown key {key}; {hint}Known: {', '.join(f'{above}{name}' for name in values)}")
