"""A report in the sweep's run: its tables, figures and contact sheets."""

import json

import pytest
from PIL import Image

from sweeps import tracking
from sweeps.tracking import track_report
from tests.sweeps.tracking.wandb_files import offline_runs, table


@pytest.fixture
def reported(folder, summary, monkeypatch):
    """The sweep's folder with a report of one table, one figure and one contact sheet."""
    (folder / "report/tables").mkdir(parents=True)
    (folder / "report/tables/effects.csv").write_text("category,mean,p\nfaces,0.5,\nfood,0.25,0.01\n")
    (folder / "report/figures/sheets").mkdir(parents=True)
    Image.new("RGB", (8, 8), "green").save(folder / "report/figures/front.png")
    Image.new("RGB", (8, 8), "blue").save(folder / "report/figures/sheets/faces-k.png")
    settings = {"mode": "none", "project": "mine", "entity": None, "per_config": False, "max_pictures": 24}
    (folder / "config.json").write_text(json.dumps({"tracking": settings, "seed": 0}))
    monkeypatch.setattr(tracking.Store, "read_summary", lambda store: summary)
    return folder


def test_the_sweep_s_run_holds_the_report(reported, capfd):
    track_report(reported)
    (run,) = offline_runs(reported)["sweep"]
    (logged,) = run.history
    shown = {key.removesuffix("/_type") for key in logged if key.startswith("report")}
    assert {"report/effects", "report/figures", "report/sheets"} <= {key.rsplit("/", 1)[0] for key in logged} | shown
    effects = table(run, "report/effects")
    assert effects.to_dict("list")["category"] == ["faces", "food"]
    assert effects["mean"].tolist() == [0.5, 0.25]
    assert effects["p"].isna().tolist() == [True, False]
    media = {path.name.split("_")[0] for path in run.folder.glob("files/media/images/report/*.png")}
    assert media == {"figures", "sheets"}
    assert len(table(run, "cells")) == 3
    assert run.summary["mean/clip_score"] == 25
    assert capfd.readouterr() == ("", "")


def test_it_is_the_run_that_the_sweep_made_and_is_written_when_the_report_changes(reported, summary, track):
    track(summary)
    track_report(reported)
    track_report(reported)
    assert len(offline_runs(reported)["sweep"]) == 2
    assert len({run.id for run in offline_runs(reported)["sweep"]}) == 1
    (reported / "report/tables/effects.csv").write_text("category,mean\nfaces,0.75\n")
    track_report(reported)
    assert table(offline_runs(reported)["sweep"][-1], "report/effects")["mean"].tolist() == [0.75]


def test_runs_of_configurations_for_the_dashboard_may_be_asked_for(reported):
    track_report(reported, per_config=True)
    found = offline_runs(reported)["configuration"]
    assert {run.config["v_inject_steps"] for run in found} == {0.0, 0.4, 0.8}


@pytest.mark.parametrize(
    ("make", "mode", "message"),
    [
        (lambda folder: (folder / "config.json").unlink(), None, "not the folder of a sweep"),
        (lambda folder: (folder / "report").rename(folder / "elsewhere"), None, "has no report; run p2p-report"),
        (lambda folder: None, "none", "tracking.mode must be one of offline, online, got 'none'"),
    ],
)
def test_what_cannot_be_mirrored_is_refused(reported, make, mode, message):
    make(reported)
    with pytest.raises(ValueError, match=message):
        track_report(reported, mode)
    assert not (reported / "wandb").exists()
