"""A worker's own W&B run while it works: its pace, its memory and the time left."""

import os
import resource
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sweeps.tracking import TrackingSettings
from sweeps.tracking_runs import finish_process, line, reason, start_process

LOG_EVERY_S = 10.0
"""Seconds between two rows of a shard's run, at least."""
FINISH_S = 10.0
"""Seconds that the end of a shard waits for its run, at most."""


class ShardTracker:
    """One W&B run of a worker: cells, UNet samples, rates, memory and time left; a context manager.

    Nothing here blocks but the end, for at most `FINISH_S` seconds, and nothing raises: what fails turns the tracker
    off with one line on stderr. Cells per second count from where the context is entered; UNet samples per second, and
    with them the time left, from the first samples, so that the loading of models is no part of them.
    """

    def __init__(self, folder: Path, settings: TrackingSettings, shard_name: str, total_unet_samples: float) -> None:
        self._folder, self._settings, self._name = folder, settings, shard_name
        self._total = total_unet_samples
        self._counts = {"cells": 0, "failed": 0, "unet_samples": 0}
        self._start = self._logged = time.monotonic()
        self._first: tuple[float, int] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> "ShardTracker":
        self._start = self._logged = time.monotonic()
        if self._settings.mode != "none" and self._total > 0:
            self._guard(self._begin)
        return self

    def update(self, *, cells: int = 0, failed: int = 0, unet_samples: int = 0) -> None:
        """Add to the numbers of cells drawn, cells failed and UNet samples; after every step or group."""
        with self._lock:
            for name, more in (("cells", cells), ("failed", failed), ("unet_samples", unet_samples)):
                self._counts[name] += more
            if unet_samples and self._first is None:
                self._first = (time.monotonic(), unet_samples)
            if self._process and time.monotonic() - self._logged >= LOG_EVERY_S:
                self._guard(self._log)

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        with self._lock:
            if self._process:
                self._guard(lambda: self._end(0 if kind is None else 1))
            process, self._process = self._process, None
        if process:
            self._guard(lambda: _finish(process))

    def _begin(self) -> None:
        self._process = start_process("live")
        run = {"key": self._name, "id": uuid.uuid4().hex[:8], "name": f"{self._folder.name} {self._name}"}
        config = {"sweep": self._folder.name, "shard": self._name, "total_unet_samples": self._total}
        self._send(self._settings.header(self._folder))
        self._send({**run, "job_type": "shard", "config": config})

    def _log(self) -> None:
        self._logged = time.monotonic()
        self._send(self._measure())

    def _end(self, exit_code: int) -> None:
        self._log()
        self._send({"exit_code": exit_code})

    def _measure(self) -> dict[str, float]:
        """What a row holds; bytes, seconds, and per second."""
        now = time.monotonic()
        samples, done = self._counts["unet_samples"], self._counts["cells"] + self._counts["failed"]
        row = {**self._counts, "cells_per_s": done / max(now - self._start, 1e-9)}
        since, before = self._first or (now, 0)
        if samples == before:  # one step tells of its pace only with all that came before it
            since, before = self._start, 0
        row["unet_samples_per_s"] = pace = (samples - before) / max(now - since, 1e-9)
        if pace:
            row["seconds_left"] = max(self._total - samples, 0) / pace
        return {**row, **_memory()}

    def _send(self, message: Mapping[str, Any]) -> None:
        """Hand a line over, without waiting: one that finds no room is dropped."""
        stdin = self._process.stdin if self._process else None
        if stdin:
            with suppress(BlockingIOError):
                os.write(stdin.fileno(), line(message))

    def _guard(self, action: Callable[[], None]) -> None:
        """Do something; if it fails, stop tracking and say why."""
        try:
            action()
        except Exception as error:
            process, self._process = self._process, None
            told = finish_process(process, 1.0)[1] if process else None
            print(f"W&B: {self._name} is not tracked ({told or reason(error)}); it goes on", file=sys.stderr)


def shard_tracker(folder: Path, settings: TrackingSettings, shard_name: str, total_unet_samples: float) -> ShardTracker:
    """A tracker for a worker's shard, in the W&B group of the sweep.

    Args:
        folder: the sweep's.
        settings: what goes to W&B; with mode `none` the tracker does nothing, nor with nothing to draw.
        shard_name: its name among the sweep's shards.
        total_unet_samples: the shard's planned cost, for the time left.
    """
    return ShardTracker(folder, settings, shard_name, total_unet_samples)


def _finish(process: "subprocess.Popen[bytes]") -> None:
    _, error = finish_process(process, FINISH_S)
    if error:
        raise RuntimeError(error)


def _memory() -> dict[str, float]:
    """The process's resident memory and its peak on a GPU, in bytes."""
    found: dict[str, float] = {"resident_bytes": _resident_bytes()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        peaks = [torch.cuda.max_memory_allocated(i) for i in range(torch.cuda.device_count())]
        found["device_peak_bytes"] = max(peaks)
    return found


def _resident_bytes() -> int:
    """Resident memory now; its peak where the system does not tell."""
    with suppress(OSError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
