"""Distances of the pixels outside a mask: did the rest of the picture stay?

Our own definition: means run over the pixels outside alone, so that a value does not depend on the mask's area, and
inside both pictures are the first, so that windows and features at the mask's edge see no change there. (The `pie_*`
metrics blacken the region and average over the whole picture, as the benchmark's code does.)
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from metrics.attributes import Ask, read_ask
from metrics.images import check_pair
from metrics.networks import PerceptualDistance
from metrics.perceptual import lpips_map
from metrics.pictures import EditPictures
from metrics.pixel import Images, Sources, ssim_map
from metrics.registry import Null
from p2p.prompts import normalise
from p2p.world.captions import parse

Masks = Bool[Tensor, "batch height width"]
MaskedMeasure = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Two batches of pictures in [0, 1] and the pixels that count to one number a pair."""


def read_region(edit: EditPictures) -> Ask | Null:
    """Which factors' change makes an edit's region: those that its prompts change, or that a re-weighting names."""
    ask = read_ask(edit.source_prompt, edit.target_prompt)
    if isinstance(ask, Null):
        return ask
    if edit.kind == "reweight":
        ask = Ask(ask.category, {}, _named_factors(edit.words, edit.target_prompt))
    return ask if ask.wanted or ask.free else Null.NO_MASK


def _named_factors(words: Sequence[str], prompt: str) -> frozenset[str]:
    """The factors of a caption that some of its words name, by value or by themselves: `purple`, `hat`, `woman's`."""
    parts = {normalise(part).removesuffix("'s") for word in words for part in word.split()}
    return frozenset(factor for factor, value in parse(prompt).factors.items() if parts & {factor, value})


def background_mse(first: Sources, second: Images, outside: Masks) -> Float[Tensor, " batch"]:
    """Mean squared error of the pixels outside, in [0, 1]; 0 if they are equal."""
    check_pair(first, second)
    return mean_over((first - second).square().mean(1), outside)


def background_psnr(first: Sources, second: Images, outside: Masks) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio of the pixels outside in dB, -10 log10 of their MSE; infinite if they are equal."""
    return -10 * background_mse(first, second, outside).log10()


def background_ssim(first: Sources, second: Images, outside: Masks) -> Float[Tensor, " batch"]:
    """Mean over the pixels outside of SSIM's map, in [-1, 1]; 1 if they are equal."""
    return mean_over(ssim_map(first, _changed_outside(first, second, outside)), outside)


def background_lpips(
    network: PerceptualDistance, first: Sources, second: Images, outside: Masks
) -> Float[Tensor, " batch"]:
    """Mean over the pixels outside of LPIPS' map, each layer's resized to the picture; 0 if they are equal."""
    return mean_over(lpips_map(network, first, _changed_outside(first, second, outside)), outside)


def _changed_outside(first: Sources, second: Images, outside: Masks) -> Images:
    """The second picture outside, the first inside."""
    check_pair(first, second)
    _check_masks(second[:, 0], outside)
    return torch.where(outside[:, None], second, first)


def mean_over(values: Float[Tensor, "batch height width"], pixels: Masks) -> Float[Tensor, " batch"]:
    """The mean of each map over the given pixels.

    Raises:
        ValueError: the shapes differ, or a map has no pixel to average.
    """
    _check_masks(values, pixels)
    counts = pixels.flatten(1).sum(1)
    if not bool((counts > 0).all()):
        raise ValueError("masks: expected pixels outside of every mask, got a mask that covers its picture")
    return torch.where(pixels, values, 0.0).flatten(1).sum(1) / counts


def _check_masks(values: Float[Tensor, "batch height width"], pixels: Masks) -> None:
    if values.shape != pixels.shape or pixels.dtype != torch.bool:
        shapes = f"{pixels.dtype} {tuple(pixels.shape)}"
        raise ValueError(f"masks: expected bool {tuple(values.shape)}, one a picture, got {shapes}")
