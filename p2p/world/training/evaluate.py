"""Held-out measurements of the shipped weights."""

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import open_clip
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline
from torch import Tensor

from p2p.world.captions import caption, parse
from p2p.world.faces import FaceDetector, align
from p2p.world.networks import AttributeClassifier, IdentityEncoder, Segmenter, WorldLPIPS
from p2p.world.scenes import CATEGORIES, FACTORS, Scene, change_mask, render, sample_scene
from p2p.world.training.clip import claim_table, fact_table, is_true
from p2p.world.training.data import HELD_OUT_SEED, sample_scenes, to_images
from p2p.world.training.export import load_network
from p2p.world.training.identity import looks
from p2p.world.training.segmenter import change_one, overlaps


class Measure(NamedTuple):
    """One measurement beside what it must and what it should reach."""

    name: str
    value: float
    floor: float | None
    target: float | None


def draw(scenes: list[Scene]) -> Tensor:
    """The scenes' pictures, float (number, 3, 128, 128) in [0, 1]."""
    return to_images(np.stack([render(scene) for scene in scenes]))


@torch.no_grad()
def vae_psnr(folder: Path, number: int = 200) -> list[Measure]:
    """PSNR of decoded encodings, in dB, averaged over pictures."""
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
    found = []
    for images in draw(sample_scenes(number, HELD_OUT_SEED)).split(20):
        decoded = vae.decode(vae.encode(images * 2 - 1).latent_dist.mean).sample
        error = ((decoded / 2 + 0.5).clamp(0, 1) - images).square().mean((1, 2, 3))
        found.append(-10 * error.log10())
    return [Measure("VAE reconstruction PSNR, dB", float(torch.cat(found).mean()), 25, 28)]


def classifier_accuracy(folder: Path, number: int = 1000) -> list[Measure]:
    """Share of captioned factors that the classifier reads right from drawn pictures."""
    classifier = load_network(AttributeClassifier, folder / "classifier")
    scenes = sample_scenes(number, HELD_OUT_SEED + 1)
    right: list[bool] = []
    for start in range(0, number, 100):
        part = scenes[start : start + 100]
        images = draw(part)
        for category in CATEGORIES:
            rows = [row for row, scene in enumerate(part) if scene.category == category]
            for factor, values in classifier.predict(images[rows], category).items():
                right += [part[row].factors[factor] == value for row, value in zip(rows, values, strict=True)]
    return [Measure("attribute classifier, drawn pictures", float(np.mean(right)), 0.97, 0.99)]


def generate(folder: Path, prompts: list[str], seed: int, steps: int = 20, guidance: float = 5.0) -> Tensor:
    """Pictures of the prompts, float (number, 3, 128, 128) in [0, 1]."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, torch_dtype=torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(seed)
    batches = [prompts[start : start + 20] for start in range(0, len(prompts), 20)]
    made = [
        pipeline(
            batch, num_inference_steps=steps, guidance_scale=guidance, generator=generator, output_type="pt"
        ).images
        for batch in batches
    ]
    return torch.cat(made)


def generated_attributes(folder: Path, number: int = 400) -> list[Measure]:
    """Share of attributes named in captions that the classifier finds in the pictures generated from them."""
    rng = np.random.default_rng(HELD_OUT_SEED + 2)
    prompts = [caption(sample_scene(CATEGORIES[n % len(CATEGORIES)], rng), rng) for n in range(number)]
    images = generate(folder, prompts, HELD_OUT_SEED)
    hits = recognised(load_network(AttributeClassifier, folder / "classifier"), prompts, images)
    every = [hit for factor_hits in hits.values() for hit in factor_hits]
    factors = {name: float(np.mean(found)) for name, found in hits.items()}
    measures = [
        Measure("captioned attributes in generated pictures, all", float(np.mean(every)), 0.92, 0.97),
        Measure("captioned attributes in generated pictures, worst factor", min(factors.values()), 0.70, 0.90),
    ]
    return measures + [Measure(f"generated: {name}", value, None, None) for name, value in factors.items()]


def recognised(classifier: AttributeClassifier, prompts: list[str], images: Tensor) -> dict[str, list[bool]]:
    """For every factor, whether each mention of it was found in the picture."""
    hits: dict[str, list[bool]] = defaultdict(list)
    for prompt, image in zip(prompts, images, strict=True):
        category, factors = parse(prompt)
        predicted = classifier.predict(image[None], category)
        for factor, value in factors.items():
            hits[f"{category}, {factor}"].append(predicted[factor] == [value])
    return dict(sorted(hits.items()))


@torch.no_grad()
def caption_retrieval(folder: Path, number: int = 300, among: int = 100) -> list[Measure]:
    """How often a drawn picture's own caption scores best among captions of which no other is true of it."""
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{folder / 'clip'}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder / 'clip'}")
    scenes = sample_scenes(number, HELD_OUT_SEED + 3)
    rng = np.random.default_rng(HELD_OUT_SEED + 3)
    captions = [caption(scene, rng) for scene in scenes]
    model.eval()
    pictures = torch.cat([F.normalize(model.encode_image(part * 2 - 1), dim=-1) for part in draw(scenes).split(50)])
    texts = F.normalize(model.encode_text(tokenizer(captions)), dim=-1)
    scores, false = pictures @ texts.T, ~is_true(claim_table(captions), fact_table(scenes))
    right = []
    for row in range(number):
        others = rng.permutation(false[row].nonzero()[:, 0].numpy())
        distinct = list(dict.fromkeys(captions[n] for n in others))[: among - 1]
        rivals = [captions.index(text) for text in distinct]
        right.append(bool(scores[row, row] > scores[row, rivals].max()))
    return [Measure(f"right caption among {among}, drawn pictures", float(np.mean(right)), 0.85, 0.97)]


