"""What W&B gets of a report: the tables and figures that `p2p-report` wrote below a sweep's folder."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

REPORT_KEYS: Mapping[str, str] = {"report/figures": "figures", "report/sheets": "figures/sheets"}
"""Keys of pictures in the sweep's W&B run, and the report's folders that they come from."""


def report_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The report's tables by W&B key, `report/<name>`; none where there is no report.

    Args:
        folder: the report's, `results/<sweep>/report`.
    """
    return {f"report/{path.name.partition('.')[0]}": pd.read_csv(path) for path in _tables(folder)}


def report_images(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """The report's figures and contact sheets by W&B key, each as its place and a caption."""
    found = {
        key: [(str(path.resolve()), path.stem) for path in sorted((folder / name).glob("*.png"))]
        for key, name in REPORT_KEYS.items()
    }
    return {key: images for key, images in found.items() if images}


def report_digest(folder: Path) -> str:
    """Of all that W&B gets of a report; empty where there is none."""
    images = [Path(path) for shown in report_images(folder).values() for path, _ in shown]
    files = [*_tables(folder), *images]
    parts = [f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}" for path in files]
    return "\n".join(parts)


def table_values(table: pd.DataFrame) -> dict[str, Any]:
    """A table as `tracking_runs.py` takes it, with None where a value is missing."""
    plain = table.astype(object).where(table.notna(), None)
    return {"columns": [str(name) for name in table.columns], "rows": plain.to_numpy().tolist()}


def _tables(folder: Path) -> list[Path]:
    """Its CSV files, the largest of a published report compressed."""
    return sorted(path for end in ("csv", "csv.gz") for path in (folder / "tables").glob(f"*.{end}"))
