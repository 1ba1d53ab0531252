"""Tiny networks of the world's classes with random weights, saved as the world's are."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import ViTConfig, ViTModel

from metrics.loading import MetricsConfig, load_networks
from metrics.networks import Networks
from metrics.pictures import EditPictures
from metrics.registry import METRICS
from p2p.world.faces import FaceDetector
from p2p.world.networks import AttributeClassifier, IdentityEncoder, Segmenter, WorldLPIPS
from p2p.world.scenes import FACTORS
from p2p.world.training.clip import ClipSettings, build_clip
from p2p.world.training.loop import Schedule
from p2p.world.training.tokenizer import build_tokenizer

DETECTOR = {"channels": [4, 8], "hidden": 8}


def save(network: nn.Module, config: dict, folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {k: v.half() if v.is_floating_point() else v for k, v in network.state_dict().items()},
        folder / "model.safetensors",
    )


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    """A weights folder as the world's, with random weights."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    factors = {category: {name: list(values) for name, values in rows.items()} for category, rows in FACTORS.items()}
    for name, kind, config in [
        ("identity", IdentityEncoder, {"channels": [4, 8], "hidden": 8, "dim": 4}),
        ("perceptual", WorldLPIPS, {"channels": [4, 8]}),
        ("classifier", AttributeClassifier, {"channels": [4, 8], "hidden": 8, "factors": factors}),
        ("segmenter", Segmenter, {"channels": [4, 8], "factors": factors}),
    ]:
        save(kind(**config), config, folder / name)
    save(detector(finds=True), DETECTOR, folder / "identity" / "detector")
    save_tiny_clip(folder / "clip")
    save_tiny_dino(folder / "dino")
    return folder


def detector(finds: bool) -> FaceDetector:
    """One that finds a face in every picture, or in none."""
    network = FaceDetector(**DETECTOR)
    network.answer.bias.data[0] = 100.0 if finds else -100.0
    return network


def save_tiny_dino(folder: Path) -> None:
    """DINO ViT-B/8's architecture, thin and with random weights, in transformers' own format."""
    sizes = {"hidden_size": 12, "intermediate_size": 12, "num_attention_heads": 3, "num_hidden_layers": 12}
    ViTModel(ViTConfig(**sizes, patch_size=8, initializer_range=0.3), add_pooling_layer=False).save_pretrained(folder)


def save_tiny_clip(folder: Path) -> None:
    settings = ClipSettings(8, (1, 1, 1, 1), 4, 16, 2, 1, 2, Schedule(1, 1e-3, 1, 0.5, 0.9, 0))
    folder.mkdir(parents=True)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(settings.config(tokenizer)))
    weights = {
        k: v.half() if v.is_floating_point() else v for k, v in build_clip(settings, tokenizer).state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors")


@pytest.fixture(scope="session")
def world_config(weights) -> MetricsConfig:
    networks = {
        "clip": {"backend": "open_clip", "model": "world-clip", "path": str(weights / "clip")},
        "lpips": {"backend": "world", "path": str(weights / "perceptual")},
        "identity": {"backend": "world", "path": str(weights / "identity")},
        "classifier": {"backend": "world", "path": str(weights / "classifier")},
        "segmenter": {"backend": "world", "path": str(weights / "segmenter")},
        "dino": {"backend": "transformers", "model": "tiny-dino", "path": str(weights / "dino")},
    }
    return MetricsConfig.from_mapping({"names": list(METRICS), "networks": networks})


@pytest.fixture(scope="session")
def networks(world_config) -> Networks:
    return load_networks(world_config, "cpu")


def picture(seed: int, size: int = 128) -> Tensor:
    """Random smooth-ish pictures, uint8 (3, size, size)."""
    small = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return (nn.functional.interpolate(small, size=size, mode="bilinear")[0] * 255).round().to(torch.uint8)


def edit(**changes) -> EditPictures:
    """An edit of a face, with its cycle."""
    values = {
        "cell_id": "cell",
        "category": "faces",
        "kind": "swap",
        "source_prompt": "a woman's face with blond hair",
        "target_prompt": "a woman's face with red hair",
        "cycle_mode": "swap",
        "source": picture(1),
        "target": picture(2),
        "cycle": picture(3),
    }
    return EditPictures(**{**values, **changes})
