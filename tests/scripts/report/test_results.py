import os
import time

import pandas as pd
import pytest

from metrics.score import Score
from scripts.report.results import read_results
from sweeps.provenance import mixtures
from sweeps.store import Store
from tests.scripts.report.synthetic import synthetic_cells, write_summary

ROWS = ["cell_id", "config_id", "category", "pair", "seed", "edit", "status", "created_at", "target_hash"]


@pytest.fixture
def cells():
    return synthetic_cells(categories=("food",), pairs=1, seeds=1)


def store_of(folder, cells, at=1.0) -> Store:
    """A sweep's folder with one part of edits and scores."""
    store = Store(folder)
    store.prepare()
    rows = cells[[*ROWS, "k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"]]
    store.append_edits("part", rows.to_dict("records"))
    store.append_scores("part", [Score(cell, "ssim", 1, "none", at, None) for cell in cells["cell_id"]])
    return store


def test_a_folder_with_its_summary_alone_will_do(tmp_path, cells):
    results = read_results([write_summary(tmp_path / "published", cells)])
    assert len(results.cells) == 16
    assert set(results.cells["sweep"]) == {"published"}
    assert set(results.cells["folder"]) == {str(tmp_path / "published")}
    assert [metric.name for metric in results.metrics][:2] == ["clip_score", "clip_directional"]
    assert results.aggregates.empty


def test_the_store_is_read_without_a_summary_and_nothing_is_written(tmp_path, cells):
    store = store_of(tmp_path / "sweep", cells, at=0.25)
    assert read_results([store.folder]).cells["ssim"].tolist() == [0.25] * 16
    assert not store.summary_path.exists()


def test_the_newer_of_summary_and_store_counts(tmp_path, cells):
    store = store_of(tmp_path / "sweep", cells)
    write_summary(store.folder, cells.assign(ssim=0.5))
    future = time.time() + 100
    os.utime(store.summary_path, (future, future))
    assert set(read_results([store.folder]).cells["ssim"]) == {0.5}
    (part,) = (store.folder / "scores").glob("*.parquet")
    os.utime(part, (future + 1, future + 1))
    assert set(read_results([store.folder]).cells["ssim"]) == {1.0}


def test_versions_of_scores_are_told_from_stored_summaries_too(tmp_path, cells):
    store = store_of(tmp_path / "sweep", cells)
    store.append_scores("again", [Score(cells["cell_id"][0], "ssim", 2, "none", 0.75, None)])
    expected = mixtures(store.write_summary())
    assert any("scores of ssim are the newest" in line for line in expected)
    os.utime(store.summary_path)
    assert mixtures(read_results([store.folder]).cells) == expected


def test_a_cell_in_two_sweeps_is_there_once_drawn_rather_than_failed(tmp_path, cells):
    failed = cells.assign(status="failed", created_at=cells["created_at"] + pd.Timedelta(days=1))
    failed = pd.concat(
        [
            failed,
            synthetic_cells(categories=("animals",), pairs=1, seeds=1).assign(cell_id=lambda t: "x" + t["cell_id"]),
        ]
    )
    folders = [write_summary(tmp_path / "first", cells), write_summary(tmp_path / "second", failed)]
    found = read_results(folders).cells
    assert len(found) == 32
    assert (found["status"] == "ok").all()
    assert found.groupby("category")["sweep"].unique().map(list).to_dict() == {"animals": ["second"], "food": ["first"]}


def test_cells_drawn_again_with_other_weights_take_the_place_of_the_old(tmp_path, cells):
    old = cells.assign(settings_id=cells["cell_id"])
    new = old.assign(cell_id="new " + old["cell_id"], created_at=old["created_at"] + pd.Timedelta(days=1))
    folders = [write_summary(tmp_path / "old", old), write_summary(tmp_path / "new", new)]
    assert read_results(folders).cells["cell_id"].str.startswith("new ").tolist() == [True] * 16


def test_newest_version_of_every_aggregate_counts(tmp_path, cells):
    folder = write_summary(tmp_path / "sweep", cells)
    (folder / "aggregates").mkdir()
    row = {"config_id": "a", "category": "food", "metric": "realism", "network": "clip", "n": 200, "reason": None}
    for name, version, value in (("1", 2, 0.5), ("2", 1, 0.25), ("3", 2, 0.75)):
        part = pd.DataFrame([{**row, "metric_version": version, "value": value}])
        part.to_parquet(folder / "aggregates" / f"{name}.parquet")
    assert read_results([folder]).aggregates["value"].tolist() == [0.75]


def test_what_is_no_sweep_is_refused_in_one_line(tmp_path, cells):
    with pytest.raises(ValueError, match="nowhere is not the folder of a sweep that has begun; it is results/<sweep>"):
        read_results([tmp_path / "nowhere"])
    with pytest.raises(ValueError, match="holds no cell yet"):
        read_results([write_summary(tmp_path / "empty", cells[:0])])
    with pytest.raises(ValueError, match="has no column config_id"):
        read_results([write_summary(tmp_path / "other", cells.drop(columns="config_id"))])
    folder = write_summary(tmp_path / "sweep", cells)
    with pytest.raises(ValueError, match="given twice"):
        read_results([folder, tmp_path / "empty" / ".." / "sweep"])
    with pytest.raises(ValueError, match="no sweep is given"):
        read_results([])


def test_pictures_that_are_gone_are_not_recorded(tmp_path, cells):
    (tmp_path / "sweep/images/target").mkdir(parents=True)
    (tmp_path / "sweep/images/target/here.png").write_bytes(b"picture")
    paths = ["images/target/here.png", "images/target/gone.png", None] + [None] * (len(cells) - 3)
    write_summary(tmp_path / "sweep", cells.assign(target_image=paths, source_image="images/source/gone.png"))
    found = read_results([tmp_path / "sweep"]).cells
    assert found["target_image"].dropna().tolist() == paths[:1]
    assert found["source_image"].isna().all()
