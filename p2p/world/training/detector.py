"""The face detector: is there a face, and where is its head?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from p2p.world.faces import SIDE, FaceDetector, true_box
from p2p.world.scenes import CATEGORIES, render, sample_scene
from p2p.world.training.augment import blemish
from p2p.world.training.data import to_images
from p2p.world.training.loop import Schedule, averaged_weights, fit

BOX_WEIGHT = 20.0


@dataclass(frozen=True)
class DetectorSettings:
    """The detector's sizes and training."""

    channels: tuple[int, ...]
    hidden: int
    faces: int
    others: int
    batch: int
    schedule: Schedule

    def config(self) -> dict[str, Any]:
        """What `FaceDetector` is built from."""
        return {"channels": list(self.channels), "hidden": self.hidden}


def draw_faces(faces: int, others: int, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures in [0, 1], (number, 3, 64, 64): faces, then scenes of other categories; the heads of the former."""
    rng = np.random.default_rng([seed, 3])
    elsewhere = [category for category in CATEGORIES if category != "faces"]
    people = [sample_scene("faces", rng) for _ in range(faces)]
    scenes = [*people, *(sample_scene(elsewhere[n % len(elsewhere)], rng) for n in range(others))]
    pictures = [F.interpolate(to_images(render(scene)[None]), size=(SIDE, SIDE), mode="area") for scene in scenes]
    return torch.cat(pictures), torch.tensor([true_box(person) for person in people])


def train_detector(settings: DetectorSettings, seed: int, folder: Path) -> FaceDetector:
    """Train on drawn pictures, moved, scaled and mirrored, with the blemishes of generated ones."""
    torch.manual_seed(settings.schedule.seed)
    network = FaceDetector(**settings.config())
    pictures, boxes = draw_faces(settings.faces, settings.others, seed)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(pictures), (settings.batch,), generator=generator)
        is_face = chosen < settings.faces
        heads = boxes[chosen.clamp(max=settings.faces - 1)]
        images, heads = moved(blemish(pictures[chosen], generator), heads, generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits, found = network(images)
        there = F.binary_cross_entropy_with_logits(logits.float(), is_face.float())
        return there + BOX_WEIGHT * F.smooth_l1_loss(found.float()[is_face], heads[is_face], beta=0.02)

    network.train()
    fit(network, loss, settings.schedule, folder / "detector.pt")
    return network.eval()


def moved(images: Tensor, boxes: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pictures seen through frames 0.8 to 1.2 as large, off the middle by up to 0.08, half of them mirrored."""
    number = len(images)
    scale = 0.8 + 0.4 * torch.rand(number, generator=generator)
    shift = 0.16 * (torch.rand((number, 2), generator=generator) - 0.5)
    sign = torch.randint(0, 2, (number,), generator=generator) * 2.0 - 1
    zero = torch.zeros(number)
    rows = torch.stack([sign * scale, zero, 2 * shift[:, 0], zero, scale, 2 * shift[:, 1]], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    seen = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    middles = (boxes[:, :2] - 0.5 - shift) / scale[:, None] * torch.stack([sign, torch.ones(number)], dim=1) + 0.5
    return seen, torch.cat([middles, boxes[:, 2:] / scale[:, None]], dim=1)


def load_detector(settings: DetectorSettings, folder: Path) -> FaceDetector:
    """The averaged weights as they stand in the checkpoint."""
    network = FaceDetector(**settings.config())
    network.load_state_dict(averaged_weights(folder / "detector.pt"))
    return network.eval()
