"""Trained networks to half-precision weights in the folders that users load, each replaced in one move."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from torch import nn

from p2p.world.training.diffusion import Denoiser, build_scheduler
from p2p.world.training.tokenizer import build_tokenizer

Network = TypeVar("Network", bound=nn.Module)


def save_network(network: nn.Module, config: Mapping[str, Any], folder: Path) -> None:
    """config.json, which the network's class is built from, and model.safetensors."""
    partial = _fresh(folder)
    (partial / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    weights = {name: _half(value) for name, value in network.state_dict().items()}
    save_file(weights, partial / "model.safetensors")
    swap(partial, folder)


def load_network(kind: type[Network], folder: Path) -> Network:
    """A saved network in single precision, ready to judge."""
    network = kind(**json.loads((folder / "config.json").read_text()))
    network.load_state_dict({name: value.float() for name, value in load_file(folder / "model.safetensors").items()})
    return network.eval().requires_grad_(False)


def save_pipeline(denoiser: Denoiser, vae: AutoencoderKL, folder: Path) -> None:
    """An ordinary Stable Diffusion folder; what else lies in `folder` stays."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=denoiser.text_encoder,
        tokenizer=build_tokenizer(),
        unet=denoiser.unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    partial = _fresh(folder)
    pipeline.to(dtype=torch.float16).save_pretrained(partial, safe_serialization=True)
    build_tokenizer().backend_tokenizer.model.save(
        str(partial / "tokenizer")
    )  # vocab.json, merges.txt for older readers
    folder.mkdir(parents=True, exist_ok=True)
    for part in sorted(partial.iterdir()):
        swap(part, folder / part.name)
    partial.rmdir()


def swap(new: Path, place: Path) -> None:
    """Put a finished file or folder where another may be."""
    if not place.is_dir():
        new.replace(place)
        return
    old = place.with_name(place.name + ".old")
    place.rename(old)
    new.rename(place)
    shutil.rmtree(old)


def _fresh(folder: Path) -> Path:
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    return partial


def _half(value: torch.Tensor) -> torch.Tensor:
    return value.half().contiguous() if value.is_floating_point() else value
