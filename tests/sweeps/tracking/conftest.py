from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

from sweeps import tracking, tracking_shard
from sweeps.tracking import TrackingSettings, track_sweep
from tests.sweeps.frames import frame, row
from tests.sweeps.tracking.wandb_server import FakeServer

CONFIG = {"sweep": {"name": "test"}, "sampler": {"num_inference_steps": 20}}
OFFLINE = TrackingSettings()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Deadlines that a busy machine keeps too; what the real ones are for is tested with short ones."""
    monkeypatch.setattr(tracking, "_MIRROR_S", 300.0)
    monkeypatch.setattr(tracking_shard, "FINISH_S", 300.0)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A sweep's folder with a contact sheet."""
    folder = tmp_path / "test"
    (folder / "figures").mkdir(parents=True)
    Image.new("RGB", (8, 8), "white").save(folder / "figures/faces.png")
    return folder


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
    """Start a stand-in for W&B's server, and log in to it; what it got."""
    servers = []

    def start(answers: bool = True) -> FakeServer:
        servers.append(FakeServer(answers))
        login(monkeypatch, servers[-1].url)
        return servers[-1]

    yield start
    for server in servers:
        server.close()


def login(monkeypatch, url: str) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "a" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", url)
