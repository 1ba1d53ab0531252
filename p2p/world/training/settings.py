"""Stage settings: YAML into frozen dataclasses, unknown and missing keys refused."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import yaml

T = TypeVar("T")


def read_settings(kind: type[T], path: Path) -> T:
    """The settings of one stage."""
    return _build(kind, yaml.safe_load(path.read_text()), str(path))


def _build(kind: type[T], values: Mapping[str, Any], where: str) -> T:
    hints = get_type_hints(kind)
    unknown = sorted(set(values) - set(hints))
    if unknown:
        raise ValueError(f"{where} has unknown keys {', '.join(unknown)}; known are {', '.join(hints)}")
    built = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            built[name] = _build(hints[name], value, f"{where}:{name}")
        else:
            built[name] = tuple(value) if isinstance(value, list) else value
    return kind(**built)
