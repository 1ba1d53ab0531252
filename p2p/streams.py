"""Streams: prompts being denoised side by side, each taking attention from its parent as its edit says.

Every edit of Prompt-to-Prompt is linear in the tokens: with A the attention of a stream and A' the attention after
editing, A'_stream = A'_parent L + A_stream R. A stream's edit compiles to one such pair (L, R) a step.
"""

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from p2p.alignment import refinement_mapper, replacement_mapper, unchanged_tokens
from p2p.edits import DEFAULT, Edit, Window
from p2p.prompts import Prompt

Matrix = Tensor | float
"""A (tokens, tokens) matrix, or the number whose multiple of the identity it is: 0.0 or 1.0."""


@dataclass(frozen=True)
class Stream:
    """One prompt to denoise. A stream with a parent has an edit, resolved for the two prompts; a root has neither."""

    prompt: Prompt
    parent: int | None = None
    edit: Edit | None = None

    def __post_init__(self) -> None:
        if (self.parent is None) != (self.edit is None):
            raise ValueError("a stream has both a parent and an edit, or neither")


class Transfer(NamedTuple):
    """A' = A'_parent left + A right."""

    left: Matrix
    right: Matrix


class Injection(NamedTuple):
    """V <- keep V + take V_parent; (tokens, tokens) in cross-attention, (1, 1) in self-attention."""

    keep: Tensor
    take: Tensor


class Blend(NamedTuple):
    """Local blend of a stream against its parent.

    Attributes:
        maps: the word maps whose union is blended in, as (from the parent?, position among that stream's indicators).
        subtracted: those taken away.
        k: the threshold.
        start_step: the first step that blends.
    """

    maps: tuple[tuple[bool, int], ...]
    subtracted: tuple[tuple[bool, int], ...]
    k: float
    start_step: int


@dataclass(frozen=True)
class CompiledStream:
    """A stream ready for `denoise`: everything its edit does, by step.

    Attributes:
        prompt: its prompt.
        parent: index of its parent, or None.
        cross: transfer of cross-attention, one a step.
        self_window: steps in which self-attention comes from the parent.
        v_window: steps in which values come from the parent.
        v_self: V-injection in self-attention, or None.
        v_cross: V-injection in cross-attention, or None.
        self_replace_max_pixels: limit of the self-attention layers controlled.
        indicators: (maps, tokens), which tokens each word map sums that this stream has to report.
        blend: its local blend, or None.
        words: for each word of the prompt the position of its map among the indicators, where words are watched.
    """

    prompt: Prompt
    parent: int | None = None
    cross: tuple[Transfer, ...] = ()
    self_window: range = range(0)
    v_window: range = range(0)
    v_self: Injection | None = None
    v_cross: Injection | None = None
    self_replace_max_pixels: int = 0
    indicators: Float[Tensor, "maps tokens"] | None = None
    blend: Blend | None = None
    words: tuple[int, ...] = ()


def compile_streams(
    streams: Sequence[Stream],
    num_inference_steps: int,
    watch_words: bool = False,
    watched: Sequence[Sequence[str]] = (),
) -> list[CompiledStream]:
    """Turn each stream's edit into what the engine applies step by step.

    All streams of one prompt report the same word maps, those that any of them or of their children needs.

    Args:
        streams: parents before their children.
        num_inference_steps: of the sampler.
        watch_words: whether to report the attention map of every word of every prompt.
        watched: sets of words of the first stream's prompt, of each of which to report one map.
    """
    indicators: dict[str, list[Tensor]] = {stream.prompt.text: [] for stream in streams}
    transfers: dict[Hashable, tuple[Transfer, ...]] = {}
    compiled: list[CompiledStream] = []
    for stream in streams:
        if stream.parent is None or stream.edit is None:
            compiled.append(CompiledStream(stream.prompt))
            continue
        source, edit = streams[stream.parent].prompt, stream.edit
        key = (source.text, stream.prompt.text, edit.kind, repr(edit.cross_replace_steps), repr(edit.equalizer))
        if key not in transfers:
            transfers[key] = cross_transfers(source, stream.prompt, edit, num_inference_steps)
        blend = _compile_blend(source, stream.prompt, edit, indicators, num_inference_steps)
        compiled.append(_compile_edit(source, stream, transfers[key], blend, num_inference_steps))
    for words in watched:
        word_place(streams[0].prompt, words, indicators[streams[0].prompt.text])
    return [_with_indicators(stream, indicators[stream.prompt.text], watch_words) for stream in compiled]


