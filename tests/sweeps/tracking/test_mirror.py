"""The sweep's run and the configurations': settings, tables, pictures, and what fails."""

import json
import re
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_module
from PIL import Image

from metrics.registry import METRICS
from metrics.score import Score
from sweeps import tracking, tracking_runs, tracking_shard
from sweeps.store import Store
from sweeps.tracking import TrackingSettings, choose_samples, track_sweep
from sweeps.tracking_shard import shard_tracker
from tests.sweeps.frames import frame, row
from tests.sweeps.tracking.conftest import CONFIG, login
from tests.sweeps.tracking.wandb_files import offline_runs, table

PER_CONFIG = TrackingSettings(per_config=True)

# Settings


def test_each_mode_is_a_file_of_the_configuration():
    for mode in tracking.MODES:
        with initialize_config_module("conf", version_base="1.3"):
            values = compose(f"tracking/{mode}").tracking
        assert TrackingSettings.from_mapping(values) == TrackingSettings(mode=mode)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("wandb", "tracking must be one of none, offline, online, got 'wandb'"),
        ({"modus": "online"}, "unknown key tracking.modus; did you mean tracking.mode? Known: mode, project"),
        ({"mode": "on"}, "tracking.mode must be one of none, offline, online, got 'on'"),
        ({"project": None}, "tracking.project must be the name of a W&B project, got None"),
        ({"entity": 3}, "tracking.entity must be a W&B user or team, or null, got 3"),
        ({"per_config": 1}, "tracking.per_config must be true or false, got 1"),
        ({"max_pictures": -1}, "tracking.max_pictures must be a whole number, at least 0, got -1"),
        ({"max_pictures": True}, "tracking.max_pictures must be a whole number, at least 0, got True"),
    ],
)
def test_wrong_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        TrackingSettings.from_mapping(values)


# The sweep's run


def test_offline_run_holds_config_means_and_pictures(folder, summary, track, capfd):
    track(summary)
    (run,) = offline_runs(folder)["sweep"]
    assert (run.name, run.group) == ("test", "test")
    assert run.config["sampler"] == {"num_inference_steps": 20}
    (logged,) = run.history
    assert {"cells", "summary", "contact_sheets", "samples"} <= {key.split("/")[0] for key in logged}
    assert run.summary["mean/clip_score"] == 25
    assert (run.summary["num_cells"], run.summary["num_failed"]) == (3, 1)
    assert "mean/identity_distance" not in run.summary
    media = sorted(path for path in run.folder.glob("files/media/images/*.png"))
    assert [path.name.split("_")[0] for path in media] == ["contact", "samples", "samples"]
    colors = {tuple(np.asarray(Image.open(path).convert("RGB"))[0, 0]) for path in media}
    assert colors == {(255, 255, 255), (255, 0, 0), (0, 0, 255)}
    assert capfd.readouterr() == ("", "")


def test_offline_files_hold_every_row_that_the_store_holds(tmp_path):
    store = Store(tmp_path / "stored")
    store.prepare()
    values = np.random.default_rng(0).random((60, 2))
    for i, (k, seed) in enumerate((k, seed) for k in (None, 0.0, 0.3) for seed in range(20)):
        cell = row(k=k, seed=seed) | {"cell_id": f"{k} {seed}"}
        failed = {"status": "failed", "error": "Traceback\n  a line"} if seed == 7 else {}
        store.append_edits(f"part{i}", [cell | failed])
        if not failed:
            scores = [("lpips", values[i, 0]), ("ssim", values[i, 1]), ("identity_distance", None)]
            reasons = {"identity_distance": "not_a_face"}
            store.append_scores(
                f"part{i}", [Score(f"{k} {seed}", name, 1, None, value, reasons.get(name)) for name, value in scores]
            )
    summary = store.write_summary()
    track_sweep(store.folder, CONFIG, summary, PER_CONFIG, store.load_picture)
    runs = offline_runs(store.folder)
    (run,) = runs["sweep"]
    cells, stored = table(run, "cells"), pd.read_parquet(store.summary_path).drop(columns="versions")
    stored["created_at"] = stored["created_at"].astype(str)
    assert len(cells) == 60
    pd.testing.assert_frame_equal(
        cells.astype(object), stored.astype(object).where(stored.notna(), None), check_exact=True
    )
    drawn = stored[stored["status"] == "ok"]
    assert run.summary["mean/lpips"] == pytest.approx(drawn["lpips"].mean(), rel=1e-12)
    by_id = {one.config["config_id"]: one for one in runs["configuration"]}
    assert len(by_id) == len(runs["configuration"]) == 3
    for config_id, own in drawn.groupby("config_id"):
        held = by_id[config_id].summary
        for name in ("lpips", "ssim"):
            assert held[f"mean/{name}"] == pytest.approx(own[name].mean(), rel=1e-12)
        assert (held["num_cells"], held["num_failed"]) == (20, 1)
        assert not [key for key in held if key.removeprefix("mean/") in METRICS and "identity" in key]
    means = table(run, "summary").set_index("config_id")
    assert means.loc[list(by_id), "lpips"].tolist() == [one.summary["mean/lpips"] for one in by_id.values()]


