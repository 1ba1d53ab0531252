"""The segmenter: exact masks of single-factor changes on drawn pictures, half of them through the autoencoder."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from p2p.world.networks import HEAD, HEAD_CATEGORY, HEAD_REGION, Region, Segmenter
from p2p.world.scenes import FACTORS, SIZE, Scene, change_mask, head_mask, render
from p2p.world.training.augment import blemish
from p2p.world.training.data import sample_scenes, to_images
from p2p.world.training.loop import Schedule, averaged_weights, fit


@dataclass(frozen=True)
class SegmenterSettings:
    """The segmenter's sizes and training.

    Attributes:
        channels: of the stages.
        pictures: scenes drawn.
        values: other values of each factor whose masks are drawn, at most.
        decoded: of the pictures, the first so many also as the autoencoder returns them.
        decoder_noise: the largest standard deviation of the noise on those latents.
        batch: pictures a step.
        schedule: of the training.
    """

    channels: tuple[int, ...]
    pictures: int
    values: int
    decoded: int
    decoder_noise: float
    batch: int
    schedule: Schedule

    def config(self) -> dict[str, Any]:
        """What `Segmenter` is built from."""
        factors = {
            category: {name: list(values) for name, values in rows.items()} for category, rows in FACTORS.items()
        }
        return {"channels": list(self.channels), "factors": factors}


class Masks(NamedTuple):
    """Exact masks of scenes, in the order of a segmenter's regions.

    Attributes:
        bits: (scenes, regions, 128 * 128 / 8), packed.
        known: (scenes, regions), whether the region was drawn.
    """

    bits: np.ndarray
    known: np.ndarray

    def of(self, scenes: np.ndarray, regions: int) -> Tensor:
        """Float (batch, regions, 128, 128), 0 or 1."""
        bits = np.unpackbits(self.bits[scenes, :regions], axis=-1)
        return torch.from_numpy(bits.reshape(len(scenes), regions, SIZE, SIZE)).float()


def region_masks(
    scene: Scene, picture: np.ndarray, regions: tuple[Region, ...], values: int, rng: np.random.Generator
) -> dict[int, np.ndarray]:
    """The exact masks of at most `values` other values of each factor, and of the head, by the region's place."""
    found: dict[int, np.ndarray] = {}
    for factor, current in scene.factors.items():
        others = [value for value in FACTORS[scene.category][factor] if value != current]
        for value in rng.permutation(others)[:values]:
            changed = render(scene.replace(**{factor: str(value)}))
            found[regions.index((factor, str(value)))] = (picture != changed).any(axis=-1)
    if HEAD_REGION in regions:
        found[regions.index(HEAD_REGION)] = head_mask(scene)
    return found


