"""Shared prefixes: streams merged into a tree over the steps.

The state of a stream before a step (latents and word maps) is decided by what its controls were in the steps before.
Streams of one prompt whose controls agree up to a step are one node of the tree until then, exactly. Nodes that differ
in their local blend alone still share a step's prediction wherever the blend has left their latents equal.
"""

import itertools
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from p2p.edits import DEFAULT, Edit, Window
from p2p.streams import Stream, cross_window, step_window

Part = tuple[Hashable, ...]
"""What decides a control's effect in its window: its name and its settings."""


class Node(NamedTuple):
    """Latents denoised once for all streams that agree up to the end of a segment.

    Attributes:
        stream: one of those streams, whose prompt and controls it follows.
        origin: its node in the segment before; in the first segment the start it comes from.
        parent: the node of its own segment from which it takes attention, values or latents; None if it takes nothing.
        is_root: whether its streams have no parent at all.
        family: nodes of one family with equal latents have equal predictions; they differ in their local blend alone.
    """

    stream: int
    origin: int
    parent: int | None
    is_root: bool
    family: int


@dataclass(frozen=True)
class Segment:
    """Steps in which no control changes.

    Attributes:
        steps: their indices.
        nodes: parents before their children.
        node_of: for each stream its node.
    """

    steps: range
    nodes: tuple[Node, ...]
    node_of: tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """What `denoise` carries out.

    Attributes:
        streams: parents before their children.
        num_inference_steps: of the sampler.
        segments: the tree over the steps.
        watch_words: whether the attention maps of every word of every prompt are summed.
        watched: sets of words of the first stream's prompt, of each of which one attention map is summed.
        own_starts: whether roots start from latents of their own: there may be as many as edits, and they share calls.
    """

    streams: tuple[Stream, ...]
    num_inference_steps: int
    segments: tuple[Segment, ...]
    watch_words: bool = False
    watched: tuple[tuple[str, ...], ...] = ()
    own_starts: bool = False

    @property
    def num_latents(self) -> int:
        """How many latents are denoised by a step, over all steps; UNet samples without guidance, half those with.

        At most: local blends that leave latents equal spare some.
        """
        return sum(len(segment.steps) * len(segment.nodes) for segment in self.segments)


def plan_streams(
    streams: Sequence[Stream],
    num_inference_steps: int,
    starts: Sequence[int] | None = None,
    watch_words: bool = False,
    merge_edits: bool = True,
) -> Plan:
    """Merge streams into a tree over the steps.

    Args:
        streams: parents before their children.
        num_inference_steps: of the sampler.
        starts: for each stream which of the latents given to `denoise` it starts from; None: all from the first.
        watch_words: whether to sum the attention map of every word of every prompt.
        merge_edits: False merges equal roots only.

    Raises:
        ValueError: a parent does not come before its child.
    """
    for i, stream in enumerate(streams):
        if stream.parent is not None and not 0 <= stream.parent < i:
            raise ValueError(f"stream {i} has parent {stream.parent}; parents come before their children")
    parts: dict[Part, int] = {}
    timelines = [
        [
            (steps.start, steps.stop, parts.setdefault(part, len(parts)))
            for steps, part in _controls(stream.edit, num_inference_steps)
        ]
        for stream in streams
    ]
    cuts = sorted({0, num_inference_steps}.union(*({start, stop} for line in timelines for start, stop, _ in line)))
    blends = {number for part, number in parts.items() if part[0] == "blend"}
    before: Sequence[int] = starts if starts is not None else [0] * len(streams)
    segments = []
    for start, stop in itertools.pairwise(cuts):
        active = [tuple(part for first, last, part in line if first <= start < last) for line in timelines]
        segments.append(_merge(range(start, stop), streams, before, active, blends, merge_edits))
        before = segments[-1].node_of
    return Plan(tuple(streams), num_inference_steps, tuple(segments), watch_words, own_starts=starts is not None)


def _merge(
    steps: range,
    streams: Sequence[Stream],
    before: Sequence[int],
    active: Sequence[tuple[int, ...]],
    blends: Collection[int],
    merge_edits: bool,
) -> Segment:
    """The nodes of a segment: distinct origin, prompt, controls, and parent's node where there are controls."""
    known: dict[Hashable, int] = {}
    families: dict[Hashable, int] = {}
    nodes: list[Node] = []
    node_of: list[int] = []
    for i, stream in enumerate(streams):
        is_root = stream.parent is None
        parent = node_of[stream.parent] if stream.parent is not None and active[i] else None
        own = None if merge_edits or is_root else i
        place = known.setdefault((before[i], stream.prompt.text, is_root, parent, active[i], own), len(nodes))
        if place == len(nodes):
            controls = tuple(part for part in active[i] if part not in blends)
            family = (stream.prompt.text, is_root, parent if controls else None, controls, own)
            nodes.append(Node(i, before[i], parent, is_root, families.setdefault(family, len(families))))
        node_of.append(place)
    return Segment(steps, tuple(nodes), tuple(node_of))


def _controls(edit: Edit | None, num_inference_steps: int) -> Iterator[tuple[range, Part]]:
    """What an edit does, as windows of steps and what decides its effect in them; windows without steps left out."""
    if edit is None:
        return
    inject, limit = edit.v_inject, edit.self_replace_max_pixels
    values = ("values", inject.layers, inject.tokens, inject.weight, edit.kind, limit)
    controls: list[tuple[range, Part]] = [
        *_cross_controls(edit, num_inference_steps),
        (step_window(edit.self_replace_steps, num_inference_steps), ("self", limit)),
        (step_window(edit.v_inject_steps, num_inference_steps), values),
    ]
    if edit.k is not None:
        blend = edit.local_blend
        words = (blend.source_words, blend.target_words, blend.source_subtract_words, blend.target_subtract_words)
        start = int(blend.start_blend * num_inference_steps)
        controls.append((range(start, num_inference_steps), ("blend", edit.k, words)))
    for steps, part in controls:
        inside = range(steps.start, min(steps.stop, num_inference_steps))
        if inside:
            yield inside, part


def _cross_controls(edit: Edit, num_inference_steps: int) -> Iterator[tuple[range, Part]]:
    """The windows of cross-attention, one a word that has its own."""
    windows = edit.cross_replace_steps
    per_word: Mapping[str, Window] = windows if isinstance(windows, Mapping) else {DEFAULT: windows}
    scales = tuple(sorted(edit.equalizer.items()))
    words = tuple(sorted({DEFAULT, *per_word}))
    for word in words:
        steps = cross_window(per_word.get(word, (0.0, 1.0)), num_inference_steps)
        yield steps, ("cross", word, words, edit.kind, scales)
