"""The store of a sweep: append-only Parquet parts and pictures below `results/<sweep>`; everything else is derived."""

import io
import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from sweeps.files import write_atomically
from sweeps.pictures import ImageSettings, Key, load_picture, present, write_archive, write_loose
from sweeps.provenance import SCORE_SOURCES, score_sources, superseded

if TYPE_CHECKING:  # torch takes seconds to import, which commands that only read a sweep need not wait for
    from torch import Tensor

    from metrics.score import Score

IMAGES = ("source_image", "target_image", "cycle_image")
"""The columns of recorded paths; null where a picture is not kept or there is none."""
# The edit's region, `mask_image`, is no picture that a cell needs to be complete.
HASHES = ("source_hash", "target_hash", "cycle_hash")
"""The columns of `pixel_hash`es; null in rows of older versions."""

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
        *[(name, pa.string()) for name in ["edit", "cycle_mode", "status", "error", *IMAGES, "mask_image", *HASHES]],
        ("unet_samples", pa.float64()),
        ("wall_s", pa.float64()),
        *[(name, pa.string()) for name in ["device", "dtype", "settings_id", "model_digest"]],
        ("pixels_version", pa.int64()),
        *[(name, pa.string()) for name in ["versions", "git_commit"]],
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


_SCHEMAS = {"edits": EDITS, "scores": SCORES}
_PLAN = "plan.parquet"
_READERS = 8
_LOST = {"edits": "its cells are computed again", "scores": "its cells are scored again"}


