"""What makes a report small enough to be kept: its sweeps without pictures, and its largest tables compressed."""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scripts.report.results import read_results
from sweeps.files import write_atomically

LARGE = 1_000_000
"""Bytes of a CSV table from which it is compressed."""
_PICTURES = ("source_image", "target_image", "cycle_image")


def publish_sweeps(folders: Sequence[Path], out: Path) -> int:
    """Write `out`/<sweep>/summary.parquet and, where there are any, aggregates; each folder can be reported on again.

    Returns:
        Bytes written.

    Raises:
        ValueError: a folder is no sweep's, or two have the same name.
        OSError: a file cannot be written.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise ValueError(f"--publish keeps sweeps by name, and two of {', '.join(names)} are alike; rename a folder")
    written = 0
    for name, folder in zip(names, folders, strict=True):
        results = read_results([folder])
        cells = results.cells.drop(columns="folder").assign(**dict.fromkeys(_PICTURES))
        written += _write(cells, out / name / "summary.parquet")
        if len(results.aggregates):
            written += _write(results.aggregates, out / name / "aggregates" / "published.parquet")
    return written


def compress_tables(folder: Path) -> None:
    """Put `<table>.csv.gz`, which pandas reads as it is, in the place of every large `<table>.csv` of a folder.

    Raises:
        OSError: a file cannot be written.
    """
    for path in folder.glob("*.csv"):
        compressed = path.with_suffix(".csv.gz")
        if path.stat().st_size < LARGE:
            compressed.unlink(missing_ok=True)
            continue
        write_atomically(compressed, gzip.compress(path.read_bytes(), mtime=0))
        path.unlink()


def _write(table: pd.DataFrame, path: Path) -> int:
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    write_atomically(path, buffer.getvalue())
    return buffer.tell()
