"""The W&B dashboard of a sweep: what would be sent, without network or login."""

import json
import sys

import pytest

from scripts import wandb_workspace
from tests.sweeps.frames import frame, row


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A sweep's folder, as `Store.read_summary` sees it."""
    folder = tmp_path / "grid"
    (folder / "report/tables").mkdir(parents=True)
    (folder / "report/tables/effects.csv").write_text("setting,mean\nk,0.5\n")
    (folder / "config.json").write_text(json.dumps({"tracking": {"project": "sweeps", "entity": None}}))
    scores = {"clip_directional": 0.2, "lpips": 0.1, "cycle_lpips": 0.3, "identity_distance": None}
    summary = frame([row(**scores), row(v=0.4, **scores)])
    monkeypatch.setattr(wandb_workspace.Store, "read_summary", lambda store: summary)
    return folder


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setenv("WANDB_API_KEY", "")
        monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setattr(sys, "argv", ["wandb_workspace", *map(str, arguments)])
        try:
            wandb_workspace.main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run


def panels(sent, kind):
    sections = sent["spec"]["section"]["panelBankConfig"]["sections"]
    return [panel["config"] for section in sections for panel in section["panels"] if panel["viewType"] == kind]


def test_a_dry_run_prints_all_that_would_be_sent(run, folder):
    status, out, err = run(folder, "--dry-run")
    assert status == 0, err
    sent = json.loads(out)
    assert (sent["project"], sent["name"]) == ("sweeps", "p2p-sweep: grid")
    (coordinates,) = panels(sent, "Parallel Coordinates Plot")
    columns = [column["accessor"] for column in coordinates["columns"]]
    assert columns[:4] == [f"config:{axis}.value" for axis in wandb_workspace.AXES]
    assert columns[4:] == ["summary:mean/clip_directional", "summary:mean/lpips"]
    targets = {config["targetKey"] for config in panels(sent, "Parameter Importance")}
    assert targets == {"mean/clip_directional", "mean/lpips", "mean/cycle_lpips"}
    scatters = [(config["xAxis"], config["yAxis"]) for config in panels(sent, "Scatter Plot")]
    assert scatters[0] == ("summary:mean/lpips", "summary:mean/clip_directional")
    assert ("summary:mean/lpips", "summary:mean/cycle_lpips") in scatters
    pictures = [key for config in panels(sent, "Media Browser") for key in config["mediaKeys"]]
    assert pictures == ["report/figures", "report/sheets", "contact_sheets", "samples"]
    assert "report/effects" in out
    filters = json.dumps(sent["spec"]["section"]["runSets"][0]["filters"])
    assert '"group"' in filters
    assert '"grid"' in filters


def test_metrics_and_the_place_may_be_chosen(run, folder):
    status, out, _ = run(folder, "--dry-run", "--words", "cycle_lpips", "--entity", "team", "--project", "mine")
    assert status == 0
    sent = json.loads(out)
    assert (sent["entity"], sent["project"]) == ("team", "mine")
    assert panels(sent, "Scatter Plot")[0]["yAxis"] == "summary:mean/cycle_lpips"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--words", "identity_distance", "--dry-run"], "no values of identity_distance; it has "),
        ([], "W&B's user or team is not known; give it with --entity"),
    ],
)
def test_bad_input_is_refused_in_one_line(run, folder, arguments, message):
    status, out, err = run(folder, *arguments)
    assert (status, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_a_folder_that_is_no_sweep_s_is_refused(run, tmp_path):
    status, _, err = run(tmp_path, "--dry-run")
    assert status == 2
    assert "is not the folder of a sweep (no config.json)" in err


def test_saving_sends_the_same_to_w_and_b(folder, run, monkeypatch):
    from wandb_workspaces.workspaces import internal

    sent = {}

    def upsert(view):
        sent.update(entity=view.entity, spec=json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True)))
        return {"upsertView": {"view": {"name": "nw-1", "id": "1"}}}

    monkeypatch.setattr(internal, "upsert_view2", upsert)
    monkeypatch.setattr("wandb_workspaces.workspaces.interface.Workspace.url", "https://wandb.ai/team/sweeps?nw=1")
    status, out, err = run(folder, "--entity", "team")
    assert status == 0, err
    assert out == "https://wandb.ai/team/sweeps?nw=1\n"
    dry = json.loads(run(folder, "--entity", "team", "--dry-run")[1])
    without_ids = [json.dumps(_without_ids(values["spec"])) for values in (sent, dry)]
    assert without_ids[0] == without_ids[1]


def _without_ids(values):
    if isinstance(values, dict):
        return {key: _without_ids(value) for key, value in values.items() if key not in ("__id__", "id")}
    return [_without_ids(value) for value in values] if isinstance(values, list) else values