@dataclass(frozen=True)
class Store:
    """A sweep's folder. Parts are written beside their place, synced and renamed, and never rewritten.

    Attributes:
        folder: the sweep's.
        images: how pictures are stored; reading does not depend on it.
    """

    folder: Path
    images: ImageSettings = field(default_factory=ImageSettings)

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
            for name in ("edits", "scores", "images", "tables", "figures"):
                (self.folder / name).mkdir(parents=True, exist_ok=True)
            probe = self.folder / f".probe-{os.getpid()}"
            write_atomically(probe, b"")
            probe.unlink()
        except OSError as error:
            raise ValueError(
                f"results_dir: cannot write to {self.folder} ({error.strerror}); choose another with results_dir=..."
            ) from error

    def save_pictures(self, part: str, pictures: "Mapping[Key, Tensor]") -> dict[Key, str]:
        """Store pictures, uint8 (3, height, width), by kind and name; their paths relative to the sweep's folder.

        Several are encoded at once, and all are on disk when this returns. `part` names their archive where pictures
        are packed. Which groups' pictures are kept is the caller's to ask, of `images.keeps`.

        Raises:
            OSError: the disk is full, or the folder not writable; no part of a picture or archive is left.
        """
        if self.images.pack:
            return write_archive(self.folder, part, pictures, self.images)
        return write_loose(self.folder, pictures, self.images)

    def save_picture(self, kind: str, name: str, picture: "Tensor") -> str:
        """Store one picture, uint8 (3, height, width), in a file of its own; its path relative to the folder."""
        return write_loose(self.folder, {(kind, name): picture}, self.images)[kind, name]

    def load_picture(self, path: str) -> "Tensor":
        """The picture of a recorded path, uint8 (3, height, width), loose or packed.

        Raises:
            OSError: it is missing or cannot be read; the message names it.
        """
        return load_picture(self.folder / path)

    def append_edits(self, part: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows of cells."""
        self._append("edits", part, pa.Table.from_pylist([dict(row) for row in rows], schema=EDITS))

    def append_scores(self, part: str, scores: "Sequence[Score]") -> None:
        """Append scores."""
        if scores:
            self._append("scores", part, pa.Table.from_pylist([score._asdict() for score in scores], schema=SCORES))

    def parts(self, table: str) -> set[str]:
        """The names of all parts of `edits` or `scores`."""
        return {path.name for path in (self.folder / table).glob("[0-9]*.parquet")}

    def read(self, table: str, columns: Sequence[str] | None = None, parts: Iterable[str] | None = None) -> pa.Table:
        """Rows of `edits` or `scores` in the order of the parts' names; unreadable parts are named and left out.

        Args:
            table: which.
            columns: those asked for; None: all.
            parts: names; None: all.
        """
        schema = _SCHEMAS[table]
        wanted = schema if columns is None else pa.schema([schema.field(name) for name in columns])
        paths = [self.folder / table / name for name in sorted(self.parts(table) if parts is None else parts)]
        tables = [rows for path, data in _contents(paths) if (rows := _parse(path, data, wanted)) is not None]
        return pa.concat_tables([wanted.empty_table(), *tables], promote_options="default")

    def edits(self) -> pd.DataFrame:
        """The newest row of every cell, by `created_at`, then by the part's name."""
        rows = self.read("edits").to_pandas().sort_values("created_at", kind="stable", na_position="first")
        return rows.drop_duplicates("cell_id", keep="last").reset_index(drop=True)

    def scores(self) -> pd.DataFrame:
        """The newest score of every cell and metric: of the highest version, then the last stored."""
        return _newest(self.read("scores").to_pandas())

    def done(self) -> set[str]:
        """The cells that are stored, with those of their pictures that were kept."""
        rows = self.edits()
        ok = rows[rows["status"] == "ok"]
        recorded = [[path if isinstance(path, str) else None for path in ok[name]] for name in IMAGES]
        there = {None, *present(self.folder, (path for paths in recorded for path in paths if path is not None))}
        rows_of_paths = zip(ok["cell_id"], *recorded, strict=True)
        return {cell_id for cell_id, *paths in rows_of_paths if there.issuperset(paths)}

    def summary(self) -> pd.DataFrame:
        """Edits and scores joined, one row a cell and one column a metric.

        Cells that were drawn again with other weights or another `pixels_version` are left out.
        """
        edits, stored = self.edits(), self.read("scores").to_pandas()
        edits = edits[~superseded(edits)]
        stored = stored[stored["cell_id"].isin(edits["cell_id"])].drop_duplicates()
        scores = _newest(stored)
        wide = scores.pivot(index="cell_id", columns="metric", values="value").astype("float64")
        summary = edits.merge(wide, left_on="cell_id", right_index=True, how="left")
        summary = summary.sort_values(["category", "pair", "seed", "config_id", "cell_id"]).reset_index(drop=True)
        summary.attrs[SCORE_SOURCES] = score_sources(stored, scores)
        return summary

    def read_summary(self) -> pd.DataFrame:
        """`summary` as `summary.parquet` has it, or made from the parts where one is newer; nothing is written.

        Raises:
            ValueError: the folder has neither.
        """
        parts = [part for table in _SCHEMAS for part in (self.folder / table).glob("[0-9]*.parquet")]
        if not self.summary_path.is_file() and not parts:
            raise ValueError(f"{self.folder} is not the folder of a sweep that has begun; it is results/<sweep>")
        written = self.summary_path.stat().st_mtime if self.summary_path.is_file() else 0.0
        if any(part.stat().st_mtime > written for part in parts):
            return self.summary()
        return pd.read_parquet(self.summary_path)

    def write_summary(self) -> pd.DataFrame:
        """Write `summary` to `summary.parquet`, in one move."""
        summary = self.summary()
        buffer = io.BytesIO()
        summary.to_parquet(buffer, index=False)
        write_atomically(self.summary_path, buffer.getvalue())
        return summary

    def write_plan(self, rows: Iterable[tuple[str, str, float]]) -> None:
        """Keep what the last command planned: of each cell its id, the work it is drawn with, and its UNet samples."""
        plan = pd.DataFrame(rows, columns=["cell_id", "work", "unet_samples"])
        buffer = io.BytesIO()
        plan.to_parquet(buffer, index=False)
        write_atomically(self.folder / _PLAN, buffer.getvalue())

    def plan(self) -> pd.DataFrame:
        """What `write_plan` kept.

        Raises:
            ValueError: the folder is not a sweep's.
        """
        try:
            return pd.read_parquet(self.folder / _PLAN)
        except OSError as error:
            raise ValueError(
                f"{self.folder} is not the folder of a sweep (no {_PLAN}); it is results/<sweep>"
            ) from error

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Keep the last command's configuration as `config.json`."""
        write_atomically(self.folder / "config.json", json.dumps(config, indent=1, default=str).encode())

    def _append(self, table: str, part: str, rows: pa.Table) -> None:
        buffer = io.BytesIO()
        pq.write_table(rows, buffer, write_page_checksum=True)
        name = f"{time.time_ns():020d}-{part}-{os.getpid()}.parquet"
        write_atomically(self.folder / table / name, buffer.getvalue())


def _newest(scores: pd.DataFrame) -> pd.DataFrame:
    ordered = scores.sort_values("metric_version", kind="stable")
    return ordered.drop_duplicates(["cell_id", "metric"], keep="last").reset_index(drop=True)


def _contents(paths: Sequence[Path]) -> Iterator[tuple[Path, bytes | OSError]]:
    """Files with their bytes or why they cannot be read, in order; many are waited for at once."""
    with ThreadPoolExecutor(_READERS) as pool:
        for at in range(0, len(paths), 32 * _READERS):
            ahead = paths[at : at + 32 * _READERS]
            yield from zip(ahead, pool.map(_bytes, ahead), strict=True)


def _bytes(path: Path) -> bytes | OSError:
    try:
        return path.read_bytes()
    except OSError as error:
        return error


def _parse(path: Path, data: bytes | OSError, schema: pa.Schema) -> pa.Table | None:
    """A part's rows, those columns of the schema that it has; None if any of it cannot be read."""
    try:
        if isinstance(data, OSError):
            raise data
        with pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True) as part:
            there = set(part.schema_arrow.names)
            own = pa.schema([column for column in schema if column.name in there])
            if "cell_id" not in there:
                raise pa.ArrowInvalid("no column cell_id")
            rows = part.read(columns=own.names, use_threads=False).select(own.names)
        rows = rows if rows.schema.equals(own) else rows.cast(own)
        rows.validate(full=True)
        return rows
    except (OSError, pa.ArrowException) as error:
        _report_unreadable(path, str(error).partition("\n")[0])
        return None


@cache
def _report_unreadable(path: Path, reason: str) -> None:
    """Say once a process that a part is left out."""
    print(f"{path}: unreadable ({reason}); skipped, {_LOST[path.parent.name]}", file=sys.stderr)
