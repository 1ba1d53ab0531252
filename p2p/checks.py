"""What settings may be: each check names the setting, what is allowed and what was given."""

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from typing import Any


def check_keys(name: str, values: Mapping[str, Any], schema: type) -> None:
    """Raise ValueError if `values` has a key that is no field of the dataclass `schema`."""
    known = [f.name for f in dataclasses.fields(schema)]
    for key in values:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"; did you mean {name}.{close[0]}?" if close else ""
            raise ValueError(f"unknown key {name}.{key}{hint} Known: {', '.join(known)}")


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raise ValueError unless the value is one of the allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


def check_flag(name: str, value: Any) -> None:
    """Raise ValueError unless the value is true or false; 0 and 1 are neither."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be true or false, got {value!r}")


def check_whole(name: str, value: Any, least: int, most: int | None = None) -> int:
    """The value, a whole number.

    Raises:
        ValueError: it is none, below `least`, or above `most` if that is given.
    """
    whole = isinstance(value, int) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        allowed = f", at least {least}" if most is None else f" from {least} to {most}"
        raise ValueError(f"{name} must be a whole number{allowed}, got {value!r}")
    return int(value)


def check_number(name: str, value: Any) -> float:
    """The value, whole or not, as a float.

    Raises:
        ValueError: it is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} must be a number, got {value!r}")
    return float(value)
