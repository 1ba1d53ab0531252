"""What of a sweep is stored and what is still to do, kept up to date by reading new parts only."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from metrics.loading import MetricsConfig
from metrics.registry import get_metrics
from sweeps.cells import Cell
from sweeps.store import Store


class Outstanding(NamedTuple):
    """What of some cells is still to do: those to draw, and drawn ones to score."""

    to_draw: list[Cell]
    to_score: list[Cell]


class Ledger:
    """A view of a store to which several workers append.

    Args:
        store: the sweep's.
        since: cells that failed after this moment are not tried again; None: none is.
    """

    def __init__(self, store: Store, since: datetime | None = None):
        self.store, self.since = store, since
        self._seen: dict[str, set[str]] = {"edits": set(), "scores": set()}
        self._failed: set[str] = set()
        self._scored: dict[str, set[tuple[str, int]]] = {}
        self._drawn: set[str] = set()
        self._unkept: set[str] = set()
        self.refresh()
        self._drawn = store.done()

    def refresh(self) -> None:
        """Read what was appended since the last time."""
        for cell_id, status, created, target in self._new("edits", ("cell_id", "status", "created_at", "target_image")):
            if status == "ok":
                self._drawn.add(cell_id)
                self._failed.discard(cell_id)
                (self._unkept.add if target is None else self._unkept.discard)(cell_id)
            elif self.since is not None and created >= self.since:
                self._failed.add(cell_id)
        for cell_id, metric, version in self._new("scores", ("cell_id", "metric", "metric_version")):
            self._scored.setdefault(cell_id, set()).add((metric, version))

    def is_drawn(self, cell: Cell) -> bool:
        """Whether a cell is stored with the pictures that were kept."""
        return cell.cell_id in self._drawn

    def outstanding(self, cells: Sequence[Cell], metrics: MetricsConfig) -> Outstanding:
        """What of some cells is still to do; a cell whose pictures were not kept is drawn again to be scored."""
        wanted = {(metric.name, metric.version) for metric in get_metrics(metrics.names)}
        to_draw, to_score = [], []
        for cell in cells:
            name = cell.cell_id
            lacks = not wanted <= self._scored.get(name, set())
            if name in self._drawn and lacks and name not in self._unkept:
                to_score.append(cell)
            elif name not in self._failed and (name not in self._drawn or lacks):
                to_draw.append(cell)
        return Outstanding(to_draw, to_score)

    def _new(self, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
        """The rows of the parts not read before."""
        parts = self.store.parts(table) - self._seen[table]
        self._seen[table] |= parts
        rows = self.store.read(table, columns, parts)
        return zip(*(rows[name].to_pylist() for name in columns), strict=True)
