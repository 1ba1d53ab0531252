"""Train the embedded picture world's networks, export them and measure them.

`train_world.py all` goes through every stage; a stage that was interrupted resumes from its checkpoint.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from p2p.world.training import card, classifier, clip, detector, diffusion, evaluate, export, identity, segmenter, vae
from p2p.world.training.data import Pictures, pictures
from p2p.world.training.settings import read_settings

ROOT = Path(__file__).resolve().parent.parent
T = TypeVar("T")


@dataclass(frozen=True)
class PictureSettings:
    """How many training pictures are drawn, and from which seed."""

    number: int
    seed: int


@dataclass(frozen=True)
class Workplace:
    """Where settings are read, checkpoints kept and weights written."""

    conf: Path
    runs: Path
    out: Path

    def settings(self, kind: type[T], stage: str) -> T:
        """A stage's settings."""
        return read_settings(kind, self.conf / f"{stage}.yaml")

    def pictures(self) -> Pictures:
        """The training pictures, drawn on first use."""
        chosen = self.settings(PictureSettings, "pictures")
        return pictures(self.runs / "pictures.npy", chosen.number, chosen.seed)

    def vae(self, *stages: str) -> vae.AutoencoderKL:
        """The autoencoder after its joint stage and the last of the other stages that has a checkpoint."""
        trained = vae.load_joint(self.settings(vae.VaeSettings, "vae"), self.pictures(), self.runs)
        for stage in stages:
            if (self.runs / stage).exists():
                trained.load_state_dict(vae.averaged_weights(self.runs / stage))
        return trained


def train_vae_joint(place: Workplace) -> None:
    """Encoder and decoder."""
    vae.train_joint(place.settings(vae.VaeSettings, "vae"), place.pictures(), place.runs)


def train_vae_refined(place: Workplace) -> None:
    """Encoder and decoder once more, with white latents."""
    vae.train_refined(place.settings(vae.VaeSettings, "vae"), place.vae(), place.pictures(), place.runs)


def train_vae_decoder(place: Workplace) -> None:
    """The decoder alone, on noisy latents."""
    vae.train_decoder(place.settings(vae.VaeSettings, "vae"), place.vae(vae.REFINED), place.pictures(), place.runs)


def train_diffusion(place: Workplace) -> None:
    """UNet and text encoder."""
    settings = place.settings(diffusion.DiffusionSettings, "diffusion")
    data = place.pictures().first(settings.pictures)
    latents = diffusion.encode_pictures(lambda: place.vae(vae.REFINED), data, place.runs / "latents.npy")
    diffusion.train_diffusion(settings, latents, data, place.runs)


def train_classifier(place: Workplace) -> None:
    """The attribute classifier, and with its trunk the perceptual distance."""
    settings = place.settings(classifier.ClassifierSettings, "classifier")
    classifier.train_classifier(settings, place.pictures(), place.runs)


def train_clip(place: Workplace) -> None:
    """The image-text model."""
    clip.train_clip(place.settings(clip.ClipSettings, "clip"), place.pictures(), place.runs)


def train_identity(place: Workplace) -> None:
    """The face identity encoder."""
    seed = place.settings(PictureSettings, "pictures").seed
    identity.train_identity(place.settings(identity.IdentitySettings, "identity"), seed, place.runs)


def train_detector(place: Workplace) -> None:
    """The face detector, whose finds the identity encoder gets aligned."""
    seed = place.settings(PictureSettings, "pictures").seed
    detector.train_detector(place.settings(detector.DetectorSettings, "detector"), seed, place.runs)


def export_pipeline(place: Workplace) -> None:
    """The Stable Diffusion folder, from the checkpoints as they stand."""
    denoiser = diffusion.load_denoiser(place.settings(diffusion.DiffusionSettings, "diffusion"), place.runs)
    export.save_pipeline(denoiser, place.vae(vae.REFINED, vae.DECODER), place.out)


def train_segmenter(place: Workplace) -> None:
    """The segmenter; it sees pictures through the exported autoencoder too."""
    settings = place.settings(segmenter.SegmenterSettings, "segmenter")
    exported = vae.AutoencoderKL.from_pretrained(place.out / "vae", torch_dtype=torch.float32).eval()
    seed = place.settings(PictureSettings, "pictures").seed
    segmenter.train_segmenter(settings, exported, seed, place.runs)


def export_segmenter(place: Workplace) -> None:
    """The segmenter, from the checkpoint as it stands."""
    settings = place.settings(segmenter.SegmenterSettings, "segmenter")
    export.save_network(segmenter.load_segmenter(settings, place.runs), settings.config(), place.out / "segmenter")


def export_metrics(place: Workplace) -> None:
    """The metric networks, from the checkpoints as they stand."""
    attributes = place.settings(classifier.ClassifierSettings, "classifier")
    trained = classifier.load_classifier(attributes, place.runs)
    export.save_network(trained, attributes.config(), place.out / "classifier")
    perceptual = classifier.perceptual_distance(trained, attributes)
    export.save_network(perceptual, attributes.perceptual_config(), place.out / "perceptual")
    people = place.settings(identity.IdentitySettings, "identity")
    export.save_network(identity.load_identity(people, place.runs), people.config(), place.out / "identity")
    finder = place.settings(detector.DetectorSettings, "detector")
    trained_finder = detector.load_detector(finder, place.runs)
    export.save_network(trained_finder, finder.config(), place.out / "identity" / "detector")
    captions = place.settings(clip.ClipSettings, "clip")
    clip.save_clip(clip.load_clip(captions, place.runs), captions, place.out / "clip")


def measure(place: Workplace) -> None:
    """Held-out measurements of the exported weights, printed and written to their card."""
    measures = evaluate.evaluate(place.out)
    print(card.table(measures))
    (place.out / "README.md").write_text(card.model_card(measures, place.conf, place.out))


STAGES: dict[str, Callable[[Workplace], None]] = {
    "vae_joint": train_vae_joint,
    "vae_refined": train_vae_refined,
    "vae_decoder": train_vae_decoder,
    "diffusion": train_diffusion,
    "classifier": train_classifier,
    "clip": train_clip,
    "identity": train_identity,
    "detector": train_detector,
    "export_pipeline": export_pipeline,
    "segmenter": train_segmenter,
    "export_segmenter": export_segmenter,
    "export_metrics": export_metrics,
    "evaluate": measure,
}


def main() -> None:
    """Run the stages named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stages", nargs="+", choices=[*STAGES, "all"], help="stages to run, in order")
    stages = ROOT / "p2p" / "world" / "training" / "stages"
    parser.add_argument("--conf", type=Path, default=stages, help="folder of the stages' YAML files")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / "world", help="folder for checkpoints")
    parser.add_argument("--out", type=Path, default=ROOT / "p2p" / "world" / "weights", help="folder for the weights")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of this process")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    place = Workplace(chosen.conf, chosen.runs, chosen.out)
    for stage in STAGES if "all" in chosen.stages else chosen.stages:
        STAGES[stage](place)


if __name__ == "__main__":
    main()
