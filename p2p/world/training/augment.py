"""Blemishes that generated pictures have and drawn ones lack, so that the metric networks judge both alike."""

import torch
import torch.nn.functional as F
from torch import Tensor


def blemish(images: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures in [0, 1], some blurred, some with noise, blotches and shifted colours."""
    share = torch.rand(4, generator=generator)
    if share[0] < 0.5:
        images = _blur(images, 0.4 + float(torch.rand((), generator=generator)))
    if share[1] < 0.3:
        half = F.interpolate(images, scale_factor=0.5, mode="area")
        images = F.interpolate(half, scale_factor=2, mode="bilinear")
    if share[2] < 0.6:
        strength = 0.06 * torch.rand((len(images), 1, 1, 1), generator=generator)
        coarse = torch.randn((len(images), 3, 16, 16), generator=generator)
        images = images + strength * F.interpolate(coarse, size=images.shape[-2:], mode="bicubic")
    if share[3] < 0.6:
        strength = 0.04 * torch.rand((len(images), 1, 1, 1), generator=generator)
        images = images + strength * torch.randn(images.shape, generator=generator)
    tint = 0.03 * torch.randn((len(images), 3, 1, 1), generator=generator)
    return (images + tint).clamp(0, 1)


def _blur(images: Tensor, sigma: float) -> Tensor:
    offsets = torch.arange(-3, 4, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).expand(3, 1, 1, 7)
    images = F.conv2d(F.pad(images, (3, 3, 3, 3), mode="replicate"), kernel, groups=3)
    return F.conv2d(images, kernel.transpose(2, 3), groups=3)
