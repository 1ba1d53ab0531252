"""An edit of Prompt-to-Prompt as data: what a target stream takes from its parent, and when."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Literal, get_args

from p2p.checks import check_choice, check_keys, check_number, check_whole
from p2p.prompts import Prompt, check_swappable, differing_words, normalise

Kind = Literal["swap", "refine", "reweight"]
Window = tuple[float, float]
DEFAULT = "default_"
_KINDS = ("auto", *get_args(Kind))


@dataclass(frozen=True)
class VInject:
    """How values are taken from the parent inside `v_inject_steps` (the CL P2P mechanism).

    Attributes:
        layers: the attention layers it acts in.
        tokens: cross-attention only: tokens of unchanged words (`aligned`) or every token that has a source (`all`).
        weight: share of the parent's values, in [0, 1].
    """

    layers: Literal["self", "cross", "both"] = "self"
    tokens: Literal["aligned", "all"] = "aligned"
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_choice("edit.v_inject.layers", self.layers, ("self", "cross", "both"))
        check_choice("edit.v_inject.tokens", self.tokens, ("aligned", "all"))
        object.__setattr__(self, "weight", check_number("edit.v_inject.weight", self.weight))
        if not 0 <= self.weight <= 1:
            raise ValueError(f"edit.v_inject.weight must be in [0, 1], got {self.weight}")


@dataclass(frozen=True)
class LocalBlend:
    """Which words' attention confines an edit (Prompt-to-Prompt, "local editing").

    Attributes:
        source_words: words of the source prompt; None takes the words that differ, () leaves the target's mask alone.
        target_words: words of the target prompt; None takes the words that differ.
        source_subtract_words, target_subtract_words: words whose mask is taken away from the blend's.
        start_blend: share of the steps without blending at the start, in [0, 1].
    """

    source_words: tuple[str, ...] | None = None
    target_words: tuple[str, ...] | None = None
    source_subtract_words: tuple[str, ...] = ()
    target_subtract_words: tuple[str, ...] = ()
    start_blend: float = 0.2

    def __post_init__(self) -> None:
        for name in ("source_subtract_words", "target_subtract_words"):
            object.__setattr__(self, name, getattr(self, name) or ())
        for name in ("source_words", "target_words", "source_subtract_words", "target_subtract_words"):
            object.__setattr__(self, name, _words(f"edit.local_blend.{name}", getattr(self, name)))
        object.__setattr__(self, "start_blend", check_number("edit.local_blend.start_blend", self.start_blend))
        if not 0 <= self.start_blend <= 1:
            raise ValueError(f"edit.local_blend.start_blend must be in [0, 1], got {self.start_blend}")


@dataclass(frozen=True)
class Edit:
    """What an edited stream takes from its parent. The defaults are the literature's values.

    Attributes:
        kind: `swap`, `refine` or `reweight`; `auto` chooses by the prompts, see `resolve`.
        k: silhouette threshold of local blend, in [0, 1); None is no blend.
        cross_replace_steps: window of the steps, as fractions, in which cross-attention comes from the parent; or a
            window per word of the target prompt, `default_` for the others.
        self_replace_steps: window in which self-attention comes from the parent.
        v_inject_steps: window in which values come from the parent.
        v_inject: how they do.
        equalizer: scale of the attention to words of the target prompt (re-weighting).
        local_blend: the blend words.
        self_replace_max_pixels: self-attention is controlled in layers with at most so many pixels.
    """

    kind: Kind | Literal["auto"] = "auto"
    k: float | None = 0.3
    cross_replace_steps: Window | Mapping[str, Window] = (0.0, 0.8)
    self_replace_steps: Window = (0.0, 0.2)
    v_inject_steps: Window = (0.0, 0.0)
    v_inject: VInject = field(default_factory=VInject)
    equalizer: Mapping[str, float] = field(default_factory=dict)
    local_blend: LocalBlend = field(default_factory=LocalBlend)
    self_replace_max_pixels: int = 1024

    def __hash__(self) -> int:
        return hash(self.canonical_json)

    def __post_init__(self) -> None:
        check_choice("edit.kind", self.kind, _KINDS)
        windows = {
            "cross_replace_steps": _windows("edit.cross_replace_steps", self.cross_replace_steps),
            "self_replace_steps": parse_window("edit.self_replace_steps", self.self_replace_steps),
            "v_inject_steps": parse_window("edit.v_inject_steps", self.v_inject_steps),
            "equalizer": {word: check_number(f"edit.equalizer.{word}", c) for word, c in self.equalizer.items()},
        }
        for name, value in windows.items():
            object.__setattr__(self, name, value)
        if self.k is not None:
            object.__setattr__(self, "k", check_number("edit.k", self.k))
            if not 0 <= self.k < 1:
                raise ValueError(f"edit.k must be in [0, 1), got {self.k}; null is no local blend")
        check_whole("edit.self_replace_max_pixels", self.self_replace_max_pixels, 0)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "Edit":
        """An edit from plain configuration values.

        Raises:
            ValueError: a key is unknown, or a value is outside what its setting allows.
        """
        check_keys("edit", values, cls)
        plain = {name: value for name, value in values.items() if name not in ("v_inject", "local_blend", "equalizer")}
        nested: dict[str, Any] = {"equalizer": dict(values.get("equalizer") or {})}
        for name, kind in (("v_inject", VInject), ("local_blend", LocalBlend)):
            inner = values.get(name) or {}
            check_keys(f"edit.{name}", inner, kind)
            nested[name] = kind(**inner)
        return cls(**plain, **nested)

    def resolve(self, source: Prompt, target: Prompt) -> "Edit":
        """This edit for a pair of prompts: its kind decided, its blend words filled in, every word checked.

        Raises:
            ValueError: a word is not in its prompt, the kind does not suit the prompts, or k has no blend word.
        """
        kind = _kind_of(source, target) if self.kind == "auto" else self.kind
        if kind == "swap":
            check_swappable(source, target)
        if kind == "reweight" and source.plain_words != target.plain_words:
            raise ValueError(f"edit.kind=reweight needs equal prompts, got {source.text!r} and {target.text!r}")
        if kind == "reweight" and not self.equalizer:
            raise ValueError(f"edit.kind=reweight changes nothing without edit.equalizer; prompt {source.text!r}")
        for word in self.equalizer:
            target.tokens_of(word, "edit.equalizer")
        if isinstance(self.cross_replace_steps, Mapping):
            for word in self.cross_replace_steps:
                if word != DEFAULT:
                    target.tokens_of(word, "edit.cross_replace_steps")
        blend = self._resolve_blend(source, target) if self.k is not None else self.local_blend
        return dataclasses.replace(self, kind=kind, local_blend=blend)

    def _resolve_blend(self, source: Prompt, target: Prompt) -> LocalBlend:
        blend = _fill_blend(self.local_blend, source, target)
        if not blend.source_words and not blend.target_words:
            raise ValueError(
                f"edit.k={self.k} needs a blend word: {source.text!r} and {target.text!r} name none; "
                "set edit.local_blend.target_words, or edit.k=null"
            )
        return blend

    def canonical(self) -> dict[str, Any]:
        """The settings that decide the pixels, as plain values in one spelling (settings without effect dropped)."""
        values: dict[str, Any] = {
            "kind": self.kind,
            "k": self.k,
            "cross_replace_steps": _canonical_windows(self.cross_replace_steps),
            "self_replace_steps": _canonical_window(self.self_replace_steps),
            "v_inject_steps": _canonical_window(self.v_inject_steps),
            "equalizer": {normalise(word): c for word, c in sorted(self.equalizer.items())},
            "self_replace_max_pixels": self.self_replace_max_pixels,
        }
        if values["v_inject_steps"] != [0.0, 0.0]:
            values["v_inject"] = dict(vars(self.v_inject))
        if self.k is not None:
            words = vars(self.local_blend)
            values["local_blend"] = {k: list(v) if isinstance(v, tuple) else v for k, v in words.items()}
        return values

    @cached_property
    def canonical_json(self) -> str:
        """`canonical` as JSON with sorted keys."""
        return json.dumps(self.canonical(), sort_keys=True)


@lru_cache(maxsize=1 << 16)
def reverse_edit(edit: Edit, source: Prompt, target: Prompt) -> Edit | None:
    """The edit that undoes a resolved `edit`: target prompt to source prompt; None where there is none.

    A swap's reverse is the swap back, a refinement's the refinement back; windows, k and V-injection stay, blend
    words change sides, words of per-word windows are translated by their place. A re-weighting has none.
    """
    if edit.kind == "reweight" or edit.equalizer:
        return None
    windows = edit.cross_replace_steps
    if isinstance(windows, Mapping):
        windows = _translate(windows, source, target)
    blend = edit.local_blend
    turned = dataclasses.replace(
        blend,
        source_words=blend.target_words,
        target_words=blend.source_words,
        source_subtract_words=blend.target_subtract_words,
        target_subtract_words=blend.source_subtract_words,
    )
    return dataclasses.replace(edit, cross_replace_steps=windows, local_blend=turned)


def parse_window(name: str, value: Any) -> Window:
    """A window of the steps from `x` (0 to x) or a pair of fractions.

    Raises:
        ValueError: not a number or a pair, outside [0, 1], or reversed.
    """
    pair = (0.0, value) if not isinstance(value, list | tuple) else tuple(value)
    if len(pair) != 2:
        raise ValueError(f"{name} must be a fraction of the steps or a pair [start, end], got {value!r}")
    start, end = (check_number(name, x) for x in pair)
    if not (0 <= start <= 1 and 0 <= end <= 1):
        raise ValueError(f"{name} must be in [0, 1], got {value!r}; give a fraction of sampler.num_inference_steps")
    if start > end:
        raise ValueError(f"{name} must not end before it starts, got {value!r}; swap its two numbers")
    return start, end


@lru_cache(maxsize=1 << 12)
def _fill_blend(blend: LocalBlend, source: Prompt, target: Prompt) -> LocalBlend:
    """A blend's words for a pair of prompts: those left open are the ones that differ; every word checked."""
    source_words, target_words = blend.source_words, blend.target_words
    removed, added = differing_words(source, target)
    if source_words is None:
        source_words = removed if target_words is None else ()
    if target_words is None:
        target_words = added
    filled = dataclasses.replace(blend, source_words=source_words, target_words=target_words)
    for side, prompt in (("source", source), ("target", target)):
        for name in (f"{side}_words", f"{side}_subtract_words"):
            for word in getattr(filled, name):
                prompt.tokens_of(word, f"edit.local_blend.{name}")
    return filled