def cross_transfers(source: Prompt, target: Prompt, edit: Edit, num_inference_steps: int) -> tuple[Transfer, ...]:
    """Transfer of cross-attention at each step.

    With mapper M, b 1 where a target token has a source, scales c and the window's indicator a:
    L = M diag(b c a), R = diag((1 - b) c a + 1 - a); Prompt-to-Prompt, section 3.2, all three edits at once.
    """
    mapper, has_source = token_mapper(source, target, edit)
    scales = equalizer_scales(target, edit)
    windows = cross_replace_alpha(target, edit.cross_replace_steps, num_inference_steps)
    transfers: dict[tuple[float, ...], Transfer] = {}
    for a in windows[:num_inference_steps]:
        key = tuple(a.tolist())
        if key not in transfers:
            left = mapper * (has_source * scales * a)
            right = (1 - has_source) * scales * a + 1 - a
            transfers[key] = Transfer(_simplify(left), _simplify(torch.diag(right)))
    return tuple(transfers[tuple(a.tolist())] for a in windows[:num_inference_steps])


def token_mapper(
    source: Prompt, target: Prompt, edit: Edit
) -> tuple[Float[Tensor, "source_tokens target_tokens"], Float[Tensor, " target_tokens"]]:
    """The matrix from source tokens to target tokens, and 1 for each target token that has a source."""
    size = source.num_tokens
    if edit.kind == "swap":
        return replacement_mapper(source, target), torch.ones(size, dtype=torch.float64)
    if edit.kind == "reweight":
        return torch.eye(size, dtype=torch.float64), torch.ones(size, dtype=torch.float64)
    mapper, alphas = refinement_mapper(source, target)
    return torch.nn.functional.one_hot(mapper % size, size).T.to(torch.float64), alphas


def equalizer_scales(target: Prompt, edit: Edit) -> Float[Tensor, " tokens"]:
    """Scale of each target token's attention (re-weighting), 1 where none is asked."""
    scales = torch.ones(target.num_tokens, dtype=torch.float64)
    for word, scale in edit.equalizer.items():
        scales[target.tokens_of(word, "edit.equalizer")] = scale
    return scales


def cross_replace_alpha(
    target: Prompt, windows: Window | Mapping[str, Window], num_inference_steps: int
) -> Float[Tensor, "steps_plus_one tokens"]:
    """1 where a target token's cross-attention comes from the parent; windows end at int(x (steps + 1))."""
    per_word = windows if isinstance(windows, Mapping) else {DEFAULT: windows}
    alpha = torch.zeros(num_inference_steps + 1, target.num_tokens, dtype=torch.float64)
    steps = cross_window(per_word.get(DEFAULT, (0.0, 1.0)), num_inference_steps)
    alpha[steps.start : steps.stop] = 1
    for word, window in per_word.items():
        if word != DEFAULT:
            tokens = torch.tensor(target.tokens_of(word, "edit.cross_replace_steps"))
            alpha[:, tokens] = 0
            steps = cross_window(window, num_inference_steps)
            alpha[steps.start : steps.stop, tokens] = 1
    return alpha


def cross_window(window: Window, num_inference_steps: int) -> range:
    """The steps of a cross-attention window: from int(start (steps + 1)) to int(end (steps + 1))."""
    return range(int(window[0] * (num_inference_steps + 1)), int(window[1] * (num_inference_steps + 1)))


def step_window(window: Window, num_inference_steps: int) -> range:
    """The steps of a self-attention or value window: from int(start steps) to int(end steps)."""
    return range(int(window[0] * num_inference_steps), int(window[1] * num_inference_steps))


def compose(first: Matrix, second: Matrix) -> Matrix:
    """The product of two matrices, either of which may be a multiple of the identity."""
    if is_zero(first) or is_zero(second):
        return 0.0
    return first @ second if isinstance(first, Tensor) and isinstance(second, Tensor) else first * second


