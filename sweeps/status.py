"""How a sweep stands, from its folder alone."""

import contextlib
import json
import math
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sweeps.claims import Claims, is_alive
from sweeps.progress import duration
from sweeps.slurm import cancel as cancel_jobs
from sweeps.slurm import in_words
from sweeps.store import Store

RATE_WINDOW_S = 1800.0
"""Seconds of the newest work that the rate is taken from, at most."""
PAUSE_S = 60.0
"""Seconds without work that end it."""


@dataclass(frozen=True)
class Status:
    """Cells by where they stand, and speed.

    Attributes:
        name: the sweep's.
        cells: planned by the last command.
        done, failed, running, missing: they add up to `cells`.
        workers: that have claimed something and live.
        unet_samples: taken for the stored cells.
        unet_samples_left: planned for the others.
        rate: UNet samples a second over the newest work; None before there is any.
        error: of the newest failed cell, its last line.
    """

    name: str
    cells: int
    done: int
    failed: int
    running: int
    missing: int
    workers: int
    unet_samples: float
    unet_samples_left: float
    rate: float | None
    error: str | None

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None if nobody works or nothing is known."""
        return self.unet_samples_left / self.rate if self.rate and self.workers else None

    def __str__(self) -> str:
        counts = f"{self.done} of {self.cells} cells done, {self.running} running ({self.workers} workers)"
        text = f"{self.name}: {counts}, {self.failed} failed, {self.missing} missing"
        if self.rate:
            a_cell = (self.unet_samples + self.unet_samples_left) / max(self.cells, 1)
            text += f"; {self.rate:.0f} UNet samples/s, {self.rate / max(a_cell, 1e-9):.2f} cells/s"
        if self.seconds_left is not None:
            text += f", about {duration(self.seconds_left)} left"
        return text + (f"\n  last failure: {self.error}" if self.error else "")


def read_status(folder: Path) -> Status:
    """The status of the sweep in `folder`.

    Raises:
        ValueError: it is not a sweep's folder.
    """
    store = Store(folder)
    plan = store.plan()
    edits = store.edits()
    edits = edits[edits["cell_id"].isin(set(plan["cell_id"]))]
    ok, bad = edits[edits["status"] == "ok"], edits[edits["status"] != "ok"]
    done = set(ok["cell_id"])
    claims = Claims(folder / "claims").holders()
    left = plan[~plan["cell_id"].isin(done)]
    running = left["work"].isin(claims)
    failed = left["cell_id"].isin(set(bad["cell_id"])) & ~running
    newest = bad.sort_values("created_at")["error"].iloc[-1] if len(bad) else None
    return Status(
        name=folder.name,
        cells=len(plan),
        done=len(done),
        failed=int(failed.sum()),
        running=int(running.sum()),
        missing=len(left) - int((running | failed).sum()),
        workers=len({json.dumps(holder, sort_keys=True) for holder in claims.values()}),
        unet_samples=float(ok["unet_samples"].sum()),
        unet_samples_left=float(left["unet_samples"].sum()),
        rate=_rate(ok),
        error=str(newest).strip().splitlines()[-1] if newest else None,
    )


def cancel(folder: Path) -> list[str]:
    """Stop everything that works on a sweep and can be reached from here; what was stopped, in words.

    Raises:
        ValueError: it is not a sweep's folder.
    """
    Store(folder).plan()
    stopped = []
    for path, job in recorded_jobs(folder):
        jobs = f"SLURM jobs {in_words(job['ids'])}"
        try:
            cancel_jobs(job["ids"])
        except (RuntimeError, OSError) as error:
            stopped.append(f"not stopped: {jobs} ({error})")
            continue
        stopped.append(jobs)
        path.unlink()
    for process in _processes(folder):
        alive = is_alive(process)
        if alive and process["pid"] != os.getpid():
            os.kill(process["pid"], signal.SIGTERM)
            stopped.append(f"process {process['pid']}")
        elif alive is None:
            stopped.append(f"not stopped: process {process['pid']} on {process['host']}; run p2p-cancel there")
    return stopped


def record_job(folder: Path, job: dict[str, Any], name: str) -> None:
    """Remember what was started elsewhere, for `cancel`."""
    (folder / "jobs").mkdir(exist_ok=True)
    (folder / "jobs" / f"{name}.json").write_text(json.dumps(job))


def recorded_jobs(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """What `record_job` wrote, and where."""
    for path in sorted((folder / "jobs").glob("*.json")):
        yield path, json.loads(path.read_text())


def _processes(folder: Path) -> list[dict[str, Any]]:
    """What has shown life in a sweep's folder, each process once."""
    found = {}
    for sign in (folder / "claims" / "workers").glob("*.json"):
        with contextlib.suppress(OSError, ValueError):  # it ends this instant
            process = json.loads(sign.read_text())
            found[process["host"], process["pid"]] = process
    return list(found.values())


def _rate(ok: pd.DataFrame) -> float | None:
    """UNet samples a second of the newest work without a pause in it, by all workers together."""
    parts = ok.groupby("created_at").agg(samples=("unet_samples", "sum"), wall_s=("wall_s", "sum")).sort_index()
    samples, began, ended = 0.0, math.inf, -math.inf
    for stamp, part in reversed(list(parts.iterrows())):
        end = pd.Timestamp(stamp).timestamp()
        if samples and (began - end > PAUSE_S or ended - end > RATE_WINDOW_S):
            break
        samples, began, ended = samples + part["samples"], min(began, end - part["wall_s"]), max(ended, end)
    return samples / (ended - began) if samples else None
