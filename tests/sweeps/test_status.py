"""How a sweep stands and how it is stopped; what living processes show is in tests/faults."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

from sweeps import status
from sweeps.status import cancel, record_job, recorded_jobs
from sweeps.store import Store


def parts(*works):
    """Rows of works that took (samples, seconds, end), of three cells each."""
    return pd.DataFrame(
        [
            {"unet_samples": samples / 3, "wall_s": wall_s / 3, "created_at": datetime(2026, 1, 1, tzinfo=UTC) + end}
            for samples, wall_s, end in works
            for _ in range(3)
        ]
    )


def test_the_rate_is_that_of_the_newest_work_without_a_pause():
    minute = timedelta(minutes=1)
    steady = [(600, 120, 10 * minute), (600, 120, 12 * minute), (1200, 120, 14 * minute)]
    assert status._rate(parts(*steady)) == pytest.approx(2400 / 360)
    assert status._rate(parts((9000, 10, 2 * minute), *steady)) == pytest.approx(2400 / 360)
    assert status._rate(parts((600, 120, minute))[:0]) is None


def test_jobs_that_slurm_does_not_answer_for_are_told_and_kept(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.write_plan([("a", "work", 1.0)])
    record_job(tmp_path, {"kind": "slurm", "ids": ["7"]}, "slurm-7")

    def unanswered(ids):
        raise RuntimeError("scancel does not answer: timed out")

    monkeypatch.setattr(status, "cancel_jobs", unanswered)
    assert cancel(tmp_path) == ["not stopped: SLURM jobs 7 (scancel does not answer: timed out)"]
    assert len(list(recorded_jobs(tmp_path))) == 1
    monkeypatch.setattr(status, "cancel_jobs", lambda ids: None)
    assert cancel(tmp_path) == ["SLURM jobs 7"]
    assert not list(recorded_jobs(tmp_path))
