"""Drawn training pictures, kept in one memory-mapped file beside their scenes and captions."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from p2p.world.captions import caption
from p2p.world.scenes import CATEGORIES, SIZE, Scene, render, sample_scene

TRAINING_SEED = 0
HELD_OUT_SEED = 1_000_000  # evaluation draws from here on; training never does


class Pictures(NamedTuple):
    """Pictures as uint8 (number, 128, 128, 3), their scenes, and captions drawn for them."""

    pixels: np.ndarray
    scenes: list[Scene]
    captions: list[list[str]]

    def first(self, number: int) -> "Pictures":
        """The first so many of them."""
        return Pictures(self.pixels[:number], self.scenes[:number], self.captions[:number])

    def images(self, indices: Tensor) -> Tensor:
        """Those pictures as float (batch, 3, 128, 128) in [0, 1]."""
        return to_images(self.pixels[indices.numpy()])


def to_images(pixels: np.ndarray) -> Tensor:
    """Uint8 (batch, height, width, 3) to float (batch, 3, height, width) in [0, 1]."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2).float() / 255


def sample_scenes(number: int, seed: int) -> list[Scene]:
    """That many scenes, the categories in turn."""
    rng = np.random.default_rng(seed)
    return [sample_scene(CATEGORIES[n % len(CATEGORIES)], rng) for n in range(number)]


def pictures(path: Path, number: int, seed: int = TRAINING_SEED, captions_each: int = 4) -> Pictures:
    """The training pictures, drawn into `path` on the first call."""
    scenes = sample_scenes(number, seed)
    rng = np.random.default_rng([seed, 1])
    captions = [[caption(scene, rng) for _ in range(captions_each)] for scene in scenes]
    if not path.exists():
        _draw(scenes, path)
    pixels = np.load(path, mmap_mode="r")
    if pixels.shape[0] != number:
        raise ValueError(f"{path} holds {pixels.shape[0]} pictures, expected {number}; delete it to draw them again")
    return Pictures(pixels, scenes, captions)


def _draw(scenes: list[Scene], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial.npy")
    pixels = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(scenes), SIZE, SIZE, 3))
    for row, scene in enumerate(scenes):
        pixels[row] = render(scene)
    pixels.flush()
    partial.replace(path)
