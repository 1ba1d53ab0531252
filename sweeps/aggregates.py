"""What holds of a configuration as a whole, beside the means of its scores: `aggregates/*.parquet`, append-only.

- `robustness_<score>`: the standard deviation of a score over seeds, the mean over prompt pairs.
- `face_detection_rate`: the share of the edits of faces in which a face was found in both pictures.
- `realism`: the distance to plain pictures of the same prompts, in the sweep that metrics.realism.reference names.
"""

import io
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from metrics.registry import AGGREGATES, Null
from sweeps.files import write_atomically
from sweeps.store import Store

if TYPE_CHECKING:  # see sweeps/store.py
    from metrics.loading import MetricsConfig

ALL = "all"
"""The category of rows over all categories."""
SCHEMA = pa.schema(
    [
        ("config_id", pa.string()),
        ("category", pa.string()),
        ("metric", pa.string()),
        ("metric_version", pa.int64()),
        ("network", pa.string()),
        ("value", pa.float64()),
        ("n", pa.int64()),
        ("reason", pa.string()),
    ]
)
_KEY = ["config_id", "category", "metric"]
_FOLDER = "aggregates"
_UNIT = ["pair", "source_prompt", "target_prompt", "edit"]
"""What cells share that differ in their seed alone, within a configuration."""


class Aggregate(NamedTuple):
    """One row.

    Attributes:
        config_id, category: of which cells; the category may be `all`.
        metric: `realism`, `face_detection_rate` or `robustness_` and a score's name.
        metric_version: its own; of robustness the score's.
        network: that it was computed with; of robustness the score's.
        value: None where it cannot be computed, then `reason` tells why.
        n: what it rests on: prompt pairs, edits, or pictures on the smaller side.
    """

    config_id: str
    category: str
    metric: str
    metric_version: int
    network: str
    value: float | None
    n: int
    reason: str | None


def read_aggregates(folder: Path) -> pd.DataFrame:
    """The newest row of every configuration, category and metric: of the highest version, then the last stored.

    Empty where a sweep has none.
    """
    parts = sorted((folder / _FOLDER).glob("*.parquet"))
    tables = [pq.read_table(part, schema=SCHEMA) for part in parts]
    rows = pa.concat_tables([SCHEMA.empty_table(), *tables]).to_pandas()
    ordered = rows.sort_values("metric_version", kind="stable")
    return ordered.drop_duplicates(_KEY, keep="last").sort_values(_KEY).reset_index(drop=True)


def write_aggregates(store: Store, config: "MetricsConfig", device: str = "auto") -> pd.DataFrame:
    """Compute the aggregates from what is stored and append those that are new; the newest of all.

    Args:
        store: the sweep's.
        config: names the reference of `realism` and its network.
        device: where that network computes.

    Raises:
        ValueError, FileNotFoundError: the reference is no sweep, or the network is missing.
    """
    cells = store.summary()
    cells = cells[cells["status"] == "ok"]
    scores = store.scores().merge(cells[["cell_id", "config_id", "category", "seed", *_UNIT]], on="cell_id")
    known = read_aggregates(store.folder)
    rows = [*robustness(scores), *face_detection(scores)] if len(scores) else []
    if config.realism.reference is not None:
        from sweeps.realism import realism_rows

        rows += realism_rows(store, cells, config, device)
    _append(store.folder, _changed(rows, known))
    return read_aggregates(store.folder)


def realism_in_words(rows: pd.DataFrame) -> list[str]:
    """A line on how many configurations have a realism over all categories, where any was asked for one."""
    asked = rows[(rows["metric"] == "realism") & (rows["category"] == ALL)]
    missing = asked[asked["value"].isna()]
    if asked.empty:
        return []
    line = f"realism of {len(asked) - len(missing)} of {len(asked)} configurations is in aggregates/"
    few = f"; the others have too few pictures, {missing['n'].max()} at most a side" if len(missing) else ""
    return [line + few]


def check_reference(config: "MetricsConfig") -> None:
    """Raise ValueError unless the reference, if one is named, is a sweep with plain pictures and a network is there."""
    if config.realism.reference is None:
        return
    from sweeps.realism import plain_pictures

    folder = Path(config.realism.reference).expanduser()
    if config.networks.clip is None:
        raise ValueError("metrics.realism.reference needs metrics.networks.clip; choose metrics=world or metrics=real")
    if plain_pictures(Store(folder)).empty:
        raise ValueError(
            f"metrics.realism.reference={folder}: no plain pictures are stored there; draw them with "
            "p2p-sweep -m +experiment=generation and name its folder, results/generation"
        )


def robustness(scores: pd.DataFrame) -> list[Aggregate]:
    """The spread over seeds of each score, sample standard deviations averaged over prompt pairs; categories alike.

    Args:
        scores: rows of a store's scores with config_id, category, pair, prompts, edit and seed of their cells. A pair
            counts if two seeds or more have a value; without any the value is null, with the reason `one_seed`, or
            `no_value` where no cell has the score.
    """
    by = ["config_id", "category", "metric"]
    units = scores.groupby([*by, *_UNIT], sort=False)["value"].agg(["std", "count"]).reset_index()
    found = units.groupby(by).agg(value=("std", "mean"), n=("std", "count"), most=("count", "max")).reset_index()
    everywhere = found.groupby(["config_id", "metric"]).agg(
        value=("value", "mean"), n=("n", "sum"), most=("most", "max")
    )
    found = pd.concat([found, everywhere.reset_index().assign(category=ALL)])
    sources = {
        metric: (int(rows["metric_version"].max()), "+".join(sorted(set(rows["network"]))))
        for metric, rows in scores.groupby("metric")
    }
    rows: list[dict[Any, Any]] = found.to_dict("records")
    return [
        Aggregate(
            row["config_id"],
            row["category"],
            f"robustness_{row['metric']}",
            *sources[row["metric"]],
            value=float(row["value"]) if row["n"] else None,
            n=int(row["n"]),
            reason=None if row["n"] else (Null.ONE_SEED if row["most"] else Null.NO_VALUE).value,
        )
        for row in rows
    ]


def face_detection(scores: pd.DataFrame) -> Iterator[Aggregate]:
    """The share of a configuration's edits of faces in which source and edit have a face, of those that were judged."""
    judged = scores[(scores["metric"] == "identity_distance") & (scores["category"] == "faces")]
    judged = judged[judged["value"].notna() | (judged["reason"] == Null.NO_FACE.value)]
    metric = AGGREGATES["face_detection_rate"]
    for config_id, rows in judged.groupby("config_id"):
        network = "+".join(sorted(set(rows["network"])))
        share = float(rows["value"].notna().mean())
        yield Aggregate(str(config_id), "faces", metric.name, metric.version, network, share, len(rows), None)


def _changed(rows: Iterable[Aggregate], known: pd.DataFrame) -> list[Aggregate]:
    """The rows that are not stored as they are."""
    there = {tuple(None if pd.isna(value) else value for value in row) for row in known.itertuples(index=False)}
    return [row for row in rows if tuple(row) not in there]


def _append(folder: Path, rows: Sequence[Aggregate]) -> None:
    if not rows:
        return
    (folder / _FOLDER).mkdir(exist_ok=True)
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([row._asdict() for row in rows], schema=SCHEMA), buffer)
    write_atomically(folder / _FOLDER / f"{time.time_ns():020d}-{os.getpid()}.parquet", buffer.getvalue())
