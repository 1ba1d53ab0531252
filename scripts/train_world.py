"""Train the embedded picture world's networks, export them and measure them."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from p2p.world.training import classifier, clip, identity, vae
from p2p.world.training.data import TRAINING_SEED, Pictures, pictures
from p2p.world.training.settings import read_settings

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class PictureSettings:
    """How many training pictures are drawn, and from which seed."""

    number: int
    seed: int


@dataclass(frozen=True)
class Workplace:
    """Where settings are read, checkpoints kept and weights written."""

    settings: Path
    runs: Path
    out: Path

    def pictures(self) -> Pictures:
        """The training pictures, drawn on first use."""
        chosen = read_settings(PictureSettings, self.settings / "pictures.yaml")
        return pictures(self.runs / "pictures.npy", chosen.number, chosen.seed)


def train_vae_joint(place: Workplace) -> None:
    """Encoder and decoder."""
    vae.train_joint(read_settings(vae.VaeSettings, place.settings / "vae.yaml"), place.pictures(), place.runs)


def train_vae_decoder(place: Workplace) -> None:
    """The decoder alone, on noisy latents."""
    settings, data = read_settings(vae.VaeSettings, place.settings / "vae.yaml"), place.pictures()
    vae.train_decoder(settings, vae.load_joint(settings, data, place.runs), data, place.runs)


def train_classifier(place: Workplace) -> None:
    """The attribute classifier."""
    settings = read_settings(classifier.ClassifierSettings, place.settings / "classifier.yaml")
    classifier.train_classifier(settings, place.pictures(), place.runs)


def train_clip(place: Workplace) -> None:
    """The image-text model."""
    clip.train_clip(read_settings(clip.ClipSettings, place.settings / "clip.yaml"), place.pictures(), place.runs)


def train_identity(place: Workplace) -> None:
    """The face identity encoder."""
    settings = read_settings(identity.IdentitySettings, place.settings / "identity.yaml")
    identity.train_identity(settings, TRAINING_SEED, place.runs)


STAGES: dict[str, Callable[[Workplace], None]] = {
    "vae_joint": train_vae_joint,
    "vae_decoder": train_vae_decoder,
    "classifier": train_classifier,
    "clip": train_clip,
    "identity": train_identity,
}


def main() -> None:
    """Run the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", choices=[*STAGES, "all"], help="stages to run, in order; all runs each")
    parser.add_argument("--settings", type=Path, default=ROOT / "conf" / "world", help="folder of the stages' YAML files")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "world", help="folder for checkpoints")
    parser.add_argument("--out", type=Path, default=ROOT / "p2p" / "world" / "weights", help="folder for the weights")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of this process")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    place = Workplace(chosen.settings, chosen.runs, chosen.out)
    for stage in STAGES if "all" in chosen.stages else chosen.stages:
        STAGES[stage](place)


if __name__ == "__main__":
    main()
