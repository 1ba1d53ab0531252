"""Jobs on a real Slurm, started by tests/cluster/cluster.py."""

import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from submitit.helpers import Checkpointable

from sweeps.slurm import SlurmSettings, cancel, states, submit
from tests.cluster.cluster import fail_node, resume_node
from tests.cluster.program import needs_cluster

pytestmark = needs_cluster

CLUSTER = Path(os.environ.get("SLURM_CONF", "/slurm.conf")).parent
OVER = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "PREEMPTED", "NODE_FAIL", "UNKNOWN"}


@dataclass
class Note:
    """A task that writes lines `start`, `end` of its own, at times, and works for so many seconds in between.

    A run that comes after one that was stopped ends at once: it finds the work done before.
    """

    file: Path
    work_s: float = 0.0
    again_s: float = 0.0

    def __call__(self) -> None:
        restarted = self.file.exists()
        self._write("start")
        time.sleep(self.again_s if restarted else self.work_s)
        self._write("end")

    def _write(self, word: str) -> None:
        with self.file.open("a") as file:
            file.write(f"{word} {time.time()}\n")

    def lines(self) -> list[str]:
        return [line.split()[0] for line in self.file.read_text().splitlines()] if self.file.exists() else []

    def times(self) -> list[float]:
        return [float(line.split()[1]) for line in self.file.read_text().splitlines()]


class CheckpointedNote(Note, Checkpointable):
    """A task that is queued again before its time limit."""


def _settings(**values):
    return SlurmSettings(**{"mem_gb": 0.25, "cpus_per_task": 1, "partition": "low", **values})


def _wait(done, seconds, what):
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, what()
        time.sleep(0.3)


def _finish(ids, seconds):
    _wait(lambda: all(state in OVER for state in states(ids).values()), seconds, lambda: _report(ids))
    return list(states(ids).values())


def _report(ids):
    return subprocess.run(["scontrol", "show", "job", ids[0]], capture_output=True, text=True, check=False).stdout


def test_tasks_of_several_arrays_run_once_each_within_the_cap_and_the_last_one_after_them(tmp_path):
    folder = tmp_path / "with space"
    notes = [Note(folder / f"{i}.txt", work_s=1.5) for i in range(7)]
    last = Note(folder / "last.txt")
    started = time.monotonic()
    ids = submit(notes, last, folder, "seven", _settings(max_array_size=3, array_parallelism=2))
    assert time.monotonic() - started < 5
    assert len(ids) == len(set(ids)) == 8
    assert set(_finish(ids, 120)) == {"COMPLETED"}
    assert [note.lines() for note in [*notes, last]] == [["start", "end"]] * 8
    spans = [note.times() for note in notes]
    assert max(sum(start <= moment < end for start, end in spans) for moment, _ in spans) == 2
    assert last.times()[0] > max(end for _, end in spans)


def test_a_task_that_is_requeued_runs_again_to_its_end(tmp_path):
    note, last = Note(tmp_path / "note.txt", work_s=60), Note(tmp_path / "last.txt")
    ids = submit([note], last, tmp_path, "requeued", _settings())
    _wait(lambda: note.lines() == ["start"], 60, lambda: _report(ids))
    subprocess.run(["scontrol", "requeue", ids[0]], check=True)
    assert _finish(ids, 90) == ["COMPLETED", "COMPLETED"]
    assert note.lines() == ["start", "start", "end"]
    assert last.times()[0] > note.times()[-1]


def test_a_task_whose_node_fails_runs_again_to_its_end(tmp_path):
    notes, last = [Note(tmp_path / f"{i}.txt", work_s=60) for i in range(2)], Note(tmp_path / "last.txt")
    ids = submit(notes, last, tmp_path, "failing", _settings())
    _wait(lambda: all(note.lines() == ["start"] for note in notes), 60, lambda: _report(ids))
    fail_node(CLUSTER)
    assert set(states(ids[:2]).values()) <= {"PENDING", "COMPLETING"}
    resume_node(CLUSTER)
    assert set(_finish(ids, 120)) == {"COMPLETED"}
    assert [note.lines() for note in notes] == [["start", "start", "end"]] * 2
    assert last.times()[0] > max(note.times()[-1] for note in notes)


def test_a_preempted_task_runs_again_after_the_one_that_took_its_place(tmp_path):
    low, high = Note(tmp_path / "low.txt", work_s=60), Note(tmp_path / "high.txt", work_s=2)
    low_last, high_last = Note(tmp_path / "low_last.txt"), Note(tmp_path / "high_last.txt")
    whole_node = {"additional": {"exclusive": True}}
    low_ids = submit([low], low_last, tmp_path / "a", "low", _settings(**whole_node))
    _wait(lambda: low.lines() == ["start"], 60, lambda: _report(low_ids))
    high_ids = submit([high], high_last, tmp_path / "b", "high", _settings(partition="high", **whole_node))
    assert _finish(high_ids, 90) == ["COMPLETED", "COMPLETED"]
    assert _finish(low_ids, 90) == ["COMPLETED", "COMPLETED"]
    assert low.lines() == ["start", "start", "end"]
    assert low.times()[1] > high.times()[1]
    assert low_last.times()[0] > low.times()[-1]


def test_a_task_longer_than_the_time_limit_goes_on_in_a_requeued_job(tmp_path):
    note, last = CheckpointedNote(tmp_path / "note.txt", work_s=600), Note(tmp_path / "last.txt")
    ids = submit([note], last, tmp_path, "long", _settings(time_min=2, signal_delay_s=30))
    assert _finish(ids, 240) == ["COMPLETED", "COMPLETED"]
    assert note.lines() == ["start", "start", "end"]
    assert last.times()[0] > note.times()[-1]
    logs = "".join(log.read_text() for log in (tmp_path / "slurm").glob("*_0_log.*"))
    assert f"Requeued job {ids[0]}" in logs


def test_cancelled_jobs_end_and_those_behind_them_never_start(tmp_path):
    notes = [Note(tmp_path / f"{i}.txt", work_s=60) for i in range(4)]
    last = Note(tmp_path / "last.txt")
    ids = submit(notes, last, tmp_path, "cancelled", _settings(max_array_size=2))
    _wait(lambda: all(note.lines() == ["start"] for note in notes[:2]), 60, lambda: _report(ids))
    assert states(ids) == dict(zip(ids, ["RUNNING"] * 2 + ["PENDING"] * 3, strict=True))
    cancel(ids)
    assert _finish(ids, 60) == ["CANCELLED", "CANCELLED", "UNKNOWN", "UNKNOWN", "CANCELLED"]
    assert [note.lines() for note in [*notes, last]] == [["start"]] * 2 + [[]] * 3
    cancel(ids)


def test_jobs_that_slurm_refuses_are_an_error_and_leave_none_behind(tmp_path):
    with pytest.raises(ValueError, match="sbatch refuses the jobs .*[Pp]artition"):
        submit([Note(tmp_path / "a")], Note(tmp_path / "b"), tmp_path, "refused", _settings(partition="nowhere"))


def test_a_job_that_slurm_does_not_know_is_unknown():
    assert states(["99999999", "99999998_1"]) == {"99999999": "UNKNOWN", "99999998_1": "UNKNOWN"}
    cancel(["99999999"])
