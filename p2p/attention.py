"""Attention control without attention maps.

A controlled layer needs A' V = A'_parent (L V) + A (R V) only. Each term is one fused attention call with the Q and K
of the stream itself or of an ancestor and modified values, so nothing of size pixels x tokens or pixels x pixels is
built. Word maps for local blend are A' e, with e the indicator of the words: values like any other.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from p2p.streams import CompiledStream, Injection, Matrix, Transfer, compose, is_zero


class Layer(NamedTuple):
    """An attention layer of the UNet."""

    name: str
    is_cross: bool


class Kept(NamedTuple):
    """What a parent's layer leaves for its children in the same step; each (heads, pixels or tokens, width)."""

    query: Tensor | None
    key: Tensor | None
    value: Tensor | None


@dataclass
class Wanted:
    """Which layers of a stream its children take attention and values from: by the limit of their pixels."""

    cross_attention: float = 0
    cross_values: float = 0
    self_attention: float = 0
    self_values: float = 0


class Terms(NamedTuple):
    """One term of the edited attention for some batch rows: whose Q and K, and the matrix on the values.

    Attributes:
        rows: the batch rows, each once; an index on the device, where a list would wait for it at every layer.
        ancestors: for each row the ancestor whose Q and K are used, or None for the stream's own.
        matrices: (rows, 1, tokens, tokens), or None where all are the identity.
    """

    rows: Tensor
    ancestors: list[int | None]
    matrices: Tensor | None


class RowInjection(NamedTuple):
    """V-injection of some batch rows: V <- keep V + take V_parent, as matrices or as numbers on every token."""

    rows: Tensor
    parents: list[int]
    keep: Tensor
    take: Tensor


@dataclass
class StepMemory:
    """What the UNet calls of one step share.

    Attributes:
        kept: parents' attention inputs, by layer name and stream.
        word_maps: by stream, (maps, pixels), summed over heads and layers.
    """

    kept: dict[tuple[str, int], Kept] = field(default_factory=dict)
    word_maps: dict[int, Tensor] = field(default_factory=dict)

    def share_word_maps(self, leaders: Sequence[int]) -> None:
        """Give each stream its leader's word maps."""
        self.word_maps = {i: self.word_maps[leader] for i, leader in enumerate(leaders) if leader in self.word_maps}

    def clear(self) -> None:
        """Forget the step."""
        self.kept.clear()
        self.word_maps.clear()


