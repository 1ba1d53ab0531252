"""Whole sweeps on a real Slurm: end to end, and requeued where they stopped. CI runs these."""

import json
import subprocess
import time

from sweeps.slurm import states
from sweeps.status import read_status
from tests.cluster.program import CELLS, COMMANDS, SLURM, needs_cluster

pytestmark = needs_cluster


def test_a_sweep_end_to_end_is_what_one_process_leaves_and_its_command_stays_if_asked(sweep, undisturbed):
    waiting = sweep.start(*SLURM, "launcher.tasks=2", "sweep.wait=true")
    seen = []
    while waiting.poll() is None:
        if (sweep.folder / "plan.parquet").exists():
            seen.append(read_status(sweep.folder))
        time.sleep(0.5)
    out, err = waiting.communicate()
    assert waiting.returncode == 0, err
    assert all(one.done + one.running + one.failed + one.missing == CELLS for one in seen)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert max(one.workers for one in seen) == 2
    assert any(one.running and one.rate and one.seconds_left for one in seen)
    assert f"{CELLS}/{CELLS} cells" in err
    assert "tables  results/sweep/tables" in out
    assert "tables  results/sweep/tables" in sweep.logs(sweep.jobs[-1], "out")
    sweep.check(undisturbed)
    assert f"{COMMANDS}/python" in (sweep.folder / "slurm" / f"{sweep.jobs[-1]}_submission.sh").read_text()
    status = json.loads(sweep.tell("p2p-status", "--json"))
    assert (status["cells"], status["done"], status["running"], status["missing"]) == (CELLS, CELLS, 0, 0)


def test_preempted_tasks_are_requeued_and_go_on_where_they_stopped(sweep, undisturbed):
    sweep.submit("launcher.tasks=2")
    assert set(states(sweep.jobs).values()) <= {"PENDING", "RUNNING"}
    before = sweep.await_middle()
    subprocess.run(["sbatch", "--partition=high", "--exclusive", "--output=/dev/null", "--wrap=true"], check=True)
    sweep.await_jobs()
    assert [sweep.starts(job) for job in sweep.jobs] == [2, 2, 1]
    assert "tables  results/sweep/tables" in sweep.logs(sweep.jobs[-1], "out")
    sweep.check(undisturbed, before)
