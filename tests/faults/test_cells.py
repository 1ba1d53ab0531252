"""Cells that fail and memory that runs out: a failure is a row, others are drawn, and a later run makes it good."""

import numpy as np
import pandas as pd
import pytest

from sweeps.store import IMAGES, Store
from tests.faults.program import check, finish, long_form, stored, sweep, sweep_of


@pytest.mark.parametrize(
    ("fault", "failed", "error"),
    [
        ("no_memory", 8, "MemoryError"),
        pytest.param("edit_not_finite", 8, "not finite", marks=long_form),
        ("source_not_finite", 32, "the source's"),
    ],
)
def test_cells_that_fail_are_rows_and_are_made_good_later(tmp_path, pipeline, undisturbed, fault, failed, error):
    running = sweep(tmp_path, pipeline, undisturbed.seeds, fault=fault)
    assert running.wait() == 1
    assert f"{failed} of 32 cells failed" in running.output
    summary = pd.read_parquet(running.sweep / "summary.parquet")
    bad = summary["status"] != "ok"
    assert bad.sum() == failed
    assert summary.loc[bad, "error"].str.contains(error).all()
    drawn = summary.reindex(columns=["ssim", "target_image", "target_hash"])  # without any score there is no column
    assert drawn[bad].isna().all(axis=None)
    assert drawn[~bad].notna().all(axis=None)
    finish(tmp_path, pipeline, undisturbed.seeds)
    check(tmp_path, undisturbed.summary)


def test_out_of_memory_draws_again_with_half_the_batch(tmp_path, pipeline, undisturbed):
    running = sweep(tmp_path, pipeline, undisturbed.seeds, "sweep.batch_size=16", fault="little_memory")
    assert running.wait() == 0, running.output
    assert "drawn again, 8 latents a call" in running.output
    assert "drawn again, 4 latents a call" in running.output
    assert len(stored(tmp_path)) == len(set(stored(tmp_path))) == 32
    differences = np.concatenate(list(values_apart(tmp_path, undisturbed)))
    assert differences.max() <= 1
    assert (differences > 0).mean() <= 0.001


def test_a_model_that_does_not_fit_is_told_of_in_a_line(tmp_path, pipeline, undisturbed):
    running = sweep(tmp_path, pipeline, undisturbed.seeds, fault="no_memory_for_the_model")
    assert running.wait() == 2
    assert "and its metrics cannot be loaded: CUDA out of memory" in running.output.splitlines()[-1]
    assert "Traceback" not in running.output
    assert stored(tmp_path) == []


def values_apart(folder, undisturbed):
    """By how much the 8-bit values of a sweep's pictures differ from an undisturbed one's."""
    summary = pd.read_parquet(sweep_of(folder) / "summary.parquet")
    stores = Store(sweep_of(folder)), Store(sweep_of(undisturbed.folder))
    for column in IMAGES:
        for paths in zip(summary[column], undisturbed.summary[column], strict=True):
            ours, theirs = (store.load_picture(path).int() for store, path in zip(stores, paths, strict=True))
            yield (ours - theirs).abs().flatten().numpy()
