"""The axes of a sweep, from overrides in Hydra's grammar and from an experiment's `hydra.sweeper`.

A grid is a union of parts. A part is a product of dimensions; a dimension is an axis, or several that are zipped.
"""

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override, RangeSweep

from sweeps.pairs import is_pattern

SWEPT = ("model", "category", "pair", "seed", "edit", "sampler", "cycle")
"""What a cell depends on, and so what can be an axis."""

Options = Callable[[str], Sequence[str]]
"""The options of a config group; none for a key that is no group."""

_COMMAND = "the command line"
_PARAMS, _ZIP, _UNION = "hydra.sweeper.params", "hydra.sweeper.zip", "hydra.sweeper.union"


@dataclass(frozen=True)
class Axis:
    """A swept key.

    Attributes:
        key: the key or config group.
        texts: its values as overrides.
        is_group: whether it is a config group.
        place: where it is given, for messages.
    """

    key: str
    texts: tuple[str, ...]
    is_group: bool
    place: str = _COMMAND

    def values(self) -> list[Any]:
        """The plain values, floats from exact decimals; of a config group its options."""
        if self.is_group:
            return list(self.texts)
        parser = OverridesParser.create()
        return [text if is_pattern(text) else _value(parser, self.key, text) for text in self.texts]


Dimension = tuple[Axis, ...]
"""An axis, or axes of equally many values that advance together."""
Part = tuple[Dimension, ...]
"""Dimensions to multiply."""


@dataclass(frozen=True)
class Grid:
    """What is fixed, as overrides, and the parts that are swept one after the other."""

    fixed: tuple[str, ...]
    parts: tuple[Part, ...]

    def __len__(self) -> int:
        return sum(math.prod(len(dimension[0].texts) for dimension in part) for part in self.parts)


def parse_grid(
    arguments: Sequence[str],
    options: Options,
    params: Mapping[str, Any] | None = None,
    zips: Sequence[Mapping[str, Any]] | None = None,
    union: Sequence[Mapping[str, Any]] | None = None,
) -> Grid:
    """The grid of command-line overrides and of an experiment's `hydra.sweeper`.

    A key on the command line replaces the experiment's axis of that name wherever it stands.

    Args:
        arguments: overrides, fixed or swept.
        options: the options of a config group.
        params: axes and fixed overrides of every part.
        zips: mappings of keys that advance together, in every part.
        union: the parts, each a mapping of its own axes; its key `zip` is a list like `zips`.

    Raises:
        hydra.errors.OverrideParseException: an override is not in Hydra's grammar.
        ValueError: an axis cannot be enumerated, is given twice, is none of a cell, or does not fit its zip.
    """
    given = OverridesParser.create().parse_overrides(list(arguments))
    reader = _Reader(options, frozenset(override.key_or_group for override in given))
    own = reader.overrides(params, _PARAMS)
    swept = [(reader.axis(override, _PARAMS),) for override in own if override.is_sweep_override()]
    command = [(reader.axis(override, _COMMAND),) for override in given if override.is_sweep_override()]
    common = [*swept, *reader.zips(zips, _ZIP)]
    members = _list(union, _UNION) or [{}]
    parts = [(*common, *reader.part(member, f"{_UNION}[{i}]"), *command) for i, member in enumerate(members)]
    places = [(override, _PARAMS) for override in own] + [(override, _COMMAND) for override in given]
    fixed = {o.key_or_group: place for o, place in places if not o.is_sweep_override()}
    for part in parts:
        _check_keys(list(itertools.chain.from_iterable(part)), fixed)
    return Grid(tuple(str(o.input_line) for o, _ in places if not o.is_sweep_override()), tuple(parts))