def test_more_cells_than_a_table_of_wandb_takes_by_itself_are_all_there(folder, track):
    summary = frame([row(seed=i, lpips=float(i)) | {"cell_id": str(i)} for i in range(10_001)])
    track(summary)
    (run,) = offline_runs(folder)["sweep"]
    assert table(run, "cells")["lpips"].tolist() == summary["lpips"].tolist()


def test_mirroring_again_writes_nothing_until_there_is_something_new(folder, summary, track):
    for grown in (summary.iloc[:2], summary.iloc[:2], summary):
        track(grown)
    runs = offline_runs(folder)["sweep"]
    assert [run.summary["num_cells"] for run in runs] == [2, 3]
    assert len({run.id for run in runs}) == 1, "one sweep is one run"


def test_a_mirror_of_an_earlier_version_is_continued(folder, summary, track):
    (folder / "wandb").mkdir()
    (folder / "wandb/mirror.json").write_text('{"run_id": "abcd1234", "mode": "offline", "digest": "0"}')
    track(summary)
    assert [run.id for run in offline_runs(folder)["sweep"]] == ["abcd1234"]


def test_none_starts_nothing(folder, summary, track, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", None)
    none = TrackingSettings(mode="none")
    track(summary, none)
    with shard_tracker(folder, none, "0", 100) as tracker:
        tracker.update(cells=1)
    assert not (folder / "wandb").exists()


# Pictures


@pytest.mark.parametrize("most", [0, 1, 2, 5, 7])
def test_pictures_are_capped_with_contact_sheets_first(folder, track, most):
    images = [{"source_image": f"s{i // 4}", "target_image": f"t{i}"} for i in range(12)]
    summary = frame([row(seed=i, **images[i]) | {"cell_id": str(i)} for i in range(12)])
    track(summary, TrackingSettings(max_pictures=most), lambda place: torch.zeros(3, 8, 8, dtype=torch.uint8))
    (run,) = offline_runs(folder)["sweep"]
    (logged,) = run.history
    sheets = logged.get("contact_sheets/count", 0)
    samples = logged.get("samples/count", 0)
    assert (sheets, samples) == (min(most, 1), len(choose_samples(summary, most - min(most, 1))))
    assert sheets + samples <= most


def test_samples_are_spread_over_the_sweep_and_use_the_room():
    images = [{"source_image": f"s{i // 4}", "target_image": f"t{i}"} for i in range(40)]
    summary = frame([row(seed=i, **images[i]) for i in range(40)])
    samples = choose_samples(summary, 24)
    assert 20 <= len(samples) <= 24
    assert {int(name[1:]) // 10 for name in samples if name[0] == "t"} == {0, 1, 2, 3}
    assert list(choose_samples(summary, 1)) == ["t0"]
    assert len(choose_samples(summary, 1000)) == 50


def test_pictures_that_are_not_kept_are_skipped(folder, track):
    kept = [None, "lost.png", "images/target.png"]
    track(frame([row(seed=i, target_image=name) for i, name in enumerate(kept)]))
    (run,) = offline_runs(folder)["sweep"]
    assert run.history[0]["samples/count"] == 1


# A run a configuration


def test_configurations_are_runs_with_numbers_for_parallel_coordinates(folder, track):
    per_word = json.loads(row(cross=0.8)["edit"]) | {"cross_replace_steps": {"default_": [0.0, 0.8], "red": [0.2, 0.6]}}
    by_word = row(config_id="by word", edit=json.dumps(per_word), lpips=0.3) | {"cross_replace_steps": None}
    rows = [row(seed=seed, lpips=0.1 + 0.2 * seed) for seed in (0, 1)]
    track(frame([*rows, row(k=None, v=0.4, lpips=None, status="failed"), by_word]), PER_CONFIG)
    runs = {run.config["config_id"]: run for run in offline_runs(folder)["configuration"]}
    assert {run.group for run in runs.values()} == {"test"}
    literature = runs["0.3 0.8 0.2 0.0"]
    assert literature.name == "literature, k 0.3, cross 0.8, self 0.2, V 0"
    axes = ("k", "cross_replace_steps", "self_replace_steps", "v_inject_steps", "guidance_scale")
    assert [literature.config[axis] for axis in axes] == [0.3, 0.8, 0.2, 0.0, 5.0]
    assert literature.summary["mean/lpips"] == pytest.approx(0.2)
    assert literature.summary["num_cells"] == 2
    failed = runs["None 0.8 0.2 0.4"]
    assert failed.config["k"] == "none"
    assert failed.summary["num_failed"] == 1
    assert "mean/lpips" not in failed.summary
    assert runs["by word"].config["cross_replace_steps"] == "0.8, red 0.2-0.6"


def test_a_grown_sweep_continues_only_the_configurations_that_changed(folder, track):
    first = [row(lpips=0.1), row(v=0.4, lpips=0.2)]
    track(frame(first), PER_CONFIG)
    track(frame([*first, row(seed=1, lpips=0.3)]), PER_CONFIG)
    runs = offline_runs(folder)["configuration"]
    assert [(run.config["v_inject_steps"], run.summary["num_cells"]) for run in runs][2:] == [(0.0, 2)]
    assert len(runs) == 3
    again = [run.id for run in runs if run.config["v_inject_steps"] == 0.0]
    assert len(set(again)) == 1
    assert len(again) == 2


# Failures


def test_without_wandb_one_line_says_so(folder, summary, track, fake_wandb, capfd):
    fake_wandb("raise ImportError('no wandb here')")
    track(summary)
    error = capfd.readouterr().err
    assert error.startswith("W&B: not mirrored (no wandb here); the results in ")
    assert error.count("\n") == 1
    track(summary)
    assert "not mirrored" in capfd.readouterr().err, "tried again, since nothing was mirrored"


def test_a_crash_of_wandb_is_one_line(summary, track, fake_wandb, capfd):
    fake_wandb("import os, sys\nprint('noise', file=sys.stderr)\nprint('noise')\nsys.stdout.flush()\nos.abort()")
    track(summary)
    out, error = capfd.readouterr()
    assert error.startswith("W&B: not mirrored (its process ended with status -6)")
    assert (out, error.count("\n")) == ("", 1)


def test_without_login_one_line_names_the_remedy(folder, summary, track, monkeypatch, capfd):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(folder / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(folder / "no-config"))
    online = TrackingSettings(mode="online")
    track(summary, online)
    with shard_tracker(folder, online, "shard 0", 100):
        pass
    first, second = capfd.readouterr().err.splitlines()
    assert "not mirrored (no login; run `wandb login`, or set tracking=offline)" in first
    assert second == "W&B: shard 0 is not tracked (no login; run `wandb login`, or set tracking=offline); it goes on"


def test_online_without_a_server_is_soon_given_up(folder, summary, track, monkeypatch, capfd):
    login(monkeypatch, "http://127.0.0.1:9")
    start = time.monotonic()
    track(summary, TrackingSettings(mode="online", per_config=True))
    assert time.monotonic() - start < tracking_runs.INIT_S
    error = capfd.readouterr().err
    assert "http://127.0.0.1:9 does not answer: [Errno 111] Connection refused; set tracking=offline" in error
    assert error.count("\n") == 1


def test_a_server_that_keeps_everyone_waiting_delays_a_sweep_by_no_more_than_the_deadline(
    folder, summary, track, serve, monkeypatch, capfd
):
    serve(answers=False)
    monkeypatch.setattr(tracking, "_MIRROR_S", 4.0)
    monkeypatch.setattr(tracking_shard, "FINISH_S", 3.0)
    online = TrackingSettings(mode="online")
    start = time.monotonic()
    with shard_tracker(folder, online, "shard 0", 100) as tracker:
        tracker.update(cells=1)
        assert time.monotonic() - start < 2
    track(summary, online)
    assert time.monotonic() - start < tracking_runs.INIT_S
    first, second = capfd.readouterr().err.splitlines()
    assert first == "W&B: shard 0 is not tracked (not finished within 3 s); it goes on"
    assert second.startswith("W&B: not mirrored (not finished within 4.5 s)")


def test_online_runs_reach_the_server_in_the_group_of_the_sweep(folder, summary, track, serve, capfd):
    server = serve()
    online = TrackingSettings(mode="online", entity="team", per_config=True)
    with shard_tracker(folder, online, "shard 0", 100) as tracker:
        tracker.update(cells=2, unet_samples=50)
    track(summary, online)
    track(summary, online)
    assert capfd.readouterr() == ("", "")
    made = [run for run in server.runs if run.get("jobType")]
    assert {(run["entity"], run["project"], run["groupName"]) for run in made} == {("team", "p2p-sweep", "test")}
    types = {run["name"]: run["jobType"] for run in made}
    assert sorted(types.values()) == ["configuration"] * 3 + ["shard", "sweep"]
    sent = {
        types[path.split("/")[1]]: json.loads(body) for path, body in server.files.items() if "wandb-summary" in path
    }
    assert sent["shard"]["unet_samples"] == 50
    assert sent["sweep"]["mean/clip_score"] == 25
    (cells,) = [json.loads(body) for path, body in server.files.items() if "media/table/cells" in path]
    assert [one[cells["columns"].index("cell_id")] for one in cells["data"]] == summary["cell_id"].tolist()
    assert sum("/media/images/" in path for path in server.files) == 3
