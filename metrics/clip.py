"""Scores from the embeddings of an image-text model, all of unit length."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metrics.registry import Null

_ZERO = 1e-6
"""Differences of unit vectors below this are rounding."""

Embedding = Float[Tensor, " dim"]


def clip_score(image: Embedding, text: Embedding) -> float:
    """100 times the cosine of picture and prompt (Hessel et al., 2021, without their factor), cut at 0; in [0, 100]."""
    return max(100 * float(F.cosine_similarity(image, text, dim=0)), 0.0)


def clip_directional(
    source_image: Embedding, target_image: Embedding, source_text: Embedding, target_text: Embedding
) -> float | Null:
    """Cosine of the pictures' difference and the prompts' difference (Gal et al., 2022), in [-1, 1].

    No value where a difference is zero.
    """
    texts, images = target_text - source_text, target_image - source_image
    if texts.norm() < _ZERO:
        return Null.SAME_PROMPT
    if images.norm() < _ZERO:
        return Null.NO_CHANGE
    return float(F.cosine_similarity(images, texts, dim=0))
