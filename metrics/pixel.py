"""Distances of pictures that need no network: SSIM, PSNR and MSE on [0, 1]."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from metrics.images import check_pair

Images = Float[Tensor, "batch 3 height width"]
Sources = Float[Tensor, "#batch 3 height width"]
"""As many, or one for all of them."""
Measure = Callable[[Tensor, Tensor], Tensor]
"""Two batches of pictures in [0, 1] to one number a pair."""

_WINDOW, _SIGMA = 11, 1.5
_C1, _C2 = 0.01**2, 0.03**2


def ssim(first: Sources, second: Images) -> Float[Tensor, " batch"]:
    """Structural similarity (Wang et al., 2004) of pictures in [0, 1], as torchmetrics has it; in [-1, 1], 1 if equal.

    11 x 11 Gaussian window of sigma 1.5, edges mirrored, mean over all pixels and channels. The blur is two matrix
    products: torchmetrics' convolution takes a tenth of the time that drawing a small picture takes.
    """
    return ssim_map(first, second).flatten(1).mean(1)


def ssim_map(first: Sources, second: Images) -> Float[Tensor, "batch height width"]:
    """`ssim` before the mean over pixels."""
    check_pair(first, second)
    rows, columns = (_blur_matrix(first.shape[side]).to(first) for side in (2, 3))
    mean_a, mean_b, mean_aa, mean_bb, mean_ab = (
        rows @ values @ columns.T for values in (first, second, first * first, second * second, first * second)
    )
    luminance = (2 * mean_a * mean_b + _C1) / (mean_a**2 + mean_b**2 + _C1)
    variances = (mean_aa - mean_a**2).clamp(min=0) + (mean_bb - mean_b**2).clamp(min=0)
    contrast = (2 * (mean_ab - mean_a * mean_b) + _C2) / (variances + _C2)
    return (luminance * contrast).mean(1)


def psnr(first: Sources, second: Images) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of pictures in [0, 1], in dB; infinite if they are equal."""
    return -10 * mse(first, second).log10()


def mse(first: Sources, second: Images) -> Float[Tensor, " batch"]:
    """Mean squared error of pictures in [0, 1], in [0, 1]; 0 if they are equal."""
    check_pair(first, second)
    return (first - second).square().flatten(1).mean(1)


@cache
def _blur_matrix(size: int) -> Float[Tensor, "size size"]:
    """Blurs a line of pixels, mirrored at its ends, by the Gaussian window."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-(offsets**2) / (2 * _SIGMA**2))
    pixels = F.pad(torch.eye(size, dtype=torch.float64)[None], (_WINDOW // 2,) * 2, mode="reflect")[0]
    return (pixels.unfold(1, _WINDOW, 1) @ (weights / weights.sum())).T
