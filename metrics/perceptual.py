"""Distances of pictures as an eye sees them."""

from jaxtyping import Float
from torch import Tensor

from metrics.images import check_pair
from metrics.networks import PerceptualDistance


def lpips(
    network: PerceptualDistance,
    first: Float[Tensor, "batch 3 height width"],
    second: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, " batch"]:
    """LPIPS (Zhang et al., 2018) of pictures in [0, 1]; the network reads them in [-1, 1]. 0 if they are equal."""
    check_pair(first, second)
    return network.module(first * 2 - 1, second * 2 - 1).reshape(len(first))
