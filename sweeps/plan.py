"""Groups: cells that share a source picture, as streams for one `denoise`."""

from collections.abc import Sequence
from dataclasses import dataclass

from p2p.prompts import Prompt
from p2p.streams import Stream
from sweeps.cells import Cell


@dataclass(frozen=True)
class CellStreams:
    """Which streams of a group a cell reads: positions of source, target, and of its cycle if it has one."""

    source: int
    target: int
    cycle_root: int | None = None
    cycle: int | None = None


@dataclass(frozen=True)
class Group:
    """Cells with one source stream, and the streams that draw them all: roots first, parents before children."""

    cells: tuple[Cell, ...]
    streams: tuple[Stream, ...]
    places: tuple[CellStreams, ...]

    @property
    def unet_samples(self) -> int:
        """Latents through the UNet in all: with guidance two a stream and step."""
        return sum(self.samples_by_stream())

    def samples_by_stream(self) -> list[int]:
        """Latents through the UNet for each stream."""
        sampler = self.cells[0].sampler
        each = sampler.num_inference_steps * (2 if sampler.guidance_scale != 1 else 1)
        return [each] * len(self.streams)

    def samples_by_cell(self) -> list[float]:
        """Latents through the UNet for each cell, those of a shared stream split equally among its cells."""
        used = [_used(place) for place in self.places]
        sharers = [sum(i in streams for streams in used) for i in range(len(self.streams))]
        each = self.samples_by_stream()
        return [sum(each[i] / sharers[i] for i in streams) for streams in used]


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
    for cell in cells:
        if cell.reverse is not None:
            roots.setdefault(cell.target.text, len(roots) + 1)
    streams = [Stream(source), *(Stream(_prompt_of(cells, text)) for text in roots)]
    places = []
    for cell in cells:
        streams.append(Stream(cell.target, parent=0, edit=cell.edit))
        target = len(streams) - 1
        if cell.reverse is None:
            places.append(CellStreams(0, target))
            continue
        root = roots[cell.target.text]
        streams.append(Stream(source, parent=root, edit=cell.reverse))
        places.append(CellStreams(0, target, root, len(streams) - 1))
    return Group(tuple(cells), tuple(streams), tuple(places))


def _prompt_of(cells: Sequence[Cell], text: str) -> Prompt:
    return next(cell.target for cell in cells if cell.target.text == text)


def _used(place: CellStreams) -> list[int]:
    return [i for i in (place.source, place.target, place.cycle_root, place.cycle) if i is not None]
