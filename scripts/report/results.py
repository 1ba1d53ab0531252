"""Sweeps read from their folders, for reports."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from metrics.registry import Metric


@dataclass(frozen=True)
class Results:
    """Cells of one sweep or of several side by side.

    Attributes:
        folders: the sweeps'.
        cells: the rows of their summaries (`sweep` names the folder), whatever their status; a cell that is in two
            sweeps is there once.
        metrics: those with a column in `cells`, in the registry's order.
        aggregates: the rows of their `aggregates/*.parquet`, newest version of each; empty if there are none.
    """

    folders: tuple[Path, ...]
    cells: pd.DataFrame
    metrics: tuple[Metric, ...]
    aggregates: pd.DataFrame


def read_results(folders: Sequence[Path]) -> Results:
    """Read sweeps' summaries, made from the store where it is newer; a folder with `summary.parquet` alone will do.

    Raises:
        ValueError: a folder is no sweep's, or holds no cell.
    """
    raise NotImplementedError