def _windows(name: str, value: Any) -> Window | dict[str, Window]:
    if not isinstance(value, Mapping):
        return parse_window(name, value)
    return {str(word): parse_window(f"{name}.{word}", window) for word, window in value.items()}


def _words(name: str, value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        return (value,)
    if not all(isinstance(word, str) for word in value):
        raise ValueError(f"{name} must be a list of words, got {value!r}")
    return tuple(value)


def _kind_of(source: Prompt, target: Prompt) -> Kind:
    if source.plain_words == target.plain_words:
        return "reweight"
    return "swap" if len(source.words) == len(target.words) else "refine"


def _canonical_window(window: Window) -> list[float]:
    return [0.0, 0.0] if window[0] == window[1] else list(window)


def _canonical_windows(windows: Window | Mapping[str, Window]) -> Any:
    if not isinstance(windows, Mapping):
        return _canonical_window(windows)
    return {normalise(w) if w != DEFAULT else w: _canonical_window(window) for w, window in sorted(windows.items())}


def _translate(windows: Mapping[str, Window], source: Prompt, target: Prompt) -> dict[str, Window]:
    """Per-word windows of the target prompt in the words of the source prompt; added words drop out."""
    a, b = source.plain_words, target.plain_words
    partner = dict(zip(b, a, strict=True)) if len(a) == len(b) else {word: word for word in a}
    translated = {}
    for word, window in windows.items():
        if word == DEFAULT:
            translated[word] = window
        for part in word.split() if word != DEFAULT else ():
            if normalise(part) in partner:
                translated[partner[normalise(part)]] = window
    return translated
