import struct
import sys
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from wandb.proto.wandb_internal_pb2 import Record

from sweeps.tracking import track_sweep
from tests.sweeps.frames import frame, row

CONFIG = {"sweep": {"name": "test"}, "sampler": {"num_inference_steps": 20}}


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
    """A sweep's folder with two pictures and a contact sheet."""
    folder = tmp_path / "test"
    pictures = {"images/source.png": "red", "images/target.png": "blue", "figures/faces.png": "white"}
    for name, color in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), color).save(folder / name)
    return folder


def test_offline_run_holds_config_tables_means_and_pictures(folder, summary, capfd):
    track_sweep(folder, CONFIG, summary)
    (path,) = (folder / "wandb").glob("offline-run-*/*.wandb")
    found = records(path)
    config = {item.key: item.value_json for one in found for item in one.run.config.update}
    assert config["sampler"] == '{"num_inference_steps":20}'
    logged = {"/".join(item.nested_key) or item.key for one in found for item in one.history.item}
    assert {"cells", "summary", "contact_sheets", "samples"} <= {key.split("/")[0] for key in logged}
    means = {"/".join(item.nested_key) or item.key: item.value_json for one in found for item in one.summary.update}
    assert float(means["mean/clip_score"]) == 25
    assert means["num_failed"] == "1"
    assert "mean/identity_distance" not in means
    media = [path.name for path in path.parent.glob("files/media/**/*") if path.is_file()]
    assert sum(name.startswith("samples") for name in media) == 2
    assert sum(name.startswith("contact_sheets") for name in media) == 1
    assert capfd.readouterr() == ("", "")


def test_mirroring_again_writes_nothing_until_there_is_something_new(folder, summary):
    for grown in (summary.iloc[:2], summary.iloc[:2], summary):
        track_sweep(folder, CONFIG, grown)
    runs = sorted((folder / "wandb").glob("offline-run-*"))
    assert len(runs) == 2
    assert len({run.name.split("-")[3] for run in runs}) == 1, "one sweep is one run"


def test_none_writes_nothing(folder, summary):
    track_sweep(folder, CONFIG, summary, mode="none")
    assert not (folder / "wandb").exists()


def test_without_wandb_one_line_says_so(folder, summary, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    track_sweep(folder, CONFIG, summary)
    error = capsys.readouterr().err
    assert error.startswith("W&B: not mirrored (")
    assert error.count("\n") == 1


def test_without_login_one_line_names_the_remedy(folder, summary, monkeypatch, capsys):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(folder / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(folder / "no-config"))
    track_sweep(folder, CONFIG, summary, mode="online")
    error = capsys.readouterr().err
    assert "no login; run `wandb login`, or set tracking=offline" in error
    assert error.count("\n") == 1


def test_a_failure_inside_wandb_is_no_failure_of_the_sweep(folder, summary, monkeypatch, capsys):
    import wandb

    def broken(**settings):
        raise OSError("disk full\nmore lines")

    monkeypatch.setattr(wandb, "init", broken)
    track_sweep(folder, CONFIG, summary)
    assert capsys.readouterr().err.startswith("W&B: not mirrored (disk full); the results in ")
    track_sweep(folder, CONFIG, summary)
    assert "not mirrored" in capsys.readouterr().err, "tried again, since nothing was mirrored"
