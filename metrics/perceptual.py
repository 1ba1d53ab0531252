"""Distances of pictures as an eye sees them."""

import copy
from typing import Any

from jaxtyping import Float
from torch import Tensor

from metrics.images import check_pair
from metrics.networks import PerceptualDistance


def lpips(
    network: PerceptualDistance,
    first: Float[Tensor, "#batch 3 height width"],
    second: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, " batch"]:
    """LPIPS (Zhang et al., 2018) of pictures in [0, 1]; the network reads them in [-1, 1]. 0 if they are equal."""
    check_pair(first, second)
    return _differing(first, second) * network.module(first * 2 - 1, second * 2 - 1).reshape(len(second))


def lpips_map(
    network: PerceptualDistance,
    first: Float[Tensor, "#batch 3 height width"],
    second: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch height width"]:
    """LPIPS by pixel, `spatial` in the lpips package: each layer's map resized to the picture's size, and summed.

    0 everywhere if they are equal.
    """
    check_pair(first, second)
    spatial: Any = copy.copy(network.module)  # shares the weights
    spatial.spatial = True
    maps: Tensor = spatial(first * 2 - 1, second * 2 - 1)
    return _differing(first, second)[:, None, None] * maps[:, 0]


def _differing(first: Tensor, second: Tensor) -> Tensor:
    """1 for each second picture that is not its first, else 0: a batch of one is convolved with other roundings."""
    return (first != second).flatten(1).any(1).to(second)
