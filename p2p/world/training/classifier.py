"""The attribute classifier, whose trunk also serves the perceptual distance."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from p2p.world.networks import CATEGORY_HEAD, AttributeClassifier, Head, WorldLPIPS
from p2p.world.scenes import CATEGORIES, FACTORS, Scene
from p2p.world.training.augment import blemish
from p2p.world.training.data import Pictures
from p2p.world.training.loop import Schedule, averaged_weights, fit

IGNORED = -100


@dataclass(frozen=True)
class ClassifierSettings:
    """The classifier's sizes and training."""

    channels: tuple[int, ...]
    hidden: int
    perceptual_stages: int
    batch: int
    schedule: Schedule

    def config(self) -> dict[str, Any]:
        """What `AttributeClassifier` is built from."""
        factors = {
            category: {name: list(values) for name, values in heads.items()} for category, heads in FACTORS.items()
        }
        return {"channels": list(self.channels), "hidden": self.hidden, "factors": factors}

    def perceptual_config(self) -> dict[str, Any]:
        """What `WorldLPIPS` is built from: the first `perceptual_stages` stages of the trunk."""
        return {"channels": list(self.channels[: self.perceptual_stages])}


def build_classifier(settings: ClassifierSettings) -> AttributeClassifier:
    """An untrained classifier."""
    return AttributeClassifier(**settings.config())


def labels(scenes: list[Scene]) -> dict[Head, Tensor]:
    """Every head's right answers, `IGNORED` where the scene is of another category."""
    found = {CATEGORY_HEAD: torch.tensor([CATEGORIES.index(scene.category) for scene in scenes])}
    for category, factors in FACTORS.items():
        for factor, values in factors.items():
            answers = [values.index(s.factors[factor]) if s.category == category else IGNORED for s in scenes]
            found[category, factor] = torch.tensor(answers)
    return found


def classifier_loss(logits: Mapping[Head, Tensor], answers: Mapping[Head, Tensor]) -> Tensor:
    """The mean cross-entropy over all answered heads."""
    losses = [
        F.cross_entropy(logits[head].float(), answers[head], ignore_index=IGNORED, reduction="sum") for head in logits
    ]
    answered = sum(int((answers[head] != IGNORED).sum()) for head in logits)
    return torch.stack(losses).sum() / answered


def train_classifier(settings: ClassifierSettings, data: Pictures, folder: Path) -> AttributeClassifier:
    """Train on drawn pictures with the blemishes that an autoencoder leaves."""
    torch.manual_seed(settings.schedule.seed)
    network = build_classifier(settings)
    answers = labels(data.scenes)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(data.scenes), (settings.batch,), generator=generator)
        images = blemish(data.images(chosen), generator)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(images)
        return classifier_loss(logits, {head: values[chosen] for head, values in answers.items()})

    network.train()
    fit(network, loss, settings.schedule, folder / "classifier.pt")
    return network.eval()


def load_classifier(settings: ClassifierSettings, folder: Path) -> AttributeClassifier:
    """The averaged weights as they stand in the checkpoint."""
    network = build_classifier(settings)
    network.load_state_dict(averaged_weights(folder / "classifier.pt"))
    return network.eval()


def perceptual_distance(classifier: AttributeClassifier, settings: ClassifierSettings) -> WorldLPIPS:
    """The distance in the features of the classifier's first stages."""
    distance = WorldLPIPS(**settings.perceptual_config())
    known = distance.net.state_dict()
    trained = classifier.embedder.trunk.state_dict()
    distance.net.load_state_dict({name: trained[name] for name in known})
    return distance.eval()
