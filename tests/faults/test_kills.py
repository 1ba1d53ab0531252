"""Processes killed, interrupted and cancelled at any moment: what is stored is not lost and not drawn again."""

import os
import random
import shutil
import signal
import time
from types import SimpleNamespace

import pytest

from metrics.loading import MetricsConfig, Networks
from sweeps.claims import Claims, is_alive
from sweeps.score import Scorer
from sweeps.status import read_status
from sweeps.store import Store
from tests.faults.program import (
    IS_LONG,
    KILLS,
    Running,
    check,
    files,
    finish,
    is_interrupted,
    long_form,
    parts,
    resume,
    stored,
    sweep,
    sweep_of,
)

SEED = int(os.environ.get("P2P_SEED", random.SystemRandom().randrange(10**6)))
LOCAL = ("launcher=local", "launcher.workers=2")
STARTING = 0.1
"""Share of the kills that come before the program has planned its work."""


@pytest.mark.parametrize(
    ("option", "kills"),
    [
        ("images.pack=false", KILLS if IS_LONG else KILLS - 2),
        ("images.pack=true", KILLS // 5),
        ("images.keep=none", KILLS // 5),
    ],
)
def test_a_sweep_killed_at_random_moments_ends_as_an_undisturbed_one(tmp_path, pipeline, large, option, kills):
    moments, drawn = random.Random(SEED), 0
    for _ in range(kills):
        running = sweep(tmp_path, pipeline, large.seeds, option)
        if moments.random() >= STARTING:
            running.until(running.has_begun)
        end = time.monotonic() + moments.uniform(0, large.load_s + large.work_s / kills)
        running.until(lambda end=end: time.monotonic() >= end).send(signal.SIGKILL).wait()
        print(f"P2P_SEED={SEED}: status {running.status}, {len(stored(tmp_path))} cells stored")
        assert running.status in (-signal.SIGKILL, 0), running.output
        assert len(stored(tmp_path)) >= drawn
        drawn = len(stored(tmp_path))
        if running.has_begun():
            status = read_status(sweep_of(tmp_path))
            assert (status.done, status.running, status.workers) == (drawn, 0, 0)
    resume(tmp_path, pipeline, large.seeds, option)
    check(tmp_path, large.summary)


@pytest.mark.parametrize("how", ["SIGINT", "p2p-cancel", pytest.param("SIGTERM", marks=long_form)])
def test_a_sweep_that_is_asked_to_stop_stores_what_is_drawn_and_goes_on_later(tmp_path, pipeline, undisturbed, how):
    running = sweep(tmp_path, pipeline, undisturbed.seeds)
    running.until(lambda: parts(tmp_path) and read_status(running.sweep).running)
    status = read_status(running.sweep)
    assert (status.cells, status.workers) == (len(undisturbed.summary), 1)
    assert status.done + status.running + status.missing == status.cells
    if how == "p2p-cancel":
        running.send(signal.SIGSTOP)  # or the sweep may be done before the other program has started
        cancel = Running(tmp_path, "scripts.cancel", "results/sweep")
        assert cancel.wait() == 0, cancel.output
        assert f"process {running.pid}" in cancel.output
        running.send(signal.SIGCONT)
    else:
        running.send(getattr(signal, how))
    assert is_interrupted(running.wait()), running.output
    assert running.output.splitlines()[-1].endswith("interrupted; the same command goes on where it stopped")
    assert files(running.sweep / "claims") == []
    assert read_status(running.sweep).running == 0
    assert 0 < read_status(running.sweep).done < len(undisturbed.summary)
    finish(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


@long_form
def test_status_after_a_kill_says_that_nothing_runs(tmp_path, pipeline, undisturbed):
    running = sweep(tmp_path, pipeline, undisturbed.seeds)
    running.until(lambda: parts(tmp_path) and read_status(running.sweep).running).send(signal.SIGSTOP)
    told = Running(tmp_path, "scripts.status", "results/sweep")
    assert told.wait() == 0, told.output
    assert "(1 workers)" in told.output
    running.send(signal.SIGKILL).wait()
    told = Running(tmp_path, "scripts.status", "results/sweep")
    assert told.wait() == 0, told.output
    assert "0 running (0 workers)" in told.output
    resume(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


@pytest.mark.parametrize("launcher", [(), pytest.param(LOCAL, marks=long_form)])
def test_two_commands_at_once_share_a_sweep(tmp_path, pipeline, undisturbed, launcher):
    both = [sweep(tmp_path, pipeline, undisturbed.seeds, *launcher) for _ in range(2)]
    assert [one.wait() for one in both] == [0, 0], "\n".join(one.output for one in both)
    check(tmp_path, undisturbed.summary)


@long_form
def test_what_a_killed_worker_leaves_is_done_by_the_others(tmp_path, pipeline, undisturbed):
    running = start_workers(tmp_path, pipeline, undisturbed)
    os.kill(holders(running)[0]["pid"], signal.SIGKILL)
    assert running.wait() == 0, running.output
    assert "1 of 2 workers ended early" in running.output
    resume(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


def test_what_a_killed_worker_left_unscored_is_found_by_one_that_began_before_it_was_stored(tmp_path, undisturbed):
    shutil.copytree(sweep_of(undisturbed.folder), sweep_of(tmp_path))
    before, later = parts(tmp_path)[:2]
    store = Store(sweep_of(tmp_path))
    scorer = Scorer(store, MetricsConfig(("ssim",)), Networks())
    cells = [cell_of(store.read("edits", parts=[part.name]).to_pylist()[0]) for part in (before, later)]
    later.rename(tmp_path / later.name)
    assert scorer.load(cells[:1])[0].cell_id == cells[0].cell_id
    (tmp_path / later.name).rename(later)
    assert scorer.load(cells[1:])[0].cell_id == cells[1].cell_id


@pytest.mark.parametrize("how", ["SIGTERM", pytest.param("SIGINT", marks=long_form)])
def test_a_command_that_is_asked_to_stop_stops_its_workers(tmp_path, pipeline, undisturbed, how):
    running = start_workers(tmp_path, pipeline, undisturbed)
    workers = holders(running)
    assert is_interrupted(running.send(getattr(signal, how)).wait()), running.output
    assert [is_alive(worker) for worker in workers] == [False] * len(workers)
    assert files(running.sweep / "claims") == []
    finish(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


@long_form
def test_workers_outlive_a_killed_command_and_the_next_waits_for_them(tmp_path, pipeline, undisturbed):
    start_workers(tmp_path, pipeline, undisturbed).send(signal.SIGKILL).wait()
    assert read_status(sweep_of(tmp_path)).workers
    resume(tmp_path, pipeline, undisturbed.seeds)
    deadline = time.monotonic() + 10
    while files(sweep_of(tmp_path) / "claims") and time.monotonic() < deadline:
        time.sleep(0.1)
    check(tmp_path, undisturbed.summary)


@long_form
def test_workers_are_cancelled_as_soon_as_they_start(tmp_path, pipeline, undisturbed):
    running = sweep(tmp_path, pipeline, undisturbed.seeds, *LOCAL)
    running.until(lambda: len(files(running.sweep / "claims" / "workers")) == 2)
    cancel = Running(tmp_path, "scripts.cancel", "results/sweep")
    assert cancel.wait() == 0, cancel.output
    assert cancel.output.count("process ") == 2
    assert is_interrupted(running.wait()), running.output
    assert stored(tmp_path) == []
    resume(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


def start_workers(folder, pipeline, undisturbed):
    """A sweep with two workers that both have begun to store."""
    running = sweep(folder, pipeline, undisturbed.seeds, *LOCAL)
    running.until(lambda: len(parts(folder)) > 1 and len(holders(running)) == 2)
    assert running.status is None, running.output
    return running


def holders(running):
    """The processes that have claimed work."""
    found = Claims(running.sweep / "claims").holders()
    return list({holder["pid"]: holder for holder in found.values() if holder["pid"]}.values())


def cell_of(row):
    """What scoring reads of a stored cell."""
    source, target = (SimpleNamespace(text=row[f"{name}_prompt"]) for name in ("source", "target"))
    kept = {name: row[name] for name in ("cell_id", "category", "cycle_mode")}
    return SimpleNamespace(**kept, source=source, target=target, edit=SimpleNamespace(kind=row["kind"]))
