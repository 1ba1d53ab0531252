"""Sweeps read from their folders, for reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metrics.registry import METRICS, Metric
from sweeps.aggregates import read_aggregates
from sweeps.configurations import AXES
from sweeps.pictures import present
from sweeps.provenance import SCORE_SOURCES, superseded
from sweeps.store import IMAGES, Store

_NEEDED = ("cell_id", "config_id", "category", "pair", "seed", "status", "edit", *AXES)


@dataclass(frozen=True)
class Results:
    """Cells of one sweep or of several side by side.

    Attributes:
        folders: the sweeps'.
        cells: the rows of their summaries, whatever their status; a cell that is in two sweeps is there once. `folder`
            is the text of the sweep's folder, below which its recorded pictures lie, `sweep` that folder's name.
            Recorded are pictures that are there.
            `attrs` holds what `sweeps.provenance.mixtures` reads.
        metrics: those with a column in `cells`, in the registry's order.
        aggregates: the rows of their `aggregates/*.parquet` (config_id, category, metric, metric_version, network,
            value, n, reason), newest version of each; empty if there are none.
    """

    folders: tuple[Path, ...]
    cells: pd.DataFrame
    metrics: tuple[Metric, ...]
    aggregates: pd.DataFrame

    @property
    def names(self) -> tuple[str, ...]:
        """The sweeps' names."""
        return tuple(folder.resolve().name for folder in self.folders)


def read_results(folders: Sequence[Path]) -> Results:
    """Read sweeps' summaries, made from the store where it is newer; a folder with `summary.parquet` alone will do.

    Nothing is written. A cell that is in several sweeps is taken drawn rather than failed, then as drawn last.

    Raises:
        ValueError: no folder is given or one twice, a folder is no sweep's, or holds no cell.
    """
    if not folders:
        raise ValueError("no sweep is given; give one folder or several, as results/quickstart")
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise ValueError("a sweep is given twice; give each folder once")
    summaries = [_summary(folder) for folder in folders]
    cells = pd.concat(summaries, ignore_index=True)
    cells = cells.assign(drawn=cells["status"] == "ok").sort_values(["drawn", "created_at"], kind="stable")
    cells = cells.drop(columns="drawn").drop_duplicates("cell_id", keep="last")
    cells = cells[~superseded(cells)] if len(folders) > 1 else cells
    cells = cells.sort_values(["category", "pair", "seed", "config_id", "cell_id"]).reset_index(drop=True)
    cells.attrs = {SCORE_SOURCES: _lines(summaries)}
    metrics = tuple(metric for metric in METRICS.values() if metric.name in cells)
    return Results(tuple(folders), cells, metrics, _aggregates(folders))


def with_stored_pictures(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells with null for recorded pictures that are gone, or were never brought here."""
    recorded = [name for name in IMAGES if name in cells]
    there = pd.DataFrame(False, cells.index, recorded)
    for folder, own in cells.groupby("folder"):
        paths = (path for name in recorded for path in own[name].dropna())
        there.loc[own.index] = own[recorded].isin(present(Path(str(folder)), paths))
    return cells.assign(**{name: cells[name].astype(object).where(there[name], None) for name in recorded})


def _summary(folder: Path) -> pd.DataFrame:
    """A sweep's cells."""
    cells = Store(folder).read_summary()
    missing = [name for name in _NEEDED if name not in cells]
    if missing:
        raise ValueError(f"{folder}/summary.parquet has no column {missing[0]}; it is not the summary of a sweep")
    if cells.empty:
        raise ValueError(f"{folder} holds no cell yet; wait for the first to be drawn, or give another sweep")
    kept = with_stored_pictures(cells.assign(sweep=folder.resolve().name, folder=str(folder)))
    kept.attrs = dict(cells.attrs)
    return kept


def _lines(summaries: Iterable[pd.DataFrame]) -> list[str]:
    return list(dict.fromkeys(line for cells in summaries for line in cells.attrs.get(SCORE_SOURCES, [])))


def _aggregates(folders: Sequence[Path]) -> pd.DataFrame:
    """Rows of all sweeps' `aggregates`, of each value the one of the highest version, then of the last sweep."""
    rows = pd.concat([read_aggregates(folder) for folder in folders], ignore_index=True)
    rows = rows.sort_values("metric_version", kind="stable")
    return rows.drop_duplicates(["config_id", "category", "metric"], keep="last").reset_index(drop=True)
