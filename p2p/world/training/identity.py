"""The face identity encoder: looks of one person are pulled together, other people pushed away."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from p2p.world.networks import IdentityEncoder
from p2p.world.scenes import FACTORS, Scene, render, sample_scene
from p2p.world.training.augment import blemish
from p2p.world.training.data import to_images
from p2p.world.training.loop import Schedule, averaged_weights, fit

LOOKS = ("hair", "mood", "glasses", "hat")


@dataclass(frozen=True)
class IdentitySettings:
    """The identity encoder's sizes and training."""

    channels: tuple[int, ...]
    hidden: int
    dim: int
    people: int
    looks: int
    batch: int
    temperature: float
    schedule: Schedule

    def config(self) -> dict[str, Any]:
        """What `IdentityEncoder` is built from."""
        return {"channels": list(self.channels), "hidden": self.hidden, "dim": self.dim}


def looks(person: Scene, number: int, rng: np.random.Generator) -> list[Scene]:
    """The same person with other hair, mood, glasses and hat, in front of other backdrops."""
    found = []
    for _ in range(number):
        changes = {name: FACTORS["faces"][name][int(rng.integers(len(FACTORS["faces"][name])))] for name in LOOKS}
        look = person.replace(**changes)
        found.append(Scene(look.category, look.values, look.subject, int(rng.integers(2**31))))
    return found


def draw_people(people: int, number: int, seed: int) -> np.ndarray:
    """Pictures of people, uint8 of shape (people, looks, 128, 128, 3)."""
    rng = np.random.default_rng([seed, 2])
    persons = [sample_scene("faces", rng) for _ in range(people)]
    return np.stack([np.stack([render(look) for look in looks(person, number, rng)]) for person in persons])


def train_identity(settings: IdentitySettings, seed: int, folder: Path) -> IdentityEncoder:
    """Supervised contrast: two looks of each of `batch` people a step."""
    torch.manual_seed(settings.schedule.seed)
    network = IdentityEncoder(**settings.config())
    drawn = draw_people(settings.people, settings.looks, seed)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        people = torch.randperm(settings.people, generator=generator)[: settings.batch]
        chosen = torch.rand((len(people), settings.looks), generator=generator).argsort(1)[:, :2]
        pair = [blemish(to_images(drawn[people.numpy(), look.numpy()]), generator) for look in chosen.T]
        with torch.autocast("cpu", torch.bfloat16):
            embedded = network(torch.cat(pair)).float()
        return contrast(embedded, settings.temperature)

    network.train()
    fit(network, loss, settings.schedule, folder / "identity.pt")
    return network.eval()


def contrast(embedded: Tensor, temperature: float) -> Tensor:
    """Each of 2 x people unit embeddings must find its partner, half the batch away, among all others."""
    similarity = embedded @ embedded.T / temperature
    similarity = similarity.masked_fill(torch.eye(len(embedded), dtype=torch.bool), float("-inf"))
    return F.cross_entropy(similarity, torch.arange(len(embedded)).roll(len(embedded) // 2))


def load_identity(settings: IdentitySettings, folder: Path) -> IdentityEncoder:
    """The averaged weights as they stand in the checkpoint."""
    network = IdentityEncoder(**settings.config())
    network.load_state_dict(averaged_weights(folder / "identity.pt"))
    return network.eval()