def draw_masks(scenes: list[Scene], network: Segmenter, values: int, seed: int) -> tuple[np.ndarray, Masks]:
    """Pictures of the scenes, uint8 (scenes, 128, 128, 3), and their masks."""
    rng = np.random.default_rng([seed, 3])
    most = max(len(regions) for regions in network.regions.values())
    bits = np.zeros((len(scenes), most, SIZE * SIZE // 8), np.uint8)
    known = np.zeros((len(scenes), most), bool)
    pixels = np.empty((len(scenes), SIZE, SIZE, 3), np.uint8)
    for row, scene in enumerate(scenes):
        pixels[row] = render(scene)
        for place, mask in region_masks(scene, pixels[row], network.regions[scene.category], values, rng).items():
            bits[row, place], known[row, place] = np.packbits(mask.ravel()), True
    return pixels, Masks(bits, known)


@torch.no_grad()
def through_autoencoder(vae: AutoencoderKL, pixels: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Pictures, uint8 (number, 128, 128, 3), decoded from their latents with noise of up to that deviation."""
    generator = torch.Generator().manual_seed(seed)
    decoded = []
    for start in range(0, len(pixels), 8):
        images = to_images(pixels[start : start + 8]) * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            latents = vae.encode(images).latent_dist.mean.float()
            level = noise * torch.rand((len(latents), 1, 1, 1), generator=generator) ** 2
            images = vae.decode(latents + level * torch.randn(latents.shape, generator=generator)).sample.float()
        decoded.append((images / 2 + 0.5).clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(decoded)


def draw_data(
    settings: SegmenterSettings, vae: AutoencoderKL, scenes: list[Scene], seed: int, path: Path
) -> tuple[np.ndarray, Masks]:
    """Pictures, drawn ones first and decoded ones after them, and the drawn ones' masks; kept in `path`."""
    if not path.exists():
        pixels, masks = draw_masks(scenes, Segmenter(**settings.config()), settings.values, seed)
        decoded = through_autoencoder(vae, pixels[: settings.decoded], settings.decoder_noise, seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.partial.npz")
        np.savez(partial, pixels=np.concatenate([pixels, decoded]), bits=masks.bits, known=masks.known)
        partial.replace(path)
    with np.load(path) as kept:
        pixels, masks = kept["pixels"], Masks(kept["bits"], kept["known"])
    if len(pixels) != settings.pictures + settings.decoded:
        raise ValueError(f"{path} holds {len(pixels)} pictures, expected other ones; delete it to draw them again")
    return pixels, masks


def train_segmenter(settings: SegmenterSettings, vae: AutoencoderKL, seed: int, folder: Path) -> Segmenter:
    """Train on drawn and on decoded pictures, as many of these as of those, mirrored at random."""
    torch.manual_seed(settings.schedule.seed)
    network = Segmenter(**settings.config())
    scenes = sample_scenes(settings.pictures, seed)
    pixels, masks = draw_data(settings, vae, scenes, seed, folder / "segmenter.npz")
    categories = np.array([scene.category for scene in scenes])

    def loss(step: int, generator: torch.Generator) -> Tensor:
        drawn = torch.randint(settings.pictures, (settings.batch // 2,), generator=generator)
        decoded = torch.randint(settings.decoded, (settings.batch - len(drawn),), generator=generator)
        chosen = torch.cat([drawn, decoded]).numpy()
        images = to_images(pixels[torch.cat([drawn, decoded + settings.pictures]).numpy()])
        mirrored = torch.rand(len(chosen), generator=generator) < 0.5
        images = blemish(torch.where(mirrored[:, None, None, None], images.flip(-1), images), generator)
        losses = []
        with torch.autocast("cpu", torch.bfloat16):
            features = network.features(images)
        for category, regions in network.regions.items():
            rows = np.flatnonzero(categories[chosen] == category)
            if not len(rows):
                continue
            wanted = masks.of(chosen[rows], len(regions))
            wanted = torch.where(mirrored[rows][:, None, None, None], wanted.flip(-1), wanted)
            known = torch.from_numpy(masks.known[chosen[rows], : len(regions)])
            with torch.autocast("cpu", torch.bfloat16):
                logits = network.locate(features[rows], category)
            losses.append(overlap_loss(logits[known].float(), wanted[known]))
        return torch.cat(losses).mean()

    network.train()
    fit(network, loss, settings.schedule, folder / "segmenter.pt")
    return network.eval()


def overlap_loss(logits: Tensor, masks: Tensor) -> Tensor:
    """Cross-entropy plus 1 - Dice's coefficient of each mask (masks, height, width), one number a mask."""
    entropy = F.binary_cross_entropy_with_logits(logits, masks, reduction="none").mean((1, 2))
    seen = logits.sigmoid()
    shared, total = (seen * masks).sum((1, 2)), (seen + masks).sum((1, 2))
    return entropy + 1 - (2 * shared + 1) / (total + 1)


def load_segmenter(settings: SegmenterSettings, folder: Path) -> Segmenter:
    """The averaged weights as they stand in the checkpoint."""
    network = Segmenter(**settings.config())
    network.load_state_dict(averaged_weights(folder / "segmenter.pt"))
    return network.eval()


@torch.no_grad()
def overlaps(
    network: Segmenter, vae: AutoencoderKL, scenes: list[Scene], seed: int
) -> dict[str, dict[str, list[float]]]:
    """Intersection over union with the exact masks of one random change a scene, and of faces' heads.

    Returns:
        Values by `category, factor`, on `drawn` pictures and on the same as the autoencoder returns them (`decoded`),
        which is how generated ones look.
    """
    rng = np.random.default_rng(seed)
    found: dict[str, dict[str, list[float]]] = {"drawn": defaultdict(list), "decoded": defaultdict(list)}
    for before, after in (change_one(scene, rng) for scene in scenes):
        wanted = {name: value for name, value in after.factors.items() if before.factors[name] != value}
        truth = dict.fromkeys(wanted, change_mask(before, after))
        if before.category == HEAD_CATEGORY:
            truth[HEAD] = head_mask(before)
        drawn = to_images(render(before)[None])
        decoded = (vae.decode(vae.encode(drawn * 2 - 1).latent_dist.mean).sample / 2 + 0.5).clamp(0, 1)
        for kind, images in (("drawn", drawn), ("decoded", decoded)):
            seen = network.predict(images, before.category, wanted)
            for name, mask in truth.items():
                found[kind][f"{before.category}, {name}"].append(overlap(mask, seen[name][0].numpy()))
    return found


def change_one(scene: Scene, rng: np.random.Generator) -> tuple[Scene, Scene]:
    """The scene, and the scene with one random factor changed."""
    factor = list(scene.factors)[int(rng.integers(len(scene.factors)))]
    others = [value for value in FACTORS[scene.category][factor] if value != scene.factors[factor]]
    return scene, scene.replace(**{factor: others[int(rng.integers(len(others)))]})


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Intersection over union of two masks, in [0, 1]; 1 if both are empty."""
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 1.0
