"""Prompt pairs: of a category's configuration, or of the user's own file."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from p2p.edits import Kind, check_keys


@dataclass(frozen=True)
class Pair:
    """A prompt pair of a category: what is edited into what, and the words that carry it."""

    name: str
    source: str
    target: str
    kind: Kind | Literal["auto"] = "auto"
    source_words: tuple[str, ...] | None = None
    target_words: tuple[str, ...] | None = None
    equalizer: Mapping[str, float] = field(default_factory=dict)


def load_pairs(category: Mapping[str, Any]) -> list[Pair]:
    """The prompt pairs of a category's configuration, or of the user's own file `category.file`.

    Raises:
        ValueError: the file or a pair is malformed.
        FileNotFoundError: there is no such file.
    """
    rows, where = category["pairs"], f"conf/category/{category['name']}.yaml"
    if category.get("file"):
        where = str(category["file"])
        rows = _read_pairs(Path(where).expanduser())
    pairs = [_pair(row, f"{where}, pair {i}") for i, row in enumerate(rows)]
    names = [pair.name for pair in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not pairs or twice:
        raise ValueError(f"{where}: " + (f"pair names must differ, twice: {', '.join(twice)}" if twice else "no pairs"))
    return pairs


def choose_pair(category: str, pairs: list[Pair], choice: int | str) -> Pair:
    """A pair by index or name.

    Raises:
        ValueError: no such pair; the message lists the pairs.
    """
    for i, pair in enumerate(pairs):
        if choice in (i, pair.name) and not isinstance(choice, bool):
            return pair
    close = difflib.get_close_matches(str(choice), [pair.name for pair in pairs], n=1)
    raise ValueError(
        f"pair={choice}: {category} has pairs 0 to {len(pairs) - 1}: {', '.join(pair.name for pair in pairs)}"
        + (f"; did you mean {close[0]}?" if close else "")
    )


def _pair(row: Any, where: str) -> Pair:
    if not isinstance(row, Mapping):
        raise ValueError(f"{where}: a pair has the keys name, source, target (and more), got {row!r}")
    check_keys(where, row, Pair)
    missing = [key for key in ("name", "source", "target") if not isinstance(row.get(key), str)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} must be given as text")
    return Pair(**{**row, "equalizer": dict(row.get("equalizer") or {})})


def _read_pairs(path: Path) -> list[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"category.file={path}: there is no such file")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"category.file={path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("pairs"), list):
        raise ValueError(f"category.file={path} must have a list `pairs`, as conf/category/faces.yaml has")
    return list(content["pairs"])
