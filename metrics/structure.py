"""Structure distance: how far the layout of two pictures differs, whatever their appearance."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

LAYER = 11
"""Of the DINO network, whose keys are compared; counted from 0."""
SIDE = 224
"""Pixels a side that the network reads."""
_ANTIALIAS = False
"""As torchvision 0.13 of the published environment resizes tensors; later versions smooth unless told otherwise."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def structure_distance(
    first: Float[Tensor, "batch tokens tokens"], second: Float[Tensor, "batch tokens tokens"]
) -> Float[Tensor, " batch"]:
    """Mean squared difference of two self-similarities (Tumanyan et al., 2022), in [0, 4]; 0 if equal."""
    return (first - second).square().flatten(1).mean(1)


def self_similarity(
    network: Any, pictures: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch tokens tokens"]:
    """Cosines between the keys that DINO's last layer has of all tokens, heads concatenated.

    Pictures are meant to be in [0, 1]: they are resized to 224 x 224 and normalised as ImageNet's.
    """
    mean, std = (torch.tensor(values, device=pictures.device)[:, None, None] for values in (_MEAN, _STD))
    small = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=_ANTIALIAS)
    keys = _keys(network, (small - mean) / std)
    norms = keys.norm(dim=-1, keepdim=True)
    return keys @ keys.mT / (norms @ norms.mT).clamp(min=1e-8)


def _keys(network: Any, pictures: Float[Tensor, "batch 3 224 224"]) -> Float[Tensor, "batch tokens dim"]:
    """The keys of `LAYER`; transformers calls the projection `key` before version 5, `k_proj` since."""
    layers = [part for name, part in network.named_modules() if name.endswith((".key", ".k_proj"))]
    found: list[Tensor] = []
    handle = layers[LAYER].register_forward_hook(lambda part, given, keys: found.append(keys))
    try:
        network(pictures)
    finally:
        handle.remove()
    return found[0]
