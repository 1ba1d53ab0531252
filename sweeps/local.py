"""Workers on this machine: one process a GPU, or a CPU slot."""

import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryFile

import torch

from sweeps.settings import processors
from sweeps.worker import Worker


def start_workers(workers: Sequence[Worker], folder: Path) -> list["subprocess.Popen[bytes]"]:
    """Start workers as processes of their own, which go on when this one ends; logs in `folder`/logs."""
    (folder / "logs").mkdir(exist_ok=True)
    started = []
    for i, worker in enumerate(workers):
        with TemporaryFile() as task, (folder / "logs" / f"{worker.name}.log").open("ab") as log:
            pickle.dump(worker, task)
            task.seek(0)
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "scripts.worker", str(folder)],
                    stdin=task,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **_share_of_machine(i, len(workers))},
                    start_new_session=True,
                )
            )
    return started


def _share_of_machine(i: int, number: int) -> dict[str, str]:
    """Environment that gives a worker its GPU, or its part of the processors."""
    threads = {"OMP_NUM_THREADS": str(max(1, processors() // number)), "OMP_WAIT_POLICY": "PASSIVE"}
    if not torch.cuda.is_available():
        return threads
    known = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = known.split(",") if known else [str(gpu) for gpu in range(torch.cuda.device_count())]
    return {**threads, "CUDA_VISIBLE_DEVICES": devices[i % len(devices)]}