def is_zero(matrix: Matrix) -> bool:
    """Whether the matrix is the number 0."""
    return isinstance(matrix, float) and matrix == 0.0


def _compile_edit(
    source: Prompt, stream: Stream, cross: tuple[Transfer, ...], blend: Blend | None, steps: int
) -> CompiledStream:
    edit, target = stream.edit, stream.prompt
    assert edit is not None
    return CompiledStream(
        prompt=target,
        parent=stream.parent,
        cross=cross,
        self_window=step_window(edit.self_replace_steps, steps),
        v_window=step_window(edit.v_inject_steps, steps),
        v_self=self_injection(edit) if edit.v_inject.layers in ("self", "both") else None,
        v_cross=cross_injection(source, target, edit) if edit.v_inject.layers in ("cross", "both") else None,
        self_replace_max_pixels=edit.self_replace_max_pixels,
        blend=blend,
    )


def self_injection(edit: Edit) -> Injection:
    """V-injection in self-attention: every pixel takes its parent's value, by weight."""
    weight = torch.full((1, 1), edit.v_inject.weight, dtype=torch.float64)
    return Injection(keep=1 - weight, take=weight)


def cross_injection(source: Prompt, target: Prompt, edit: Edit) -> Injection:
    """V-injection in cross-attention: each target token takes the mean of its source tokens' values, by weight."""
    size, weight = source.num_tokens, edit.v_inject.weight
    if edit.v_inject.tokens == "aligned":
        tokens = unchanged_tokens(source, target)
        has_source = (tokens >= 0).to(torch.float64)
        mapper = torch.nn.functional.one_hot(tokens % size, size).T * has_source
    else:
        mapper, has_source = token_mapper(source, target, edit)
        mapper = mapper * has_source
        has_source = (mapper.sum(0) > 0).to(torch.float64)
    mean = mapper / mapper.sum(0).clamp(min=1e-12)
    return Injection(keep=torch.diag(1 - weight * has_source), take=weight * mean.T)


def _compile_blend(
    source: Prompt, target: Prompt, edit: Edit, indicators: dict[str, list[Tensor]], steps: int
) -> Blend | None:
    if edit.k is None:
        return None
    blend = edit.local_blend

    def maps(source_words: Sequence[str] | None, target_words: Sequence[str] | None) -> tuple[tuple[bool, int], ...]:
        sides = ((True, source, source_words), (False, target, target_words))
        return tuple(
            (is_parent, word_place(prompt, words, indicators[prompt.text]))
            for is_parent, prompt, words in sides
            if words
        )

    return Blend(
        maps=maps(blend.source_words, blend.target_words),
        subtracted=maps(blend.source_subtract_words, blend.target_subtract_words),
        k=edit.k,
        start_step=int(blend.start_blend * steps),
    )


def word_place(prompt: Prompt, words: Sequence[str], known: list[Tensor]) -> int:
    """Position among `known` indicators of that of `words`' tokens, added where it is new."""
    return _place(prompt, [t for word in words for t in prompt.tokens_of(word, "edit.local_blend")], known)


def _place(prompt: Prompt, tokens: Sequence[int], known: list[Tensor]) -> int:
    """Position among `known` of the indicator of some tokens, added where it is new."""
    indicator = torch.zeros(prompt.num_tokens, dtype=torch.float64)
    indicator[list(tokens)] = 1
    for position, other in enumerate(known):
        if torch.equal(indicator, other):
            return position
    known.append(indicator)
    return len(known) - 1


def _with_indicators(stream: CompiledStream, maps: list[Tensor], watch_words: bool) -> CompiledStream:
    word_tokens = stream.prompt.word_tokens if watch_words else ()
    words = tuple(_place(stream.prompt, tokens, maps) for tokens in word_tokens)
    return dataclasses.replace(stream, indicators=torch.stack(maps), words=words) if maps else stream


def _simplify(matrix: Tensor) -> Matrix:
    if not matrix.any():
        return 0.0
    return 1.0 if torch.equal(matrix, torch.eye(len(matrix), dtype=matrix.dtype)) else matrix
