"""Groups: cells that share a source picture, as streams for one `denoise`."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    """

    cells: tuple[Cell, ...]
    streams: tuple[Stream, ...]
    places: tuple[CellStreams, ...]
    inverted: tuple[Stream, ...] = ()

    @property
    def samples_by_stream(self) -> int:
        """Latents through the UNet for one stream: with guidance two a step."""
        sampler = self.cells[0].sampler
        return sampler.num_inference_steps * (2 if sampler.guidance_scale != 1 else 1)

    @property
    def unet_samples(self) -> int:
        """Latents through the UNet in all; an inversion takes one a step, at guidance 1."""
        inversions = len(self.inverted) // 2 * self.cells[0].sampler.num_inference_steps
        return (len(self.streams) + len(self.inverted)) * self.samples_by_stream + inversions

    def samples_by_cell(self) -> list[float]:
        """Latents through the UNet for each cell, those of a shared stream split equally among its cells."""
        used = [_used(place) for place in self.places]
        sharers = [sum(i in streams for streams in used) for i in range(len(self.streams))]
        each = self.samples_by_stream
        own = 2 * each + self.cells[0].sampler.num_inference_steps
        return [
            sum(each / sharers[i] for i in streams) + (own if place.is_inverted else 0)
            for place, streams in zip(self.places, used, strict=True)
        ]


def make_groups(cells: Sequence[Cell]) -> list[Group]:
    """Cells gathered by what their source picture depends on, in order of first appearance."""
    gathered: dict[str, list[Cell]] = {}
    for cell in cells:
        gathered.setdefault(cell.group_id, []).append(cell)
    return [plan_group(members) for members in gathered.values()]


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
