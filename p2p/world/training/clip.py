"""The image-text model, in open_clip's own format."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTokenizer

from p2p.world.captions import parse
from p2p.world.scenes import CATEGORIES, FACTORS, Scene
from p2p.world.training.augment import blemish
from p2p.world.training.data import Pictures
from p2p.world.training.loop import Schedule, averaged_weights, fit
from p2p.world.training.tokenizer import LENGTH, build_tokenizer

_FACTOR_COLUMNS = max(len(factors) for factors in FACTORS.values())
_ANY = -1


@dataclass(frozen=True)
class ClipSettings:
    """The image-text model's sizes and training."""

    embed_dim: int
    vision_layers: tuple[int, ...]
    vision_width: int
    text_width: int
    text_heads: int
    text_layers: int
    batch: int
    schedule: Schedule

    def config(self, tokenizer: CLIPTokenizer) -> dict[str, Any]:
        """The contents of open_clip_config.json."""
        vision = {"image_size": 128, "layers": list(self.vision_layers), "width": self.vision_width, "patch_size": None}
        text = {
            "context_length": LENGTH,
            "vocab_size": len(tokenizer),
            "hf_tokenizer_name": "local",
            "width": self.text_width,
            "heads": self.text_heads,
            "layers": self.text_layers,
            "pool_type": "eos",
            "eos_id": tokenizer.eos_token_id,
        }
        model = {"embed_dim": self.embed_dim, "quick_gelu": False, "vision_cfg": vision, "text_cfg": text}
        preprocess = {
            "mean": [0.5, 0.5, 0.5],
            "std": [0.5, 0.5, 0.5],
            "interpolation": "bicubic",
            "resize_mode": "squash",
        }
        return {"model_cfg": model, "preprocess_cfg": preprocess}


def build_clip(settings: ClipSettings, tokenizer: CLIPTokenizer) -> open_clip.CLIP:
    """An untrained image-text model."""
    model = settings.config(tokenizer)["model_cfg"]
    return open_clip.CLIP(**model)


def fact_table(scenes: list[Scene]) -> Tensor:
    """Category and factor values as integers, one row a scene."""
    return torch.stack([_row(scene.category, dict(scene.factors)) for scene in scenes])


def claim_table(captions: list[str]) -> Tensor:
    """What captions claim, as integers; -1 where they say nothing."""
    parsed = [parse(text) for text in captions]
    return torch.stack([_row(found.category, found.with_defaults()) for found in parsed])


def is_true(claims: Tensor, facts: Tensor) -> Tensor:
    """Whether each caption is true of each scene, bool of shape (scenes, captions)."""
    return ((claims[None] == _ANY) | (claims[None] == facts[:, None])).all(-1)


def _row(category: str, factors: dict[str, str]) -> Tensor:
    values = [FACTORS[category][name].index(factors[name]) if name in factors else _ANY for name in FACTORS[category]]
    padding = [0] * (_FACTOR_COLUMNS - len(values))
    return torch.tensor([CATEGORIES.index(category), *values, *padding])


def train_clip(settings: ClipSettings, data: Pictures, folder: Path) -> open_clip.CLIP:
    """Contrast pictures with captions; a caption that is true of another picture is no wrong answer there."""
    torch.manual_seed(settings.schedule.seed)
    tokenizer = build_tokenizer()
    network = build_clip(settings, tokenizer)
    captions = [text for texts in data.captions for text in texts]
    tokens = tokenizer(captions, padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    facts, claims, each = fact_table(data.scenes), claim_table(captions), len(data.captions[0])

    def loss(step: int, generator: torch.Generator) -> Tensor:
        chosen = _batch(len(data.scenes), settings.batch, step, generator)
        texts = chosen * each + torch.randint(each, chosen.shape, generator=generator)
        images = blemish(data.images(chosen), generator) * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            image_features, text_features = network.encode_image(images), network.encode_text(tokens[texts])
        scale = network.logit_scale.exp().clamp(max=100)
        logits = scale * F.normalize(image_features.float(), dim=-1) @ F.normalize(text_features.float(), dim=-1).T
        also_true = is_true(claims[texts], facts[chosen]) & ~torch.eye(len(chosen), dtype=torch.bool)
        logits = logits.masked_fill(also_true, float("-inf"))
        answers = torch.arange(len(chosen))
        return 0.5 * (F.cross_entropy(logits, answers) + F.cross_entropy(logits.T, answers))

    network.train()
    fit(network, loss, settings.schedule, folder / "clip.pt")
    return network.eval()


def _batch(number: int, batch: int, step: int, generator: torch.Generator) -> Tensor:
    """Scenes of one category, the categories in turn, in three steps of four: near captions teach most."""
    if step % 4 == 0:
        return torch.randint(number, (batch,), generator=generator)
    category = int(torch.randint(len(CATEGORIES), (), generator=generator))
    return torch.randint(number // len(CATEGORIES), (batch,), generator=generator) * len(CATEGORIES) + category


def load_clip(settings: ClipSettings, folder: Path) -> open_clip.CLIP:
    """The averaged weights as they stand in the checkpoint."""
    network = build_clip(settings, build_tokenizer())
    network.load_state_dict(averaged_weights(folder / "clip.pt"))
    return network.eval()


def save_clip(network: open_clip.CLIP, settings: ClipSettings, folder: Path) -> None:
    """Weights in half precision, configuration and tokenizer, as open_clip reads them."""

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    (folder / "open_clip_config.json").write_text(json.dumps(settings.config(tokenizer), indent=2) + "\n")
    weights = {
        name: value.half().contiguous() if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    save_file(weights, folder / "open_clip_model.safetensors")
