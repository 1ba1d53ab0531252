"""The installed commands on the cluster, and what a sweep must be in the end whatever befell its jobs."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sweeps.slurm import are_going_on
from sweeps.status import read_status
from sweeps.store import HASHES, Store

needs_cluster = [
    pytest.mark.cluster,
    pytest.mark.skipif("P2P_CLUSTER" not in os.environ, reason='needs eval "$(python tests/cluster/cluster.py start)"'),
]

COMMANDS = Path(sys.executable).parent
CELLS = 48
GRID = ["category=animals", "pair=0,2", "seed=range(6)", "edit.k=null,0.3", "edit.self_replace_steps=0.0,0.5"]
OPTIONS = ["cycle.mode=swap", "metrics=pixel", "tracking=none", "sampler.num_inference_steps=12", "sweep.name=sweep"]
SLURM = ["launcher=slurm", "launcher.mem_gb=0.5", "launcher.cpus_per_task=1", "launcher.partition=low"]
SAME = ["cell_id", "config_id", "status", *HASHES, "ssim", "psnr", "cycle_ssim", "cycle_mse", "unet_samples"]


class Sweep:
    """A sweep of several groups below a folder, by the commands as users run them.

    Args:
        folder: they are run there.
        pipeline: the model's folder.
    """

    def __init__(self, folder, pipeline):
        self.place, self.pipeline = folder, pipeline
        self.folder = folder / "results" / "sweep"

    def start(self, *arguments):
        """Start p2p-sweep on the grid."""
        return self._start("p2p-sweep", "-m", *GRID, *OPTIONS, f"model.path={self.pipeline}", *arguments)

    def run(self, *arguments):
        """Run p2p-sweep on the grid to its end: exit status, stdout, stderr."""
        return _ended(self.start(*arguments))

    def submit(self, *arguments):
        """Submit the grid, which takes no longer than its jobs need to begin."""
        stored = self.drawn()
        process = self.start(*SLURM, *arguments)
        first = process.stdout.readline()
        composed = time.monotonic()
        status, out, err = _ended(process)
        assert status == 0, err
        assert time.monotonic() - composed < 10
        assert f"{CELLS} cells, {stored} stored" in first
        assert f"p2p-status {self.folder.relative_to(self.place)} tells how they stand" in out

    def tell(self, name, *arguments):
        """Run another command on the sweep's folder; what it prints."""
        status, out, err = _ended(self._start(name, self.folder, *arguments))
        assert status == 0, err
        return out

    @property
    def jobs(self):
        """The ids of the newest submission that was not cancelled, the last job's at the end."""
        records = sorted((self.folder / "jobs").glob("slurm-*.json"), key=lambda path: path.stat().st_mtime_ns)
        return json.loads(records[-1].read_text())["ids"] if records else []

    def stored(self):
        """The cells of all rows that are ok, by their parts."""
        store = Store(self.folder)
        rows = {part: store.read("edits", ["cell_id", "status"], [part]).to_pandas() for part in store.parts("edits")}
        return {part: set(table.loc[table["status"] == "ok", "cell_id"]) for part, table in rows.items()}

    def drawn(self):
        """The number of cells that are stored, which are stored once."""
        cells = [cell for part in self.stored().values() for cell in part]
        assert len(cells) == len(set(cells)), "a cell was drawn twice"
        return len(cells)

    def await_middle(self):
        """Wait until some of it is stored and much is not; what is stored."""
        within(120, lambda: self.folder.exists() and len(self.stored()) >= 2, self.logs)
        stored = self.stored()
        assert sum(map(len, stored.values())) < CELLS * 3 / 4
        return stored

    def await_jobs(self, seconds=180):
        """Wait until all jobs of the newest submission are over."""
        jobs = self.jobs
        within(seconds, lambda: not are_going_on(jobs), self.logs)

    def logs(self, job="", kind="*"):
        """What jobs have written."""
        paths = sorted((self.folder / "slurm").glob(f"{job}*_log.{kind}"))
        return "\n".join(path.read_text() for path in paths)

    def starts(self, job):
        """How many times a job has begun."""
        return self.logs(job, "out").count("Starting with")

    def check(self, undisturbed, before=()):
        """Hold it against a sweep that one process drew: the same, each cell once, and nothing of `before` again."""
        assert self.drawn() == CELLS
        stored = self.stored()
        assert {part: stored[part] for part in before} == dict(before)
        ours, theirs = (pd.read_parquet(one.folder / "summary.parquet")[SAME] for one in (self, undisturbed))
        pd.testing.assert_frame_equal(ours, theirs, check_exact=True)
        for name in ("summary.csv", "summary.md", "summary.tex"):
            assert (self.folder / "tables" / name).read_text() == (undisturbed.folder / "tables" / name).read_text()
        assert not [path for path in (self.folder / "claims").rglob("*") if path.is_file()]
        status = read_status(self.folder)
        assert (status.done, status.failed, status.running, status.missing) == (CELLS, 0, 0, 0)

    def _start(self, name, *arguments):
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # bits depend on the number of threads
        return subprocess.Popen(
            [COMMANDS / name, *arguments],
            cwd=self.place,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )


def within(seconds, happened, report):
    """Wait until something has happened."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, report()
        time.sleep(0.1)


def _ended(process):
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err
