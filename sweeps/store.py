"""The store of a sweep: append-only Parquet parts and pictures below `results/<sweep>`; everything else is derived."""

import io
import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor

from metrics.score import Score
from sweeps.files import write_atomically

EDITS = pa.schema(
    [
        *[
            (name, pa.string())
            for name in (
                ["cell_id", "config_id", "sweep", "model", "category", "pair", "kind", "source_prompt", "target_prompt"]
            )
        ],
        ("seed", pa.int64()),
        ("num_inference_steps", pa.int64()),
        *[
            (name, pa.float64())
            for name in (["guidance_scale", "k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"])
        ],
        *[
            (name, pa.string())
            for name in ["edit", "cycle_mode", "status", "error", "source_image", "target_image", "cycle_image"]
        ],
        ("unet_samples", pa.float64()),
        ("wall_s", pa.float64()),
        *[(name, pa.string()) for name in ["device", "dtype", "versions", "git_commit"]],
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)
SCORES = pa.schema(
    [
        ("cell_id", pa.string()),
        ("metric", pa.string()),
        ("metric_version", pa.int64()),
        ("network", pa.string()),
        ("value", pa.float64()),
        ("reason", pa.string()),
    ]
)


@dataclass(frozen=True)
class Store:
    """A sweep's folder. Parts are written beside their place, synced and renamed, and never rewritten."""

    folder: Path

    @property
    def summary_path(self) -> Path:
        """The derived table, one row a cell."""
        return self.folder / "summary.parquet"

    def prepare(self) -> None:
        """Make the folders and prove that they can be written.

        Raises:
            ValueError: they cannot; the message says why.
        """
        try:
            for name in ("edits", "scores", "images/source", "images/target", "images/cycle", "tables", "figures"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe-{os.getpid()}"
            write_atomically(probe, b"")
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"results_dir: cannot write to {self.folder} ({error.strerror}); choose another with results_dir=..."
            ) from error

    def save_picture(self, kind: str, name: str, picture: Tensor) -> str:
        """Store a picture, uint8 (3, height, width), as PNG; its path relative to the sweep's folder."""
        path = f"images/{kind}/{name}.png"
        buffer = io.BytesIO()
        Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()).save(buffer, format="PNG")
        write_atomically(self.folder / path, buffer.getvalue())
        return path

    def load_picture(self, path: str) -> Tensor:
        """A stored picture, uint8 (3, height, width)."""
        with Image.open(self.folder / path) as image:
            return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).permute(2, 0, 1)

    def append_edits(self, part: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows of cells."""
        self._append("edits", part, pa.Table.from_pylist([dict(row) for row in rows], schema=EDITS))

    def append_scores(self, part: str, scores: Sequence[Score]) -> None:
        """Append scores."""
        if scores:
            self._append("scores", part, pa.Table.from_pylist([score._asdict() for score in scores], schema=SCORES))

    def edits(self) -> pd.DataFrame:
        """The newest row of every cell."""
        rows = self._read("edits", EDITS).sort_values("created_at", kind="stable")
        return rows.drop_duplicates("cell_id", keep="last").reset_index(drop=True)

    def scores(self) -> pd.DataFrame:
        """The newest score of every cell and metric."""
        rows = self._read("scores", SCORES).sort_values("metric_version", kind="stable")
        return rows.drop_duplicates(["cell_id", "metric"], keep="last").reset_index(drop=True)

    def done(self) -> set[str]:
        """The cells that are stored with their pictures."""
        rows = self.edits()
        ok = rows[rows["status"] == "ok"]
        paths = ok[["source_image", "target_image", "cycle_image"]]
        there = paths.map(lambda path: path is None or pd.isna(path) or (self.folder / path).is_file()).all(axis=1)
        return set(ok.loc[there, "cell_id"])

    def write_summary(self) -> pd.DataFrame:
        """Join edits and scores into `summary.parquet`, one row a cell and one column a metric."""
        edits, scores = self.edits(), self.scores()
        wide = scores.pivot(index="cell_id", columns="metric", values="value").astype("float64")
        summary = edits.merge(wide, left_on="cell_id", right_index=True, how="left")
        summary = summary.sort_values(["category", "pair", "seed", "config_id", "cell_id"]).reset_index(drop=True)
        buffer = io.BytesIO()
        summary.to_parquet(buffer, index=False)
        write_atomically(self.summary_path, buffer.getvalue())
        return summary

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Keep the last command's configuration as `config.json`."""
        write_atomically(self.folder / "config.json", json.dumps(config, indent=1, default=str).encode())

    def _append(self, table: str, part: str, rows: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(rows, buffer)
        name = f"{time.time_ns():020d}-{part}-{os.getpid()}.parquet"
        write_atomically(self.folder / table / name, buffer.getvalue())

    def _read(self, table: str, schema: pa.Schema) -> pd.DataFrame:
        parts = sorted((self.folder / table).glob("[0-9]*.parquet"))
        tables = [pq.read_table(part, schema=schema) for part in parts] or [schema.empty_table()]
        return pa.concat_tables(tables).to_pandas()
