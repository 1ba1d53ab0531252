import dataclasses
import gzip
import json
import os
import re
import signal
import struct
import subprocess
import sys
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_module
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from metrics.registry import METRICS
from metrics.score import Score
from sweeps import tracking, tracking_shard
from sweeps.store import Store
from sweeps.tracking import TrackingSettings, choose_samples, track_sweep
from sweeps.tracking_shard import shard_tracker
from tests.sweeps.frames import frame, row

CONFIG = {"sweep": {"name": "test"}, "sampler": {"num_inference_steps": 20}}
OFFLINE = TrackingSettings()
PER_CONFIG = TrackingSettings(per_config=True)


def records(path: Path) -> list[Record]:
    """The records of a W&B file: a LevelDB log in blocks of 32 KiB after a header of 7 bytes."""
    data, at, found, parts = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        _, length, kind = struct.unpack_from("<IHB", data, at)
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            found.append(Record.FromString(parts))
            parts = b""
    return found


@dataclasses.dataclass
class Offline:
    """What an offline run holds; `history` is a list of logged rows."""

    folder: Path
    id: str
    name: str
    group: str
    job_type: str
    config: dict
    summary: dict
    history: list[dict]
    exit_code: int | None


def read_run(folder: Path) -> Offline:
    (path,) = folder.glob("*.wandb")
    found = records(path)
    (run,) = [one.run for one in found if one.HasField("run")]
    config = {item.key: json.loads(item.value_json) for item in run.config.update}
    summary, history, exits = {}, [], [one.exit.exit_code for one in found if one.HasField("exit")]
    for one in found:
        summary |= {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in one.summary.update}
        if one.HasField("history"):
            items = one.history.item
            history.append({"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
    about = (run.run_id, run.display_name, run.run_group, run.job_type)
    return Offline(folder, *about, config, summary, history, exits[0] if exits else None)


def offline_runs(folder: Path) -> dict[str, list[Offline]]:
    """The offline runs of a sweep by their type, oldest first."""
    found = defaultdict(list)
    paths = sorted(
        (folder / "wandb").glob("offline-run-*"), key=lambda path: next(path.glob("*.wandb")).stat().st_mtime
    )
    for path in paths:
        run = read_run(path)
        found[run.job_type].append(run)
    return dict(found)


def table(run: Offline, name: str) -> pd.DataFrame:
    (path,) = (run.folder / "files/media/table").glob(f"{name}_*.json")
    values = json.loads(path.read_text())
    return pd.DataFrame(values["data"], columns=values["columns"])


def no_picture(place: str) -> torch.Tensor:
    raise FileNotFoundError(place)


@pytest.fixture
def summary() -> pd.DataFrame:
    images = {"source_image": "images/source.png", "target_image": "images/target.png"}
    return frame(
        [
            row(**images, clip_score=20.0, identity_distance=None),
            row(v=0.4, **images, clip_score=30.0, identity_distance=None),
            row(v=0.8, status="failed", error="out of memory", clip_score=None, identity_distance=None),
        ]
    ).astype({"identity_distance": "float64"})


@pytest.fixture
def folder(tmp_path) -> Path:
    """A sweep's folder with a contact sheet."""
    folder = tmp_path / "test"
    (folder / "figures").mkdir(parents=True)
    Image.new("RGB", (8, 8), "white").save(folder / "figures/faces.png")
    return folder


@pytest.fixture
def track(folder):
    """Track a sweep whose pictures are made up: the source red, edits blue."""
    colors = {"images/source.png": (255, 0, 0), "images/target.png": (0, 0, 255)}

    def load(place: str) -> torch.Tensor:
        return torch.tensor(colors[place], dtype=torch.uint8)[:, None, None].expand(3, 8, 8)

    def call(summary, settings=OFFLINE, load_picture=load):
        track_sweep(folder, CONFIG, summary, settings, load_picture)

    return call


@pytest.fixture
def fake_wandb(tmp_path, monkeypatch):
    """Put a package named wandb with this code before the real one, for the processes that are started."""

    def make(code: str) -> None:
        (tmp_path / "stubs").mkdir()
        (tmp_path / "stubs/wandb.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "stubs"))

    return make


@pytest.fixture
def serve(monkeypatch):
    """A server that W&B 0.31 takes for its own; `answers=False` starts runs and then keeps everyone waiting.

    It gives the variables of each request that makes or changes a run, and the files sent, by address.
    """
    servers = []

    def start(answers: bool = True) -> tuple[list[dict], dict[str, bytes]]:
        runs: list[dict] = []
        files: dict[str, bytes] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *values):
                pass

            def do_GET(self):
                self.reply({})

            def do_PUT(self):
                self.do_POST()

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/graphql":
                    self.reply({"data": self.data(json.loads(body))})
                elif answers:
                    files[self.path] = body
                    self.reply({"limits": {}})
                else:
                    time.sleep(100)

            def data(self, request):
                given = request.get("variables") or {}
                if "upsertBucket" in request["query"]:
                    runs.append(given)
                    project = {"id": "p", "name": "p", "entity": {"id": "e", "name": "e"}}
                    bucket = {"id": given["name"], "name": given["name"], "config": "{}", "project": project}
                    return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0}, "inserted": True}}
                if "createRunFiles" in request["query"]:
                    places = [{"name": name, "uploadUrl": f"{url}/{given['run']}/{name}"} for name in given["files"]]
                    return {"createRunFiles": {"runID": "x", "uploadHeaders": [], "files": places}}
                if "createArtifact" in request["query"]:
                    sequence = {"id": "s", "latestArtifact": None}
                    artifact = {"id": "a", "state": "COMMITTED", "artifactSequence": sequence}
                    return {"createArtifact": {"artifact": artifact}}
                if "viewer" in request["query"]:
                    return {
                        "viewer": {"id": "v", "entity": "e", "username": "u", "flags": "{}", "teams": {"edges": []}}
                    }
                return {"project": None}

            def reply(self, value):
                data = json.dumps(value).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *values: None
        url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        login(monkeypatch, url)
        return runs, files

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def login(monkeypatch, url: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", url)


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
    assert time.monotonic() - start < 10
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
        assert time.monotonic() - start < 0.5
    track(summary, online)
    assert time.monotonic() - start < 9
    first, second = capfd.readouterr().err.splitlines()
    assert first == "W&B: shard 0 is not tracked (not finished within 3 s); it goes on"
    assert second.startswith("W&B: not mirrored (not finished within 4.5 s)")


def test_online_runs_reach_the_server_in_the_group_of_the_sweep(folder, summary, track, serve, capfd):
    runs, files = serve()
    online = TrackingSettings(mode="online", entity="team", per_config=True)
    with shard_tracker(folder, online, "shard 0", 100) as tracker:
        tracker.update(cells=2, unet_samples=50)
    track(summary, online)
    track(summary, online)
    assert capfd.readouterr() == ("", "")
    made = [run for run in runs if run.get("jobType")]
    assert {(run["entity"], run["project"], run["groupName"]) for run in made} == {("team", "p2p-sweep", "test")}
    types = {run["name"]: run["jobType"] for run in made}
    assert sorted(types.values()) == ["configuration"] * 3 + ["shard", "sweep"]
    sent = {types[path.split("/")[1]]: json.loads(body) for path, body in files.items() if "wandb-summary" in path}
    assert sent["shard"]["unet_samples"] == 50
    assert sent["sweep"]["mean/clip_score"] == 25
    (cells,) = [json.loads(body) for path, body in files.items() if "media/table/cells" in path]
    assert [one[cells["columns"].index("cell_id")] for one in cells["data"]] == summary["cell_id"].tolist()
    assert sum("/media/images/" in path for path in files) == 3


# A worker's run


def test_a_shards_run_holds_its_totals_rates_memory_and_time_left(folder, monkeypatch, capfd):
    monkeypatch.setattr(tracking_shard, "LOG_EVERY_S", 0.0)
    with shard_tracker(folder, OFFLINE, "shard 1 of 2", 400) as tracker:
        time.sleep(0.3)  # models are loaded
        for _ in range(3):
            tracker.update(unet_samples=50)
            time.sleep(0.01)
            tracker.update(cells=4, failed=1, unet_samples=50)
    (run,) = offline_runs(folder)["shard"]
    assert (run.name, run.group, run.exit_code) == ("test shard 1 of 2", "test", 0)
    assert run.config == {"sweep": "test", "shard": "shard 1 of 2", "total_unet_samples": 400} | {
        "_wandb": run.config["_wandb"]
    }
    assert [one["unet_samples"] for one in run.history] == [50, 100, 150, 200, 250, 300, 300]
    last = run.history[-1]
    assert (last["cells"], last["failed"]) == (12, 3)
    assert 250 / 10 < last["unet_samples_per_s"] < 250 / 0.03, "after the first 50, without the loading"
    assert 15 / 10 < last["cells_per_s"] < 15 / 0.33
    assert last["seconds_left"] == pytest.approx(100 / last["unet_samples_per_s"])
    assert 50e6 < last["resident_bytes"] < 1e12
    assert {name: run.summary[name] for name in last if name[0] != "_"} == {
        name: value for name, value in last.items() if name[0] != "_"
    }
    assert capfd.readouterr() == ("", "")


def test_a_shard_with_nothing_to_draw_is_no_run(folder):
    with shard_tracker(folder, OFFLINE, "shard 0", 0):
        pass
    assert not (folder / "wandb").exists()


def test_rows_are_throttled_and_the_last_is_always_there(folder):
    with shard_tracker(folder, OFFLINE, "shard 0", 1000) as tracker:
        for _ in range(1000):
            tracker.update(unet_samples=1)
    (run,) = offline_runs(folder)["shard"]
    assert [one["unet_samples"] for one in run.history] == [1000]


def test_a_worker_that_raises_is_a_failed_run_and_the_error_goes_on(folder):
    with pytest.raises(KeyboardInterrupt), shard_tracker(folder, OFFLINE, "shard 0", 100):
        raise KeyboardInterrupt
    assert [run.exit_code for run in offline_runs(folder)["shard"]] == [1]


def test_updates_do_not_wait_for_wandb_and_its_failure_turns_the_tracker_off(folder, fake_wandb, monkeypatch, capfd):
    fake_wandb("import time\ntime.sleep(1)\nraise OSError('disk full')")
    monkeypatch.setattr(tracking_shard, "LOG_EVERY_S", 0.0)
    with shard_tracker(folder, OFFLINE, "shard 0", 1e9) as tracker:
        start = time.monotonic()
        for _ in range(2000):  # more than a pipe holds
            tracker.update(cells=1, unet_samples=100)
        assert time.monotonic() - start < 1
        time.sleep(3)
        tracker.update(cells=1)
        error = capfd.readouterr().err
        assert error == "W&B: shard 0 is not tracked (disk full); it goes on\n"
        tracker.update(cells=1)
    assert capfd.readouterr() == ("", "")


def test_a_process_that_cannot_start_is_one_line(folder, monkeypatch, capfd):
    def refuse(*values, **options):
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    with shard_tracker(folder, OFFLINE, "shard 0", 100) as tracker:
        tracker.update(cells=1)
    assert capfd.readouterr().err == "W&B: shard 0 is not tracked (Cannot allocate memory); it goes on\n"


def test_a_killed_worker_leaves_its_results_whole_and_its_run_readable(folder):
    code = f"""
import sys, time
from pathlib import Path
from sweeps import tracking_shard
from sweeps.store import Store
from sweeps.tracking import TrackingSettings
from tests.sweeps.frames import row
tracking_shard.LOG_EVERY_S = 0.0
store = Store(Path({str(folder)!r}))
store.prepare()
with tracking_shard.shard_tracker(store.folder, TrackingSettings(), "shard 0", 100) as tracker:
    for seed in range(5):
        store.append_edits(str(seed), [row(seed=seed) | {{"cell_id": str(seed)}}])
        tracker.update(cells=1, unet_samples=10)
    print("stored", flush=True)
    time.sleep(100)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "stored\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert Store(folder).edits()["cell_id"].tolist() == ["0", "1", "2", "3", "4"]
    deadline = time.monotonic() + 20
    while not any(one.HasField("exit") for path in folder.glob("wandb/*/*.wandb") for one in records(path)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    (run,) = offline_runs(folder)["shard"]
    assert run.exit_code == 1
    assert [one["cells"] for one in run.history] == [1, 2, 3, 4, 5]


def test_workers_at_the_same_time_have_a_run_each(folder):
    trackers = [shard_tracker(folder, OFFLINE, f"shard {i}", 100) for i in range(3)]
    for tracker in trackers:
        tracker.__enter__()
    for i, tracker in enumerate(trackers):
        tracker.update(cells=i)
        tracker.__exit__(None, None, None)
    runs = offline_runs(folder)["shard"]
    assert sorted((run.config["shard"], run.history[-1]["cells"]) for run in runs) == [
        ("shard 0", 0),
        ("shard 1", 1),
        ("shard 2", 2),
    ]


def test_the_program_imports_none_of_our_packages():
    code = "import sys, runpy; runpy.run_path('sweeps/tracking_runs.py'); print({'torch', 'wandb'} & set(sys.modules))"
    found = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert found.stdout == "set()\n"
