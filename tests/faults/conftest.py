import os
import signal
import time
from typing import NamedTuple

import pandas as pd
import pytest

from tests.faults import program


class Undisturbed(NamedTuple):
    """A sweep to which nothing happened: where, its summary, its extra argument, seconds of loading and of work."""

    folder: os.PathLike
    summary: pd.DataFrame
    seeds: str
    load_s: float
    work_s: float


@pytest.fixture(scope="session")
def pipeline(tiny_pipeline, tmp_path_factory):
    """The model; and one thread in every process that is started, so that bits agree."""
    processors = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(program.ROOT))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored, by children too
        if processors:  # workers share the processors: one each
            os.sched_setaffinity(0, sorted(processors)[:2])
        yield tiny_pipeline
    if processors:
        os.sched_setaffinity(0, processors)


@pytest.fixture(scope="session")
def undisturbed(pipeline, tmp_path_factory):
    """Of two seeds: eight groups of four cells."""
    return _undisturbed(tmp_path_factory.mktemp("small"), pipeline, "seed=0,1")


@pytest.fixture(scope="session")
def large(request, pipeline, tmp_path_factory):
    """Of work enough for all kills."""
    if not program.IS_LONG:
        return request.getfixturevalue("undisturbed")
    return _undisturbed(tmp_path_factory.mktemp("large"), pipeline, f"seed=range({program.KILLS // 2})")


def _undisturbed(folder, pipeline, seeds):
    running = program.sweep(folder, pipeline, seeds)
    times = [running.until(happened) and time.monotonic() for happened in _events(running, folder)]
    assert running.status == 0, running.output
    summary = pd.read_parquet(running.sweep / "summary.parquet")
    return Undisturbed(folder, summary, seeds, times[1] - times[0], times[2] - times[1])


def _events(running, folder):
    return running.has_begun, lambda: program.parts(folder), lambda: False
