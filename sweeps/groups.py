"""Groups: cells that share a source picture, as streams for one `denoise`."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from p2p.plan import Plan, plan_streams
from p2p.prompts import Prompt
from p2p.streams import Stream
from sweeps.cells import Cell


@dataclass(frozen=True)
class CellStreams:
    """Which streams a cell reads: positions among the group's, the cycle's among `inverted` if it starts there."""

    source: int
    target: int
    cycle_root: int | None = None
    cycle: int | None = None
    is_inverted: bool = False


@dataclass(frozen=True)
class Group:
    """Cells with one source stream, and the streams that draw them all: roots first, parents before children.

    Attributes:
        cells: its cells.
        streams: denoised together from the seed's noise.
        places: for each cell its streams.
        inverted: denoised together afterwards (`cycle.mode=invert`), a root and its child from each edit's inversion.
        with_regions: whether the region of each edit is kept: where the plain source attends to its words.
    """

    cells: tuple[Cell, ...]
    streams: tuple[Stream, ...]
    places: tuple[CellStreams, ...]
    inverted: tuple[Stream, ...] = ()
    with_regions: bool = False

    @cached_property
    def plan(self) -> Plan:
        """The streams merged into a tree over the steps."""
        return plan_streams(self.streams, self._steps)

    @property
    def unet_samples(self) -> int:
        """Latents through the UNet in all; an inversion takes one a step, at guidance 1."""
        drawn = self.plan.num_latents + len(self.inverted) * self._steps
        return drawn * self._samples_a_latent + len(self.inverted) // 2 * self._steps

    @property
    def unet_samples_of_streams(self) -> int:
        """The same if edits shared nothing but the plain streams they start from."""
        return self.unet_samples + self._samples_a_latent * (len(self.streams) * self._steps - self.plan.num_latents)

    @property
    def unet_samples_cell_by_cell(self) -> int:
        """The same if every cell were drawn alone."""
        streams = sum(2 if place.cycle is None or place.is_inverted else 4 for place in self.places)
        own = (streams + len(self.inverted)) * self._steps * self._samples_a_latent
        return own + len(self.inverted) // 2 * self._steps

    def samples_by_cell(self) -> list[float]:
        """Latents through the UNet for each cell, those of a shared node split equally among its cells."""
        each = self._samples_a_latent
        totals = [float(2 * each * self._steps + self._steps) if place.is_inverted else 0.0 for place in self.places]
        for segment in self.plan.segments:
            nodes = [{segment.node_of[i] for i in _used(place)} for place in self.places]
            sharers = Counter(node for own in nodes for node in own)
            for i, own in enumerate(nodes):
                totals[i] += sum(each * len(segment.steps) / sharers[node] for node in own)
        return totals

    @property
    def _steps(self) -> int:
        return self.cells[0].sampler.num_inference_steps

    @property
    def _samples_a_latent(self) -> int:
        return 2 if self.cells[0].sampler.guidance_scale != 1 else 1


def plan_group(cells: Sequence[Cell]) -> Group:
    """One source stream; one plain stream per target prompt whose edits are undone; an edit and its reverse a cell."""
    source = cells[0].source
    roots: dict[str, int] = {}
    targets: dict[str, Prompt] = {}
    for cell in cells:
        if cell.reverse is not None and cell.cycle_mode == "swap":
            roots.setdefault(cell.target.text, len(roots) + 1)
            targets.setdefault(cell.target.text, cell.target)
    streams = [Stream(source), *(Stream(target) for target in targets.values())]
    inverted: list[Stream] = []
    places = []
    for cell in cells:
        streams.append(Stream(cell.target, parent=0, edit=cell.edit))
        place = CellStreams(source=0, target=len(streams) - 1)
        if cell.reverse is not None and cell.cycle_mode == "swap":
            root = roots[cell.target.text]
            streams.append(Stream(source, parent=root, edit=cell.reverse))
            place = replace(place, cycle_root=root, cycle=len(streams) - 1)
        elif cell.reverse is not None:
            root = len(inverted)
            inverted += [Stream(cell.target), Stream(source, parent=root, edit=cell.reverse)]
            place = replace(place, cycle_root=root, cycle=root + 1, is_inverted=True)
        places.append(place)
    return Group(tuple(cells), tuple(streams), tuple(places), tuple(inverted))


def plan_dialogue(cells: Sequence[Cell]) -> Group:
    """Edits of edits: each cell's source is the target of the cell before, and its stream that one's child.

    Raises:
        ValueError: a cell's cycle is asked for; a dialogue has none.
    """
    if any(cell.cycle_mode != "none" for cell in cells):
        raise ValueError("a dialogue has no cycle score; set cycle.mode=none")
    streams = [Stream(cells[0].source)]
    for i, cell in enumerate(cells):
        streams.append(Stream(cell.target, parent=i, edit=cell.edit))
    return Group(tuple(cells), tuple(streams), tuple(CellStreams(i, i + 1) for i in range(len(cells))))


def _used(place: CellStreams) -> list[int]:
    """A cell's streams among the group's first."""
    cycle = (None, None) if place.is_inverted else (place.cycle_root, place.cycle)
    return [i for i in (place.source, place.target, *cycle) if i is not None]
