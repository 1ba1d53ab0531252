"""The weights' model card."""

from collections.abc import Sequence
from pathlib import Path

from p2p.world.training.evaluate import Measure

_TEXT = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
---

# The embedded picture world

A small Stable Diffusion trained on pictures that `p2p.world.scenes` draws, and the networks that judge its pictures:
{total:.0f} MB of weights altogether. It knows the words of `p2p.world.captions` and nothing else. It serves to study
image editing where the truth is known; it is no model of the world outside.

| folder | what it is | read it with |
|---|---|---|
| this one | Stable Diffusion | `diffusers.StableDiffusionPipeline.from_pretrained(folder)` |
| `clip/` | image-text model in open_clip's format | `open_clip.create_model_and_transforms("local-dir:" + folder)` |
| `classifier/` | category and captioned factors | `p2p.world.networks.AttributeClassifier` |
| `segmenter/` | where a picture changes with a captioned factor, and where a head is | `p2p.world.networks.Segmenter` |
| `identity/` | face identity, whatever hair, hat, glasses and mood | `p2p.world.networks.IdentityEncoder` |
| `identity/detector/` | where a face's head is, for alignment | `p2p.world.faces.FaceDetector` |
| `perceptual/` | LPIPS on the first stages of the classifier, plain averaging | `p2p.world.networks.WorldLPIPS` |

Stable Diffusion's parts: AutoencoderKL of factor 8 with 4 latents of unit variance (2.7 M parameters), UNet of three
resolutions (8.8 M), CLIP text encoder of 4 layers (0.9 M), a byte-pair tokenizer of 727 entries and 32 tokens, DDIM
with v-prediction. All weights are half precision: load them with `torch_dtype=torch.float32` on a processor. Sample
with 20 steps or more and guidance 3 to 7.5, at 128 x 128.

## Measurements

On scenes from seeds that training never used; generated pictures with 20 DDIM steps and guidance 5.

{table}

## Training

`python scripts/train_world.py all` trains everything anew with the settings below, in bfloat16 autocast on a processor;
pictures, captions and batches follow from the seeds. `evaluate` alone measures these weights again. How these weights
came about differs in what the settings do not show: the numbers of steps were settled while training ran; the UNet's
first 1,500 steps saw latents of 24,000 pictures from before the autoencoder's refinement; until step 3,250 the tokens
of "in", "of" and "on" were not always the same; and later steps computed each batch in two halves side by side.

{training}

## Licence

Apache-2.0, as the project. No picture, text or weight of others went into the training.
"""


def table(measures: Sequence[Measure]) -> str:
    """The measurements as a Markdown table."""
    rows = ["| measurement | value | floor | target |", "|---|---|---|---|"]
    for name, value, floor, target in measures:
        rows.append(f"| {name} | {_number(value)} | {_number(floor)} | {_number(target)} |")
    return "\n".join(rows)


def model_card(measures: Sequence[Measure], conf: Path, weights: Path) -> str:
    """The card's text, with the settings of every stage."""
    total = sum(path.stat().st_size for path in weights.rglob("*.safetensors")) / 1e6
    stages = [
        f"`p2p/world/training/stages/{path.name}`:\n\n```yaml\n{path.read_text().strip()}\n```"
        for path in sorted(conf.glob("*.yaml"))
    ]
    return _TEXT.format(total=total, table=table(measures), training="\n\n".join(stages))


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1f}" if value > 2 else f"{value:.3f}"