def identity_auc(folder: Path, people: int = 400) -> list[Measure]:
    """Area under the ROC of same person against another of the same gender; looks and backdrops always differ."""
    encoder = load_network(IdentityEncoder, folder / "identity")
    detector = load_network(FaceDetector, folder / "identity" / "detector")
    rng = np.random.default_rng(HELD_OUT_SEED + 4)
    pairs = [_two_looks(sample_scene("faces", rng), rng) for _ in range(people)]
    first, second = (
        torch.cat([encoder(align(part, detector.detect(part)[1])) for part in draw(list(side)).split(50)])
        for side in zip(*pairs, strict=True)
    )
    similarity = first @ second.T
    genders = torch.tensor([FACTORS["faces"]["gender"].index(a.factors["gender"]) for a, _ in pairs])
    alike = genders[:, None] == genders[None]
    same = similarity.diagonal()
    other = similarity[alike & ~torch.eye(people, dtype=torch.bool)]
    wins = (same[:, None] > other[None]).float().mean()
    return [Measure("identity verification AUC", float(wins), 0.93, 0.98)]


def faces_found(folder: Path, number: int = 500) -> list[Measure]:
    """How often a face is seen in drawn faces, and in drawn pictures of the other categories."""
    detector = load_network(FaceDetector, folder / "identity" / "detector")
    scenes = sample_scenes(number, HELD_OUT_SEED + 7)
    found = torch.cat([detector.detect(draw(scenes[at : at + 50]))[0] for at in range(0, number, 50)])
    faces = torch.tensor([scene.category == "faces" for scene in scenes])
    return [
        Measure("faces found, drawn pictures", float(found[faces].float().mean()), 0.97, 1.0),
        Measure("faces found where there are none", float(found[~faces].float().mean()), None, None),
    ]


def _two_looks(person: Scene, rng: np.random.Generator) -> tuple[Scene, Scene]:
    """Two looks of one person that differ in hair, mood, glasses and hat."""
    first = looks(person, 1, rng)[0]
    while True:
        second = looks(person, 1, rng)[0]
        if all(first.factors[name] != second.factors[name] for name in ("hair", "mood", "glasses", "hat")):
            return first, second


@torch.no_grad()
def distance_and_area(folder: Path, number: int = 300) -> list[Measure]:
    """Spearman correlation of the perceptual distance with the changed area, over single-factor changes."""
    distance = load_network(WorldLPIPS, folder / "perceptual")
    rng = np.random.default_rng(HELD_OUT_SEED + 5)
    pairs = [change_one(scene, rng) for scene in sample_scenes(number, HELD_OUT_SEED + 5)]
    areas = np.array([change_mask(before, after).mean() for before, after in pairs])
    before, after = (draw(list(side)) * 2 - 1 for side in zip(*pairs, strict=True))
    parts = zip(before.split(50), after.split(50), strict=True)
    distances = torch.cat([distance(a, b).flatten() for a, b in parts]).numpy()
    return [Measure("Spearman of perceptual distance and changed area", _spearman(distances, areas), 0.8, None)]


def region_overlap(folder: Path, number: int = 100) -> list[Measure]:
    """The segmenter's intersection over union with exact masks of single-factor changes and of heads."""
    segmenter = load_network(Segmenter, folder / "segmenter")
    vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32).eval()
    found = overlaps(segmenter, vae, sample_scenes(number, HELD_OUT_SEED + 6), HELD_OUT_SEED + 6)
    every = {kind: [one for rows in found[kind].values() for one in rows] for kind in found}
    return [
        *(Measure(f"segmenter, IoU, {kind} pictures", float(np.mean(every[kind])), 0.7, 0.8) for kind in found),
        *(
            Measure(f"segmenter, IoU, {kind}: {name}", float(np.mean(found[kind][name])), None, None)
            for name in sorted(found["drawn"])
            for kind in found
        ),
    ]


def _spearman(first: np.ndarray, second: np.ndarray) -> float:
    ranks = [values.argsort().argsort() for values in (first, second)]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def evaluate(folder: Path) -> list[Measure]:
    """Every measurement of the weights in the folder."""
    return [
        *vae_psnr(folder),
        *classifier_accuracy(folder),
        *generated_attributes(folder),
        *caption_retrieval(folder),
        *identity_auc(folder),
        *faces_found(folder),
        *distance_and_area(folder),
        *region_overlap(folder),
    ]
