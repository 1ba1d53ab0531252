"""Prompt pairs: of a category's configuration, or of the user's own file."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob

from p2p.checks import check_keys
from p2p.edits import Kind
from p2p.prompts import Prompt, differing_words, normalise

MODELS = ("all", "sd")


@dataclass(frozen=True)
class Pair:
    """A prompt pair of a category: what is edited into what, and the words that carry it.

    Attributes:
        name: unique in its category.
        source, target: the prompts.
        kind: of the edit.
        source_words, target_words: blend words; None: the words that differ.
        equalizer: scales of words of the target prompt.
        models: `all`, or `sd` where the embedded picture world has no words for it.
    """

    name: str
    source: str
    target: str
    kind: Kind | Literal["auto"] = "auto"
    source_words: tuple[str, ...] | None = None
    target_words: tuple[str, ...] | None = None
    equalizer: Mapping[str, float] = field(default_factory=dict)
    models: Literal["all", "sd"] = "all"

    def scaled_words(self, source: Prompt, target: Prompt) -> tuple[str, ...]:
        """The words that `edit.equalizer_scale` scales.

        They are those of `equalizer`, else the blend words of the target that the source prompt lacks, else the words
        that differ; none where there are no such words.
        """
        own = [word for word in self.target_words or () if not _is_in(word, source)]
        return tuple(self.equalizer) or tuple(own) or differing_words(source, target)[1]


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


def choose_pair(category: str, pairs: list[Pair], choice: int | str, is_world: bool = False) -> Pair:
    """A pair by index or name.

    Args:
        category: its name, for messages.
        pairs: the category's.
        choice: index or name.
        is_world: whether the embedded picture world's model is to draw it.

    Raises:
        ValueError: no such pair, or none that the model draws; the message lists the pairs.
    """
    known = drawable(pairs, is_world)
    names = ", ".join(pair.name for pair in known) or "none"
    for i, pair in enumerate(pairs):
        if choice in (i, pair.name) and not isinstance(choice, bool):
            if pair in known:
                return pair
            raise ValueError(
                f"pair={choice}: {pair.name} is for Stable Diffusion (model=sd14, ...); of {category} the embedded "
                f"model draws {names}; pair='glob(*)' takes every pair that a model draws"
            )
    close = difflib.get_close_matches(str(choice), [pair.name for pair in known], n=1)
    raise ValueError(
        f"pair={choice}: {category} has pairs 0 to {len(pairs) - 1}; this model draws {names}"
        + (f"; did you mean {close[0]}?" if close else "")
    )


def is_pattern(choice: Any) -> bool:
    """Whether a choice of pairs is Hydra's `glob(...)`."""
    return isinstance(choice, str) and choice.startswith("glob(")


def match_pairs(category: str, pairs: list[Pair], pattern: str, is_world: bool = False) -> list[str]:
    """The names of the pairs that a model draws and that Hydra's `glob(...)` chooses.

    Args:
        category: its name, for messages.
        pairs: the category's.
        pattern: as `glob(*)` or `glob([more_*,add_*],exclude=*_hat)`.
        is_world: whether the embedded picture world's model is to draw them.

    Raises:
        ValueError: none is chosen; the message lists the pairs.
    """
    glob = OverridesParser.create().parse_override(f"pair={pattern}").value()
    assert isinstance(glob, Glob)
    known = [pair.name for pair in drawable(pairs, is_world)]
    found = glob.filter(known)
    if not found:
        raise ValueError(f"pair={pattern}: no such pair; of {category} this model draws {', '.join(known) or 'none'}")
    return found


def drawable(pairs: list[Pair], is_world: bool) -> list[Pair]:
    """The pairs that a model draws: all, of the embedded picture world's those not marked for Stable Diffusion."""
    return [pair for pair in pairs if not is_world or pair.models == "all"]


def _is_in(word: str, prompt: Prompt) -> bool:
    return all(normalise(part) in prompt.plain_words for part in word.split())


def _pair(row: Any, where: str) -> Pair:
    if not isinstance(row, Mapping):
        raise ValueError(f"{where}: a pair has the keys name, source, target (and more), got {row!r}")
    check_keys(where, row, Pair)
    missing = [key for key in ("name", "source", "target") if not isinstance(row.get(key), str)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} must be given as text")
    if row.get("models", "all") not in MODELS:
        raise ValueError(f"{where}: models must be one of {', '.join(MODELS)}, got {row['models']!r}")
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