class StepControl:
    """Control of one batch of streams, for as many steps as their controls stay the same.

    Args:
        streams: all streams of these steps; a parent is an index among them, None where nothing is taken.
        rows: the stream of each conditional batch row; the last may repeat (padding).
        step: index of the first of the denoising steps.
        memory: shared by the calls of a step; cleared before the next.
        blend_pixels: number of pixels of the layers whose word maps local blend reads.
    """

    def __init__(
        self, streams: Sequence[CompiledStream], rows: Sequence[int], step: int, memory: StepMemory, blend_pixels: int
    ):
        self.streams, self.rows, self.step, self.memory = streams, list(rows), step, memory
        self.blend_pixels = blend_pixels
        self._wanted = _wanted_of_parents(streams, step)
        self._terms: dict[tuple[bool, int], list[Terms]] = {}
        self._injections: dict[tuple[bool, int], RowInjection | None] = {}
        self._indicators: dict[int, list[Tensor]] = {}

    def attend(
        self,
        layer: Layer,
        query: Float[Tensor, "batch heads pixels width"],
        key: Float[Tensor, "batch heads tokens width"],
        value: Float[Tensor, "batch heads tokens width"],
    ) -> Float[Tensor, "batch heads pixels width"]:
        """Attention of a batch whose last rows are the controlled, conditional ones."""
        plain = len(query) - len(self.rows)
        parts = [F.scaled_dot_product_attention(query[:plain], key[:plain], value[:plain])] if plain else []
        query, key, value = query[plain:], key[plain:], value[plain:]
        pixels = query.shape[2]
        value = self._inject(layer, pixels, value)
        self._keep(layer, query, key, value)
        terms = self._terms_of(layer, pixels, value)
        parts.append(self._sum_terms(layer, terms, query, key, value))
        if layer.is_cross and pixels == self.blend_pixels and not layer.name.startswith("mid"):
            self._read_word_maps(layer, terms, query, key)
        return torch.cat(parts)

    def _inject(self, layer: Layer, pixels: int, value: Tensor) -> Tensor:
        """V-injection: values mixed with the parent's, its own injection done."""
        cache_key = (layer.is_cross, 0 if layer.is_cross else pixels)
        if cache_key not in self._injections:
            self._injections[cache_key] = self._build_injection(layer.is_cross, pixels, value)
        injection = self._injections[cache_key]
        if injection is None:
            return value
        rows, parents, keep, take = injection
        taken = torch.stack([_present(self.memory.kept[layer.name, parent].value) for parent in parents])
        mix = torch.matmul if layer.is_cross else torch.mul
        value = value.clone()
        value[rows] = mix(keep, value[rows]) + mix(take, taken)
        return value

    def _build_injection(self, is_cross: bool, pixels: int, like: Tensor) -> RowInjection | None:
        found: list[tuple[int, int, Injection]] = []
        for row, index in enumerate(self.rows):
            stream = self.streams[index]
            injection = stream.v_cross if is_cross else stream.v_self
            reached = is_cross or pixels <= stream.self_replace_max_pixels
            if stream.parent is not None and injection and reached and self.step in stream.v_window:
                found.append((row, stream.parent, injection))
        if not found:
            return None
        keep, take = (torch.stack(list(side))[:, None].to(like) for side in zip(*(f[2] for f in found), strict=True))
        return RowInjection(torch.tensor([f[0] for f in found], device=like.device), [f[1] for f in found], keep, take)

    def _keep(self, layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> None:
        for row, index in enumerate(self.rows):
            wanted = self._wanted.get(index)
            if wanted is None:
                continue
            attention = query.shape[2] <= (wanted.cross_attention if layer.is_cross else wanted.self_attention)
            values = query.shape[2] <= (wanted.cross_values if layer.is_cross else wanted.self_values)
            if attention or values:
                self.memory.kept[layer.name, index] = Kept(
                    query[row].clone() if attention else None,
                    key[row].clone() if attention else None,
                    value[row].clone() if values else None,
                )

    def _terms_of(self, layer: Layer, pixels: int, like: Tensor) -> list[Terms]:
        cache_key = (layer.is_cross, 0 if layer.is_cross else pixels)
        if cache_key not in self._terms:
            expanded = [self._expand(index, layer.is_cross, pixels) for index in self.rows]
            self._terms[cache_key] = _batch_terms(expanded, like)
        return self._terms[cache_key]

    def _expand(self, index: int, is_cross: bool, pixels: int) -> list[tuple[int | None, Matrix]]:
        """A stream's edited attention as terms of its own (None) and its ancestors' attention, zero terms left out."""
        terms: list[tuple[int | None, Matrix]] = []
        carried: Matrix = 1.0
        current: int | None = index
        while current is not None and not is_zero(carried):
            left, right = self._transfer(self.streams[current], is_cross, pixels)
            terms.append((None if current == index else current, compose(right, carried)))
            carried = compose(left, carried)
            current = self.streams[current].parent
        return [(who, matrix) for who, matrix in terms if not is_zero(matrix)]

    def _transfer(self, stream: CompiledStream, is_cross: bool, pixels: int) -> Transfer:
        if stream.parent is None:
            return Transfer(0.0, 1.0)
        if is_cross:
            return stream.cross[self.step]
        replaced = self.step in stream.self_window and pixels <= stream.self_replace_max_pixels
        return Transfer(1.0, 0.0) if replaced else Transfer(0.0, 1.0)

    def _sum_terms(self, layer: Layer, terms: list[Terms], query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Sum of the terms' attention; query (rows, heads, pixels, width), value (rows, heads, tokens, width)."""
        total: Tensor | None = None
        for rows, ancestors, matrices in terms:
            whole = len(rows) == len(query)
            x = value if whole else value[rows]
            q, k = self._queries(layer, rows, ancestors, query, key)
            out = F.scaled_dot_product_attention(q, k, x if matrices is None else matrices @ x)
            if whole:
                total = out if total is None else total + out
            else:
                total = torch.zeros_like(query) if total is None else total
                total[rows] += out
        assert total is not None, "every stream has a term"
        return total

    def _queries(
        self, layer: Layer, rows: Tensor, ancestors: list[int | None], query: Tensor, key: Tensor
    ) -> tuple[Tensor, Tensor]:
        kept = [self.memory.kept[layer.name, ancestor] for ancestor in ancestors if ancestor is not None]
        if not kept:
            return (query, key) if len(rows) == len(query) else (query[rows], key[rows])
        queries, keys = ([_present(one) for one in side] for side in zip(*(k[:2] for k in kept), strict=True))
        if len(set(ancestors)) == 1:
            size = (len(rows), -1, -1, -1)
            return queries[0].expand(size), keys[0].expand(size)
        return torch.stack(queries), torch.stack(keys)

    def _read_word_maps(self, layer: Layer, terms: list[Terms], query: Tensor, key: Tensor) -> None:
        """Add this layer's word maps, A' e summed over heads, to those of this step."""
        heads, width = query.shape[1], query.shape[-1]
        exact = torch.promote_types(query.dtype, torch.float32)  # sums over layers and steps outgrow half precision
        if width not in self._indicators:
            self._indicators[width] = self._indicator_values(width, query)
        sums = [
            self._sum_terms(layer, terms, query, key, e.expand(-1, heads, -1, -1)).sum(1, dtype=exact).transpose(1, 2)
            for e in self._indicators[width]
        ]
        row_of = {index: row for row, index in enumerate(self.rows)}
        for index, row in row_of.items():
            indicators = self.streams[index].indicators
            if indicators is not None:
                new = torch.cat([s[row] for s in sums])[: len(indicators)]
                self.memory.word_maps[index] = self.memory.word_maps.get(index, 0) + new

    def _indicator_values(self, width: int, like: Tensor) -> list[Tensor]:
        """The rows' indicators as values (rows, 1, tokens, width), as wide as Q and K: attention stays fused."""
        wanted = [self.streams[index].indicators for index in self.rows]
        chunks = []
        for start in range(0, max((len(e) for e in wanted if e is not None), default=0), width):
            values = like.new_zeros(len(wanted), 1, self.streams[self.rows[0]].prompt.num_tokens, width)
            for row, indicators in enumerate(wanted):
                chunk = indicators[start : start + width] if indicators is not None else ()
                if len(chunk):
                    values[row, 0, :, : len(chunk)] = chunk.T.to(like)  # type: ignore[union-attr]
            chunks.append(values)
        return chunks


class ControlledAttnProcessor:
    """Attention processor of a transformer block's layer; without `control` it does what `original` did."""

    def __init__(self, layer: Layer, original: Callable[..., Tensor]):
        self.layer, self.original = layer, original

    def __call__(
        self,
        attn: Any,
        hidden_states: Float[Tensor, "batch pixels channels"],
        encoder_hidden_states: Float[Tensor, "batch tokens features"] | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        control: StepControl | None = None,
    ) -> Float[Tensor, "batch pixels channels"]:
        """Attend under `control`, which the UNet passes on from `cross_attention_kwargs`."""
        if control is None:
            return self.original(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
        states = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            projection.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for projection in (attn.to_q(hidden_states), attn.to_k(states), attn.to_v(states))
        )
        out = control.attend(self.layer, query, key, value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out))


@contextmanager
def attention_control(unet: Any) -> Iterator[None]:
    """Let `unet` obey a `StepControl` given as `cross_attention_kwargs={"control": ...}`; restored on leaving.

    Raises:
        ValueError: a layer of the UNet has parts that attention control does not know.
    """
    original = dict(unet.attn_processors)
    try:
        unet.set_attn_processor({name: _controlled(unet, name, processor) for name, processor in original.items()})
        yield
    finally:
        unet.set_attn_processor(original)


def _controlled(unet: Any, name: str, original: Any) -> ControlledAttnProcessor:
    path = name.removesuffix(".processor")
    attn = unet.get_submodule(path)
    extras = ("spatial_norm", "group_norm", "norm_cross", "norm_q", "norm_k", "added_kv_proj_dim")
    found = [extra for extra in extras if getattr(attn, extra, None)]
    if found or attn.residual_connection or attn.rescale_output_factor != 1:
        raise ValueError(f"attention layer {path} has {', '.join(found) or 'a residual'}, which cannot be controlled")
    return ControlledAttnProcessor(Layer(path, is_cross=path.endswith("attn2")), original)


def _batch_terms(expanded: list[list[tuple[int | None, Matrix]]], like: Tensor) -> list[Terms]:
    """Gather the rows' first terms, second terms and so on into batches of distinct rows, own terms apart."""
    batches = []
    for depth in range(max(len(terms) for terms in expanded)):
        for own in (True, False):
            rows = [r for r, terms in enumerate(expanded) if len(terms) > depth and (terms[depth][0] is None) == own]
            if rows:
                chosen = [expanded[r][depth] for r in rows]
                index = torch.tensor(rows, device=like.device)
                batches.append(Terms(index, [who for who, _ in chosen], _stack([m for _, m in chosen], like)))
    return batches


def _stack(matrices: list[Matrix], like: Tensor) -> Tensor | None:
    if all(isinstance(matrix, float) and matrix == 1.0 for matrix in matrices):
        return None
    eye = torch.eye(like.shape[2], dtype=torch.float64)
    return torch.stack([m if isinstance(m, Tensor) else m * eye for m in matrices])[:, None].to(like)


def _wanted_of_parents(streams: Sequence[CompiledStream], step: int) -> dict[int, Wanted]:
    """What the streams take from each parent in a step."""
    found: dict[int, Wanted] = {}
    for stream in streams:
        if stream.parent is None:
            continue
        wanted, limit = found.setdefault(stream.parent, Wanted()), stream.self_replace_max_pixels
        if not is_zero(stream.cross[step].left):
            wanted.cross_attention = math.inf
        if step in stream.self_window:
            wanted.self_attention = max(wanted.self_attention, limit)
        if step in stream.v_window:
            wanted.cross_values = math.inf if stream.v_cross else wanted.cross_values
            wanted.self_values = max(wanted.self_values, limit if stream.v_self else 0)
    return found


def _present(tensor: Tensor | None) -> Tensor:
    assert tensor is not None, "a parent's tensors are kept for the layers in which its children take them"
    return tensor
