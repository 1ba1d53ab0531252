"""The program as a process that can be killed, and what a sweep must be in the end whatever befell it.

`P2P_KILLS` is the number of kills over a sweep. Up to five is the short form: its processes are forked from one that
has imported the libraries. The long form starts each anew, as users do.
"""

import importlib
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from sweeps.pictures import pixel_hash
from sweeps.store import HASHES, IMAGES, Store

KILLS = int(os.environ.get("P2P_KILLS", "5"))
IS_LONG = KILLS > 5
LIMIT_S = 300.0
"""Seconds after which a process counts as hanging."""
long_form = pytest.mark.skipif(not IS_LONG, reason="part of the long form: make test-faults")
ROOT = Path(__file__).parents[2]
SAME = ["cell_id", "config_id", "status", *HASHES, "ssim", "psnr", "cycle_ssim", "cycle_mse"]
GRID = ["category=animals,food", "pair=0,2", "edit.k=null,0.3", "edit.self_replace_steps=0.0,0.5", "cycle.mode=swap"]
OPTIONS = ["metrics=pixel", "tracking=none", "sampler.num_inference_steps=2", "sweep.name=sweep"]

_warm = multiprocessing.get_context("forkserver")
_warm.set_forkserver_preload(["scripts.sweep", "sweeps.launch", "sweeps.status", "sweeps.grid"])


class Running:
    """A program that has been started in a folder; its sweep is `results/sweep` below.

    Args:
        folder: it is started there.
        module: the program.
        arguments: of its command line.
        logs: the folder of what it says.
    """

    def __init__(self, folder, module, *arguments, logs=None):
        self.sweep, self.log = sweep_of(folder), (logs or folder) / f"{time.time_ns()}.log"
        self._plan = _stamp(self.sweep)
        if IS_LONG:
            command = [sys.executable, "-m", module, *arguments]
            with self.log.open("wb") as log:
                self._process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        else:
            self._process = _warm.Process(target=_main, args=(folder, self.log, module, arguments))
            self._process.start()
        self.pid = self._process.pid

    @property
    def status(self):
        """The exit status, negative for a signal's; None while it runs."""
        return self._process.poll() if IS_LONG else self._process.exitcode

    @property
    def output(self):
        """What it has said so far."""
        return self.log.read_text()

    def has_begun(self):
        """Whether its cells are checked and planned, so that work begins."""
        return _stamp(self.sweep) != self._plan

    def until(self, has_happened):
        """Wait for an event or the end."""
        limit = time.monotonic() + LIMIT_S
        while self.status is None and not has_happened():
            assert time.monotonic() < limit, f"hangs:\n{self.output}"
            time.sleep(0.002)
        return self

    def send(self, number):
        """Send a signal, if it still runs."""
        if self.status is None:
            os.kill(self.pid, number)
        return self

    def wait(self):
        """Its exit status."""
        return self.until(lambda: False).status


def sweep(folder, pipeline, *arguments, fault=None, logs=None):
    """Start p2p-sweep on the grid, with a fault of `tests.faults.broken`; an argument replaces the same option."""
    given = {argument.split("=")[0] for argument in arguments}
    options = [option for option in (*GRID, *OPTIONS) if option.split("=")[0] not in given]
    module = ("scripts.sweep",) if fault is None else ("tests.faults.broken", fault)
    return Running(folder, *module, "-m", *options, f"model.path={pipeline}", *arguments, logs=logs)


def finish(folder, pipeline, *arguments, logs=None):
    """Run p2p-sweep to its end; its summary."""
    running = sweep(folder, pipeline, *arguments, logs=logs)
    assert running.wait() == 0, running.output
    return pd.read_parquet(running.sweep / "summary.parquet")


def resume(folder, pipeline, *arguments):
    """Run p2p-sweep to its end after something befell it, when temporary files are old enough to be nobody's."""
    for path in temporaries(folder):
        os.utime(path, (1, 1))
    return finish(folder, pipeline, *arguments)


def check(folder, reference, drawn_again=0):
    """Hold a sweep against an undisturbed one: the same cells, scores and pictures, all whole, and nothing else."""
    summary = pd.read_parquet(sweep_of(folder) / "summary.parquet")
    pd.testing.assert_frame_equal(summary[SAME], reference[SAME], check_exact=True)
    assert summary["cell_id"].is_unique
    assert len(stored(folder)) == len(summary) + drawn_again
    assert temporaries(folder) == []
    assert files(sweep_of(folder) / "claims") == []
    _check_pictures(sweep_of(folder), summary)


def stored(folder):
    """The ids of the cells of a sweep's readable rows, one for each row that is ok."""
    rows = Store(sweep_of(folder)).read("edits", ["cell_id", "status"]).to_pandas()
    return list(rows.loc[rows["status"] == "ok", "cell_id"])


def temporaries(folder):
    """The temporary files of a sweep."""
    return [path for path in files(sweep_of(folder)) if path.name.startswith(".")]


def files(folder):
    """All files below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def sweep_of(folder):
    """The sweep's folder below the one where the program is started."""
    return folder / "results" / "sweep"


def parts(folder):
    """The sweep's parts of rows, in order."""
    return sorted((sweep_of(folder) / "edits").glob("[0-9]*.parquet"))


def is_interrupted(status):
    """Whether a program has ended as those do that are asked to stop."""
    return status == 128 + signal.SIGINT


def _check_pictures(where, summary):
    """Every recorded picture is what was drawn, and there are no others."""
    recorded = set()
    for column, drawn in zip(IMAGES, HASHES, strict=True):
        for path, expected in summary[[column, drawn]].dropna().itertuples(index=False):
            assert pixel_hash(Store(where).load_picture(path)) == expected
            recorded.add(re.sub(r"\.zip/.*", ".zip", path))
    assert {str(path.relative_to(where)) for path in files(where / "images")} == recorded


def _main(folder, log, module, arguments):
    os.chdir(folder)
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()


def _stamp(folder):
    """Tells one command's plan from the next one's."""
    try:
        stat = (folder / "plan.parquet").stat()
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns
