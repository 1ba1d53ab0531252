"""What a sweep will take before anything of it runs: UNet samples, shards, time and disk."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from sweeps.cells import Cell
from sweeps.ledger import Ledger
from sweeps.pictures import estimate_bytes
from sweeps.progress import duration
from sweeps.settings import SweepSettings
from sweeps.shards import Work, make_shards
from sweeps.store import Store

_PART_BYTES = 20_000
"""Of a Parquet part, with the columns' statistics."""
_ROW_BYTES = 400
"""Of a cell in the edits and scores parts."""


class Rate(NamedTuple):
    """UNet samples a second that an earlier sweep reached, and where."""

    unet_samples_per_s: float
    device: str
    sweep: str


@dataclass(frozen=True)
class Forecast:
    """A plan in numbers.

    Attributes:
        cells, groups: of the whole grid; groups share a source picture.
        stored: cells that the store has already.
        unet_samples: of the whole grid, if each cell were drawn alone (`cell_by_cell`), if cells shared their plain
            pictures (`shared_source`), and as planned, with shared prefixes (`planned`).
        to_draw: planned UNet samples of the cells that are not stored.
        shards: their UNet samples, one a task.
        pictures, files, bytes: that the whole grid leaves on disk.
        rate: of an earlier sweep with the same model.
    """

    cells: int
    groups: int
    stored: int
    unet_samples: dict[str, int]
    to_draw: int
    shards: tuple[int, ...]
    pictures: int
    files: int
    bytes: int
    rate: Rate | None

    @property
    def seconds(self) -> float | None:
        """Until all is drawn, the shards side by side; None if no sweep with this model has run."""
        longest = max(self.shards, default=0)
        return longest / self.rate.unet_samples_per_s if self.rate else None

    def as_json(self) -> str:
        """One JSON object."""
        values: dict[str, Any] = {name: getattr(self, name) for name in ("cells", "groups", "stored", "unet_samples")}
        values |= {"shards": len(self.shards), "shard_unet_samples": list(self.shards)}
        values |= {"pictures": self.pictures, "files": self.files, "bytes": self.bytes, "seconds": self.seconds}
        return json.dumps(values)

    def __str__(self) -> str:
        counts = self.unet_samples
        each = {name: f"{number:,} ({number / self.cells:.1f} a cell)" for name, number in counts.items()}
        time = "unknown until a sweep with this model has run from here"
        if self.rate is not None and self.seconds is not None:
            speed = f"{self.rate.unet_samples_per_s:.0f} UNet samples/s"
            time = f"about {duration(self.seconds)} of drawing, at {speed} as {self.rate.sweep} on {self.rate.device}"
        shards = f"{len(self.shards)}"
        if len(self.shards) > 1:
            shards += f", of {min(self.shards):,} to {max(self.shards):,} UNet samples"
        lines = {
            "cells": f"{self.cells:,} in {self.groups:,} groups; {self.stored:,} stored",
            "UNet samples": f"cell by cell {each['cell_by_cell']}",
            " ": f"shared source {each['shared_source']}",
            "  ": f"planned {each['planned']}, {self.to_draw:,} of them to do",
            "shards": shards,
            "time": time,
            "disk": f"{self.pictures:,} pictures, {self.files:,} files, {self.bytes / 1e6:,.0f} MB",
        }
        return "\n".join(f"{name:>12}  {text}" for name, text in lines.items())


def forecast(works: Sequence[Work], settings: SweepSettings, shards: int) -> Forecast:
    """Plan works; reads the store if there is one, and loads nothing else."""
    ledger = Ledger(Store(settings.folder)) if settings.folder.is_dir() else None
    left = [_left(work, ledger) for work in works]
    to_draw = [work for work in left if work is not None]
    images = settings.images
    each = replace(images, keep="all")
    pictures = files = size = 0
    for work in works:
        kept = _pictures(work.cells) if images.keeps(work.cells[0].group_id) else 0
        sampler = work.cells[0].sampler
        pictures += kept
        files += 2 + (bool(kept) if images.pack else kept)
        size += estimate_bytes(each, sampler.width, sampler.height, kept)
        size += 2 * _PART_BYTES + _ROW_BYTES * len(work.cells)
    groups = [work.group for work in works]
    return Forecast(
        cells=sum(len(work.cells) for work in works),
        groups=len({work.cells[0].group_id for work in works}),
        stored=sum(ledger.is_drawn(cell) for work in works for cell in work.cells) if ledger else 0,
        unet_samples={
            "cell_by_cell": sum(group.unet_samples_cell_by_cell for group in groups),
            "shared_source": sum(group.unet_samples_of_streams for group in groups),
            "planned": sum(group.unet_samples for group in groups),
        },
        to_draw=sum(work.group.unet_samples for work in to_draw),
        shards=tuple(shard.unet_samples for shard in make_shards(to_draw, shards)),
        pictures=pictures,
        files=files,
        bytes=size,
        rate=known_rate(works[0].cells[0], settings.folder) if works else None,
    )


def known_rate(cell: Cell, folder: Path) -> Rate | None:
    """How fast this sweep, else another one beside it, drew with this model, size and dtype."""
    summaries = [folder / "summary.parquet", *sorted(folder.parent.glob("*/summary.parquet"), reverse=True)]
    columns = ["model", "dtype", "device", "unet_samples", "wall_s", "status", "created_at"]
    for path in summaries:
        try:
            rows = pd.read_parquet(path, columns=columns)
        except (OSError, ValueError):
            continue
        rows = rows[(rows["status"] == "ok") & (rows["model"] == cell.model.name) & (rows["dtype"] == cell.model.dtype)]
        if len(rows) and rows["wall_s"].sum() > 0:
            newest = str(rows.sort_values("created_at")["device"].iloc[-1])
            rows = rows[rows["device"] == newest]
            return Rate(float(rows["unet_samples"].sum() / rows["wall_s"].sum()), newest, path.parent.name)
    return None


def _left(work: Work, ledger: Ledger | None) -> Work | None:
    """The part of a work that is not stored."""
    if ledger is None:
        return work
    cells = tuple(cell for cell in work.cells if not ledger.is_drawn(cell))
    if len(cells) == len(work.cells):
        return work
    return replace(work, cells=cells) if cells else None


def _pictures(cells: Sequence[Cell]) -> int:
    return 1 + len(cells) + sum(cell.reverse is not None for cell in cells)
