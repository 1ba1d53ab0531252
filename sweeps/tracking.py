"""Weights & Biases as a mirror of the store: never needed to read results, and never able to fail a sweep."""

import hashlib
import json
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from metrics.registry import METRICS
from sweeps.files import write_atomically
from sweeps.tables import summary_table

PROJECT = "p2p-sweep"
MOST_SAMPLES = 24
"""Cells whose pictures are mirrored."""
_UNMIRRORED = ("versions",)
_TIMEOUT_S = 60


@dataclass(frozen=True)
class Mirror:
    """What `wandb/mirror.json` remembers: the sweep's run, and what of it was mirrored last and how."""

    run_id: str
    mode: str
    digest: str


def track_sweep(
    folder: Path, config: Mapping[str, Any], summary: pd.DataFrame, mode: str = "offline", project: str = PROJECT
) -> None:
    """Mirror a sweep's configuration, scores, tables and some pictures to W&B, in `folder`/wandb; quietly.

    A sweep is one run, continued when it has grown; if nothing is new, nothing is written. If W&B fails, one line
    says so.

    Args:
        folder: the sweep's.
        config: its whole configuration.
        summary: as `Store.write_summary` gives it.
        mode: `none`, `offline` or `online`.
        project: W&B's.
    """
    if mode == "none":
        return
    try:
        _mirror(folder, config, summary, "online" if mode == "online" else "offline", project)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(f"W&B: not mirrored ({reason}); the results in {folder} are complete without it", file=sys.stderr)


def _mirror(
    folder: Path, config: Mapping[str, Any], summary: pd.DataFrame, mode: Literal["offline", "online"], project: str
) -> None:
    path = folder / "wandb" / "mirror.json"
    before = Mirror(**json.loads(path.read_text())) if path.is_file() else None
    mirror = Mirror(before.run_id if before else uuid.uuid4().hex[:8], mode, _digest(config, summary))
    if mirror == before:
        return
    import wandb  # slow to import, and not needed by most

    settings = _settings(wandb)
    wandb.setup(settings)
    if mode == "online" and not wandb.login(prompt=False, verify=False):
        raise RuntimeError("no login; run `wandb login`, or set tracking=offline")
    path.parent.mkdir(parents=True, exist_ok=True)
    with wandb.init(
        project=project,
        name=folder.name,
        id=mirror.run_id,
        resume="allow" if mode == "online" else None,
        dir=folder,
        mode=mode,
        config=dict(config),
        settings=settings,
    ) as run:
        run.log(_contents(wandb, folder, summary))
        run.summary.update(_means(summary))
    write_atomically(path, json.dumps(vars(mirror)).encode())


def _settings(wandb: Any) -> Any:
    """Quiet, with deadlines, and without looking at the machine or the code."""
    return wandb.Settings(
        silent=True,
        console="off",
        disable_code=True,
        disable_git=True,
        x_disable_stats=True,
        x_disable_meta=True,
        x_save_requirements=False,
        init_timeout=_TIMEOUT_S,
    )


def _contents(wandb: Any, folder: Path, summary: pd.DataFrame) -> dict[str, Any]:
    cells = summary.drop(columns=[name for name in _UNMIRRORED if name in summary])
    cells = cells.assign(created_at=cells["created_at"].astype(str))
    figures = sorted((folder / "figures").glob("*.png"))
    contents = {
        "cells": wandb.Table(dataframe=_plain(cells)),
        "summary": wandb.Table(dataframe=_plain(summary_table(summary))),
        "contact_sheets": [wandb.Image(str(path), caption=path.stem) for path in figures],
        "samples": [wandb.Image(str(path), caption=caption) for path, caption in _samples(folder, summary)],
    }
    return {name: value for name, value in contents.items() if not isinstance(value, list) or value}


def _samples(folder: Path, summary: pd.DataFrame) -> list[tuple[Path, str]]:
    """Sources and edits of cells spread evenly over the sweep, each picture once, with captions."""
    drawn = summary[summary["status"] == "ok"]
    number = min(MOST_SAMPLES, len(drawn))
    found: dict[Path, str] = {}
    for i in range(number):
        row = drawn.iloc[i * len(drawn) // number]
        found.setdefault(folder / str(row["source_image"]), f"source: {row['source_prompt']}")
        settings = ", ".join(f"{name} {row[name]}" for name in ("k", "cross_replace_steps", "self_replace_steps"))
        found[folder / str(row["target_image"])] = f"{row['target_prompt']} ({settings}, V {row['v_inject_steps']})"
    return [(path, caption) for path, caption in found.items() if path.is_file()]


def _means(summary: pd.DataFrame) -> dict[str, float]:
    """Means over all drawn cells; a metric without any value is left out."""
    drawn = summary[summary["status"] == "ok"]
    means = {
        f"mean/{name}": float(drawn[name].mean()) for name in METRICS if name in drawn and drawn[name].notna().any()
    }
    return {"num_cells": len(summary), "num_failed": len(summary) - len(drawn), **means}


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Missing values as None, which W&B shows as missing."""
    return table.astype(object).where(table.notna(), None)


def _digest(config: Mapping[str, Any], summary: pd.DataFrame) -> str:
    text = json.dumps(config, sort_keys=True, default=str) + summary.to_csv()
    return hashlib.sha256(text.encode()).hexdigest()
