"""Work: what a worker claims at once, and shards of it for many workers."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from metrics.loading import MetricsConfig
from sweeps.cells import Cell
from sweeps.config import ModelConfig, PlannedCell
from sweeps.groups import Group, plan_group


@dataclass(frozen=True)
class Work:
    """Cells of one group, drawn and stored together, with what is loaded for them.

    Attributes:
        name: claimed under it; the same in every process that plans the same cells.
        model, metrics: what draws and what scores them.
        cells: at most `sweep.part_size` of them.
    """

    name: str
    model: ModelConfig
    metrics: MetricsConfig
    cells: tuple[Cell, ...]

    @cached_property
    def group(self) -> Group:
        """Its cells' streams."""
        return plan_group(self.cells)


@dataclass
class Shard:
    """Work of one task, and its UNet samples."""

    unet_samples: int = 0
    works: list[Work] = field(default_factory=list)


def make_works(planned: Sequence[PlannedCell], part_size: int) -> list[Work]:
    """Cells gathered by model, metrics and group, in order of first appearance, in parts of at most `part_size`."""
    gathered: dict[tuple[ModelConfig, MetricsConfig, str], list[Cell]] = {}
    for one in planned:
        gathered.setdefault((one.model, one.metrics, one.cell.group_id), []).append(one.cell)
    seen: dict[tuple[ModelConfig, MetricsConfig], int] = {}
    places = {key: seen.setdefault(key[:2], len(seen)) for key in gathered}
    works = []
    for model, metrics, group_id in sorted(gathered, key=lambda key: places[key]):
        cells = gathered[model, metrics, group_id]
        for part, start in enumerate(range(0, len(cells), part_size)):
            works.append(Work(f"{group_id}-{part}", model, metrics, tuple(cells[start : start + part_size])))
    return works


def make_shards(works: Sequence[Work], number: int) -> list[Shard]:
    """At most `number` shards of nearly equal cost: the dearest work first, each to the cheapest shard so far."""
    shards = [Shard() for _ in range(min(number, len(works)))]
    heap = [(0, i) for i in range(len(shards))]
    for work in sorted(works, key=lambda work: -work.group.unet_samples):
        cost, i = heapq.heappop(heap)
        shards[i].works.append(work)
        shards[i].unet_samples = cost + work.group.unet_samples
        heapq.heappush(heap, (shards[i].unet_samples, i))
    places = {work.name: i for i, work in enumerate(works)}
    for shard in shards:
        shard.works.sort(key=lambda work: places[work.name])
    return shards
