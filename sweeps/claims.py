"""Claims: which worker draws which part of a sweep, over any number of machines with one file system.

A claim is a file made exclusively (`O_EXCL`, safe on network file systems; no locks). A worker shows that it lives by
touching one file of its own; a claim of a worker that is gone, or silent for `EXPIRY_S`, is taken over by making its
next generation, which again only one can.
"""

import contextlib
import hashlib
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sweeps.files import write_atomically

BEAT_S = 10.0
"""Seconds between two signs of life."""
EXPIRY_S = 120.0
"""Seconds of silence after which a worker on another machine counts as gone; above what file systems cache."""


class Claims:
    """One worker's claims in a folder; enter it to begin showing life.

    Args:
        folder: `claims` of the sweep.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.worker = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._sign = folder / "workers" / f"{self.worker}.json"
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> "Claims":
        self._sign.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._sign, json.dumps(_this_process()).encode())  # half a sign would be a dead one
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._sign.unlink(missing_ok=True)

    @contextmanager
    def claim(self, name: str) -> Iterator[bool]:
        """Whether `name` is this worker's while the context lasts; False if a living worker has it."""
        path = self._take(name)
        try:
            yield path is not None
        finally:
            if path is not None:
                for old in _generations(self.folder, name):
                    old.unlink(missing_ok=True)

    def holders(self) -> dict[str, dict[str, Any]]:
        """For each claimed name the living worker that has it: host, pid."""
        names = {path.name.rpartition(".")[0] for path in self.folder.glob("*.[0-9]*")}
        holders = {name: self._holder(name) for name in sorted(names)}
        return {name: holder for name, holder in holders.items() if holder is not None}

    def sweep_dead(self) -> None:
        """Remove what workers that are gone left behind."""
        for path in self.folder.glob("*.[0-9]*"):
            if self._holder(path.name.rpartition(".")[0]) is None:
                path.unlink(missing_ok=True)
        for sign in (self.folder / "workers").glob("*.json"):
            if not self._lives(sign):
                sign.unlink(missing_ok=True)

    def _take(self, name: str) -> Path | None:
        generations = _generations(self.folder, name)
        if generations and self._holder(name) is not None:
            return None
        last = int(generations[-1].suffix[1:]) if generations else 0
        path = self.folder / f"{name}.{last + 1:06d}"
        try:
            handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666)
        except FileExistsError:
            return None
        with os.fdopen(handle, "w") as file:
            file.write(self.worker)
        return path

    def _holder(self, name: str) -> dict[str, Any] | None:
        """The living worker of the newest generation of a claim."""
        try:
            path = _generations(self.folder, name)[-1]
            worker = path.read_text()
            if not worker:  # made this instant, its worker not yet written
                return {"host": "", "pid": 0} if self._now() - path.stat().st_mtime < BEAT_S else None
            sign = self.folder / "workers" / f"{worker}.json"
            return json.loads(sign.read_text()) if self._lives(sign) else None
        except (IndexError, OSError, ValueError):
            return None

    def _lives(self, sign: Path) -> bool:
        """Whether a worker shows life; on this machine by its process, elsewhere by its last sign."""
        try:
            process = json.loads(sign.read_text())
            silent = self._now() - sign.stat().st_mtime
        except (OSError, ValueError):
            return False
        alive = is_alive(process)
        return silent < EXPIRY_S if alive is None else alive

    def _now(self) -> float:
        """The file system's clock, which all machines share."""
        if self._thread.is_alive():
            with contextlib.suppress(OSError):
                self._sign.touch()
                return self._sign.stat().st_mtime
        return time.time()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            with contextlib.suppress(OSError):  # a full disk must not end the worker
                self._sign.touch()


def is_alive(process: Mapping[str, Any]) -> bool | None:
    """Whether a worker's process runs, by what its file tells; None if it is not of this machine."""
    here = _this_process()
    if (process["host"], process["space"]) != (here["host"], here["space"]):
        return None
    return _started(process["pid"]) == process["started"]


def _generations(folder: Path, name: str) -> list[Path]:
    return sorted(folder.glob(f"{name}.[0-9]*"))


def _this_process() -> dict[str, Any]:
    """What tells this process from all others."""
    pid = os.getpid()
    return {"host": socket.gethostname(), "space": _process_space(), "pid": pid, "started": _started(pid)}


def _process_space() -> str:
    """The machine's boot and process-id namespace: process ids mean the same where it is equal."""
    try:
        parts = f"{Path('/proc/sys/kernel/random/boot_id').read_text()}{Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        parts = ""
    return hashlib.sha256(parts.encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When a process started, as far as the system tells; None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except OSError:
        pass
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return "running"
