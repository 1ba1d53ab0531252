"""A worker's own run."""

import os
import signal
import subprocess
import sys
import time

import pytest

from sweeps import tracking_shard
from sweeps.store import Store
from sweeps.tracking_shard import shard_tracker
from tests.sweeps.tracking.conftest import OFFLINE
from tests.sweeps.tracking.wandb_files import offline_runs, records


def test_a_shards_run_holds_its_totals_rates_memory_and_time_left(folder, monkeypatch, capfd):
    monkeypatch.setattr(tracking_shard, "LOG_EVERY_S", 0.0)
    with shard_tracker(folder, OFFLINE, "shard 1 of 2", 400) as tracker:
        time.sleep(0.3)  # models are loaded
        for _ in range(3):
            tracker.update(unet_samples=50)
            time.sleep(0.01)
            tracker.update(cells=4, failed=1, unet_samples=50)
    (run,) = offline_runs(folder)["shard"]
    assert (run.name, run.group, run.exit_code) == ("test shard 1 of 2", "test", 0)
    assert run.config == {"sweep": "test", "shard": "shard 1 of 2", "total_unet_samples": 400} | {
        "_wandb": run.config["_wandb"]
    }
    assert [one["unet_samples"] for one in run.history] == [50, 100, 150, 200, 250, 300, 300]
    last = run.history[-1]
    assert (last["cells"], last["failed"]) == (12, 3)
    assert 250 / 10 < last["unet_samples_per_s"] < 250 / 0.03, "after the first 50, without the loading"
    assert 15 / 10 < last["cells_per_s"] < 15 / 0.33
    assert last["seconds_left"] == pytest.approx(100 / last["unet_samples_per_s"])
    assert 50e6 < last["resident_bytes"] < 1e12
    assert {name: run.summary[name] for name in last if name[0] != "_"} == {
        name: value for name, value in last.items() if name[0] != "_"
    }
    assert capfd.readouterr() == ("", "")


def test_a_shard_with_nothing_to_draw_is_no_run(folder):
    with shard_tracker(folder, OFFLINE, "shard 0", 0):
        pass
    assert not (folder / "wandb").exists()


def test_rows_are_throttled_and_the_last_is_always_there(folder):
    with shard_tracker(folder, OFFLINE, "shard 0", 1000) as tracker:
        for _ in range(1000):
            tracker.update(unet_samples=1)
    (run,) = offline_runs(folder)["shard"]
    assert [one["unet_samples"] for one in run.history] == [1000]


def test_a_worker_that_raises_is_a_failed_run_and_the_error_goes_on(folder):
    with pytest.raises(KeyboardInterrupt), shard_tracker(folder, OFFLINE, "shard 0", 100):
        raise KeyboardInterrupt
    assert [run.exit_code for run in offline_runs(folder)["shard"]] == [1]


def test_updates_do_not_wait_for_wandb_and_its_failure_turns_the_tracker_off(folder, fake_wandb, monkeypatch, capfd):
    fake_wandb("import time\ntime.sleep(5)\nraise OSError('disk full')")
    monkeypatch.setattr(tracking_shard, "LOG_EVERY_S", 0.0)
    with shard_tracker(folder, OFFLINE, "shard 0", 1e9) as tracker:
        start = time.monotonic()
        for _ in range(2000):  # more than a pipe holds
            tracker.update(cells=1, unet_samples=100)
        assert time.monotonic() - start < 4
        error, deadline = "", time.monotonic() + 60
        while not error:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            tracker.update(cells=1)
            error = capfd.readouterr().err
        assert error == "W&B: shard 0 is not tracked (disk full); it goes on\n"
        tracker.update(cells=1)
    assert capfd.readouterr() == ("", "")


def test_a_process_that_cannot_start_is_one_line(folder, monkeypatch, capfd):
    def refuse(*values, **options):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with shard_tracker(folder, OFFLINE, "shard 0", 100) as tracker:
        tracker.update(cells=1)
    assert capfd.readouterr().err == "W&B: shard 0 is not tracked (Cannot allocate memory); it goes on\n"


def test_a_killed_worker_leaves_its_results_whole_and_its_run_readable(folder):
    code = f"""
import sys, time
from pathlib import Path
from sweeps import tracking_shard
from sweeps.store import Store
from sweeps.tracking import TrackingSettings
from tests.sweeps.frames import row
tracking_shard.LOG_EVERY_S = 0.0
store = Store(Path({str(folder)!r}))
store.prepare()
with tracking_shard.shard_tracker(store.folder, TrackingSettings(), "shard 0", 100) as tracker:
    for seed in range(5):
        store.append_edits(str(seed), [row(seed=seed) | {{"cell_id": str(seed)}}])
        tracker.update(cells=1, unet_samples=10)
    print("stored", flush=True)
    time.sleep(100)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "stored\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Store(folder).edits()["cell_id"].tolist() == ["0", "1", "2", "3", "4"]
    deadline = time.monotonic() + 60
    while not any(one.HasField("exit") for path in folder.glob("wandb/*/*.wandb") for one in records(path)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (run,) = offline_runs(folder)["shard"]
    assert run.exit_code == 1
    assert [one["cells"] for one in run.history] == [1, 2, 3, 4, 5]


def test_workers_at_the_same_time_have_a_run_each(folder):
    trackers = [shard_tracker(folder, OFFLINE, f"shard {i}", 100) for i in range(3)]
    for tracker in trackers:
        tracker.__enter__()
    for i, tracker in enumerate(trackers):
        tracker.update(cells=i)
        tracker.__exit__(None, None, None)
    runs = offline_runs(folder)["shard"]
    assert sorted((run.config["shard"], run.history[-1]["cells"]) for run in runs) == [
        ("shard 0", 0),
        ("shard 1", 1),
        ("shard 2", 2),
    ]


def test_the_program_imports_none_of_our_packages():
    code = "import sys, runpy; runpy.run_path('sweeps/tracking_runs.py'); print({'torch', 'wandb'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout == "set()\n"
