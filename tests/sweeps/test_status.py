"""How a sweep stands and how it is stopped; what living processes show is in tests/faults."""

from datetime import UTC, datetime, timedelta

import pytest

from sweeps import status
from sweeps.status import cancel, read_status, record_job, recorded_jobs
from sweeps.store import Store

MINUTE = timedelta(minutes=1)
STEADY = ((600, 120, 10 * MINUTE), (600, 120, 12 * MINUTE), (1200, 120, 14 * MINUTE))


@pytest.mark.parametrize(
    ("works", "rate"),
    [((), None), (STEADY, 2400 / 360), (((9000, 10, 2 * MINUTE), *STEADY), 2400 / 360)],
    ids=["nothing", "steady", "after a pause"],
)
def test_the_rate_is_that_of_the_newest_work_without_a_pause(tmp_path, works, rate):
    """Works of three cells that took so many UNet samples and seconds, and ended then."""
    store = Store(tmp_path)
    store.prepare()
    cells = [f"{work}-{cell}" for work in range(len(works)) for cell in range(3)]
    store.write_plan([(cell, cell[0], 1.0) for cell in cells])
    for number, (samples, wall_s, ended) in enumerate(works):
        cost = {
            "unet_samples": samples / 3,
            "wall_s": wall_s / 3,
            "created_at": datetime(2026, 1, 1, tzinfo=UTC) + ended,
        }
        store.append_edits(str(number), [{"cell_id": f"{number}-{at}", "status": "ok", **cost} for at in range(3)])
    found = read_status(tmp_path)
    assert found.done == len(cells)
    assert found.rate == (rate and pytest.approx(rate))


def test_jobs_that_slurm_does_not_answer_for_are_told_and_kept(tmp_path, monkeypatch):
    Store(tmp_path).write_plan([("a", "work", 1.0)])
    record_job(tmp_path, {"kind": "slurm", "ids": ["7"]}, "slurm-7")

    def unanswered(ids):
        raise RuntimeError("scancel does not answer: timed out")

    monkeypatch.setattr(status, "cancel_jobs", unanswered)
    assert cancel(tmp_path) == ["not stopped: SLURM jobs 7 (scancel does not answer: timed out)"]
    assert len(list(recorded_jobs(tmp_path))) == 1
    monkeypatch.setattr(status, "cancel_jobs", lambda ids: None)
    assert cancel(tmp_path) == ["SLURM jobs 7"]
    assert not list(recorded_jobs(tmp_path))
