"""Sweeps read from their folders, for reports."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metrics.registry import METRICS, Metric
from sweeps.configurations import AXES
from sweeps.provenance import SCORE_SOURCES, superseded

_NEEDED = ("cell_id", "config_id", "category", "pair", "seed", "status", "edit", *AXES)
_AGGREGATES = ("config_id", "category", "metric", "metric_version", "network", "value", "n", "reason")


@dataclass(frozen=True)
class Results:
    """Cells of one sweep or of several side by side.

    Attributes:
        folders: the sweeps'.
        cells: the rows of their summaries, whatever their status; a cell that is in two sweeps is there once. `folder`
            is the text of the sweep's folder, below which its recorded pictures lie, `sweep` that folder's name.
            `attrs` holds what `sweeps.provenance.mixtures` reads.
        metrics: those with a column in `cells`, in the registry's order.
        aggregates: the rows of their `aggregates/*.parquet` (config_id, category, metric, metric_version, network,
            value, n, reason), newest version of each; empty if there are none.
    """

    folders: tuple[Path, ...]
    cells: pd.DataFrame
    metrics: tuple[Metric, ...]
    aggregates: pd.DataFrame


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


def _summary(folder: Path) -> pd.DataFrame:
    """A sweep's cells, from `summary.parquet` or from the store's parts if one of them is newer."""
    path = folder / "summary.parquet"
    parts = [part for table in ("edits", "scores") for part in (folder / table).glob("[0-9]*.parquet")]
    if not path.is_file() and not parts:
        raise ValueError(f"{folder} is not the folder of a sweep that has begun; it is results/<sweep>")
    if not path.is_file() or any(part.stat().st_mtime > path.stat().st_mtime for part in parts):
        from sweeps.store import Store  # imports torch

        cells = Store(folder).summary()
    else:
        cells = pd.read_parquet(path)
    missing = [name for name in _NEEDED if name not in cells]
    if missing:
        raise ValueError(f"{path} has no column {missing[0]}; it is not the summary of a sweep")
    if cells.empty:
        raise ValueError(f"{folder} holds no cell yet; wait for the first to be drawn, or give another sweep")
    kept = cells.assign(sweep=folder.name or folder.resolve().name, folder=str(folder))
    kept.attrs = dict(cells.attrs)
    return kept


def _lines(summaries: Iterable[pd.DataFrame]) -> list[str]:
    return list(dict.fromkeys(line for cells in summaries for line in cells.attrs.get(SCORE_SOURCES, [])))


def _aggregates(folders: Sequence[Path]) -> pd.DataFrame:
    """Rows of all sweeps' `aggregates`, of each value the one of the highest version, then the last stored."""
    parts = sorted((part for folder in folders for part in (folder / "aggregates").glob("*.parquet")), key=_name)
    empty = pd.DataFrame(columns=list(_AGGREGATES))
    rows = pd.concat([pd.read_parquet(part) for part in parts], ignore_index=True) if parts else empty
    rows = rows.sort_values("metric_version", kind="stable")
    return rows.drop_duplicates(["config_id", "category", "metric"], keep="last").reset_index(drop=True)


def _name(path: Path) -> str:
    return path.name
