"""Whole sweeps on a real Slurm that are cancelled, lose their node, or are longer than their time limit."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

from sweeps.slurm import states
from sweeps.status import read_status
from tests.cluster.cluster import fail_node, resume_node
from tests.cluster.program import CELLS, SLURM, needs_cluster, within

pytestmark = needs_cluster

CLUSTER = Path(os.environ.get("SLURM_CONF", "/slurm.conf")).parent


def test_a_task_that_scancel_kills_leaves_what_it_stored_and_the_next_command_draws_the_rest(sweep, undisturbed):
    sweep.submit("launcher.tasks=2")
    jobs, before = sweep.jobs, sweep.await_middle()
    subprocess.run(["scancel", jobs[0]], check=True)
    sweep.await_jobs()
    assert [sweep.starts(job) for job in jobs] == [1, 1, 1]
    left = CELLS - sweep.drawn()
    assert left > 0
    assert f"{left} cells are not drawn; the same command goes on with them" in sweep.logs(jobs[-1], "err")
    assert (sweep.folder / "tables" / "summary.csv").exists()
    assert read_status(sweep.folder).missing == left
    before |= sweep.stored()
    sweep.submit("launcher.tasks=2")
    sweep.await_jobs()
    sweep.check(undisturbed, before)


def test_tasks_whose_node_fails_go_on_when_it_is_back(sweep, undisturbed):
    sweep.submit("launcher.tasks=2")
    before = sweep.await_middle()
    fail_node(CLUSTER)
    before |= sweep.stored()
    resume_node(CLUSTER)
    sweep.await_jobs()
    assert [sweep.starts(job) for job in sweep.jobs] == [2, 2, 1]
    sweep.check(undisturbed, before)


def test_a_shard_longer_than_its_time_limit_goes_on_in_a_requeued_job(sweep, undisturbed):
    sweep.submit("launcher.tasks=1", "launcher.time_min=2", "launcher.signal_delay_s=30")
    before = sweep.await_middle()
    worker = _worker(sweep)
    os.kill(worker, signal.SIGSTOP)  # as slow as it takes
    within(150, lambda: _has_notice(worker), sweep.logs)
    with contextlib.suppress(ProcessLookupError):  # some versions of Slurm wake it
        os.kill(worker, signal.SIGCONT)
    sweep.await_jobs()
    assert [sweep.starts(job) for job in sweep.jobs] == [2, 1]
    assert "this job is timed-out" in sweep.logs(sweep.jobs[0])
    sweep.check(undisturbed, before)


def test_a_cancelled_sweep_is_gone_from_the_queue_and_a_later_command_completes_it(sweep, undisturbed):
    waiting = sweep.start(*SLURM, "launcher.tasks=2", "sweep.wait=true")
    before, jobs = sweep.await_middle(), sweep.jobs
    out = sweep.tell("p2p-cancel")
    assert f"SLURM jobs {jobs[0].split('_')[0]} (2 tasks), {jobs[-1]}\n" in out
    _, err = waiting.communicate(timeout=60)
    assert waiting.returncode == 1
    left = CELLS - sweep.drawn()
    assert f"{left} cells are not drawn; the same command goes on with them" in err
    assert not {"PENDING", "RUNNING"} & set(states(jobs).values())
    assert [sweep.starts(job) for job in jobs] == [1, 1, 0]
    status = json.loads(sweep.tell("p2p-status", "--json"))
    assert (status["running"], status["workers"], status["missing"]) == (0, 0, left)
    assert "nothing works on it" in sweep.tell("p2p-cancel")
    before |= sweep.stored()
    status, out, err = sweep.run("launcher=process")
    assert status == 0, err
    assert f"{CELLS - left} stored, {left} to draw" in out
    sweep.check(undisturbed, before)


def _worker(sweep):
    """The process of the only worker."""
    (sign,) = (sweep.folder / "claims" / "workers").glob("*.json")
    return json.loads(sign.read_text())["pid"]


def _has_notice(process):
    """Whether the signal of the time limit waits for a process, or has ended it."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return True
    return any(int(line.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1 for line in lines if "Pnd:" in line)