@dataclass(frozen=True)
class _Reader:
    """Reads an experiment's axes; those of keys `given` on the command line drop out."""

    options: Options
    given: frozenset[str]

    def overrides(self, values: Any, place: str) -> list[Override]:
        """A mapping of keys to values as overrides."""
        if values is not None and not isinstance(values, Mapping):
            raise ValueError(f"{place} must be a mapping such as {{edit.k: '0.0,0.3', seed: '0,1'}}, got {values!r}")
        lines = [f"{key}={_text(value)}" for key, value in (values or {}).items() if key not in self.given]
        return OverridesParser.create().parse_overrides(lines)

    def part(self, member: Any, place: str) -> list[Dimension]:
        """The dimensions of one member of a union; a fixed value is an axis of one."""
        plain = {key: value for key, value in member.items() if key != "zip"} if isinstance(member, Mapping) else member
        axes = [(self.axis(override, place),) for override in self.overrides(plain, place)]
        return axes + (self.zips(member.get("zip"), f"{place}.zip") if member else [])

    def zips(self, zips: Any, place: str) -> list[Dimension]:
        """One dimension for each mapping of keys that advance together."""
        found = [self._zip(values, f"{place}[{i}]") for i, values in enumerate(_list(zips, place))]
        return [dimension for dimension in found if dimension]

    def _zip(self, values: Any, place: str) -> Dimension:
        axes = [self.axis(override, place, is_zipped=True) for override in self.overrides(values, place)]
        replaced = [key for key in values or {} if key in self.given]
        if axes and replaced:
            raise ValueError(
                f"{', '.join(replaced)} advances together with {', '.join(axis.key for axis in axes)} in {place}; "
                "give all of them on the command line, or none"
            )
        if len({len(axis.texts) for axis in axes}) > 1:
            lengths = ", ".join(f"{axis.key} has {len(axis.texts)}" for axis in axes)
            raise ValueError(f"{place}: keys that advance together need equally many values; {lengths}")
        return tuple(axes)

    def axis(self, override: Override, place: str, is_zipped: bool = False) -> Axis:
        """An override as an axis; zipped values may come twice."""
        key = override.key_or_group
        if key.split(".")[0] not in SWEPT:
            raise ValueError(f"{key} cannot be swept; can be: {', '.join(SWEPT)}")
        known = self.options(key)
        texts = _texts(override, known)
        if not texts:
            among = f"; its options are {', '.join(known)}" if known else ""
            raise ValueError(f"{override.input_line} has no values{among}")
        return Axis(key, tuple(texts if is_zipped else dict.fromkeys(texts)), bool(known), place)


def _check_keys(axes: Sequence[Axis], fixed: Mapping[str, str]) -> None:
    """Raise ValueError if a part has an axis twice, or one for a key that is fixed."""
    places = dict(fixed)
    for axis in axes:
        if axis.key in places:
            both = " and ".join(dict.fromkeys((places[axis.key], axis.place)))
            raise ValueError(f"given twice: {axis.key}, in {both}; give every axis once")
        places[axis.key] = axis.place


def _list(values: Any, place: str) -> list[Any]:
    if values is not None and (isinstance(values, str | Mapping) or not isinstance(values, Sequence)):
        raise ValueError(f"{place} must be a list of mappings such as [{{edit.k: '0.0,0.3'}}], got {values!r}")
    return list(values or [])


def _texts(override: Override, options: Sequence[str]) -> list[str]:
    """The values of an override, as overrides."""
    key, value = override.key_or_group, override.value()
    if not override.is_sweep_override():
        return [override.get_value_string()]
    if isinstance(value, Glob):
        if key == "pair":  # which pairs there are is told by each cell's category and model
            return [str(override.input_line).split("=", 1)[1].strip()]
        if not options:
            raise ValueError(
                f"{key}: glob chooses among the options of a config group, which {key} is not; list values"
            )
        return value.filter(list(options))
    if isinstance(value, RangeSweep):
        return _range_texts(key, value)
    if not override.is_discrete_sweep():
        raise ValueError(f"{key}: an interval has no points to sweep; give choices or a range")
    return list(override.sweep_string_iterator())


def _range_texts(key: str, value: RangeSweep) -> list[str]:
    """The points of `range(start, stop, step)` in exact decimals; Hydra's own drift at seven tenths."""
    start, stop, step = (Decimal(str(x)) for x in (value.start or 0, value.stop, value.step))
    if not step:
        raise ValueError(f"{key}: a range needs a step other than 0")
    return [str(start + i * step) for i in range(math.ceil((stop - start) / step))]


def _text(value: Any) -> str:
    """A value of a YAML file in Hydra's grammar; texts are in it already."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_text(inner) for inner in value) + "]"
    return str(value)


def _value(parser: OverridesParser, key: str, text: str) -> Any:
    """A value as Hydra reads it; plain numbers without its parser, which takes a millisecond."""
    if re.fullmatch(r"-?(0|[1-9]\d*)(\.\d+)?", text):
        return float(text) if "." in text else int(text)
    return parser.parse_override(f"{key}={text}").value()
