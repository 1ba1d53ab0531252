"""The metrics of PIE-Bench's tables (Ju et al., 2024), as its evaluation code computes them.

A region is taken by multiplying with its mask, so means run over all pixels and values depend on the region's area.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.functional.multimodal import clip_score

from metrics.structure import self_similarity, structure_distance

PieKind = Literal["lpips", "clip", "structure"]
SIDE = 512
"""Pixels a side, of the pictures and of the masks."""

Picture = UInt8[Tensor, "3 512 512"]
Mask = Bool[Tensor, "512 512"]


@dataclass(frozen=True)
class PieEdit:
    """One picture of the benchmark and its edit.

    Attributes:
        source, edited: uint8 (3, 512, 512).
        mask: the region that is to be edited, bool (512, 512).
        prompt: the target prompt without brackets.
    """

    source: Picture
    edited: Picture
    mask: Mask
    prompt: str


@dataclass(frozen=True)
class PieNetworks:
    """What is loaded, and where it computes.

    Attributes:
        lpips: pictures in [-1, 1] to a distance.
        clip: CLIP and its processor, as torchmetrics' CLIPScore takes them.
        structure: a DINO vision transformer of the transformers library.
        device: where they are.
    """

    lpips: Callable[[Tensor, Tensor], Tensor] | None = None
    clip: tuple[Any, Any] | None = None
    structure: Any = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def needed(self, kind: PieKind) -> Any:
        """The network of a kind.

        Raises:
            ValueError: it is not loaded.
        """
        network = getattr(self, kind)
        if network is None:
            raise ValueError(f"no {kind} network is loaded; give metrics.networks.{kind}, or choose metrics=pie_pixel")
        return network


class ClipFeatures:
    """A CLIP model of transformers whose features are tensors, as torchmetrics expects; version 5 returns outputs."""

    def __init__(self, model: Any) -> None:
        self.model, self.config = model, model.config

    def to(self, device: Any) -> "ClipFeatures":
        """Move the model."""
        self.model.to(device)
        return self

    def get_image_features(self, *given: Tensor) -> Float[Tensor, "batch dim"]:
        """Of pictures as the processor made them."""
        return _features(self.model.get_image_features(*given))

    def get_text_features(self, *given: Tensor) -> Float[Tensor, "batch dim"]:
        """Of tokens and their mask."""
        return _features(self.model.get_text_features(*given))


def _features(output: Any) -> Tensor:
    features: Tensor = output if isinstance(output, Tensor) else output.pooler_output
    return features


def decode_mask(runs: Sequence[int]) -> Mask:
    """The region of (start, length) pairs in one list, row by row over 512 x 512; the border is always in it.

    A run that leads beyond the last pixel ends there.

    Raises:
        ValueError: the list is not of pairs of whole numbers from 0 on, or a run starts beyond the last pixel.
    """
    if not isinstance(runs, Sequence) or isinstance(runs, str) or len(runs) % 2:
        raise ValueError("the mask must be a list of (start, length) pairs")
    if any(isinstance(number, bool) or not isinstance(number, int) or number < 0 for number in runs):
        raise ValueError("the mask's numbers must be whole, at least 0")
    flat = torch.zeros(SIDE * SIDE, dtype=torch.bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        if start >= len(flat):
            raise ValueError(f"the mask has a run that starts at {start}, but the last pixel is {len(flat) - 1}")
        flat[start : start + length] = True
    mask = flat.reshape(SIDE, SIDE)
    mask[[0, -1], :] = True
    mask[:, [0, -1]] = True
    return mask


def take_edit(picture: UInt8[Tensor, "3 height width"]) -> Picture:
    """An edited picture; of a strip of pictures, which is not square, the lower right 512 x 512.

    Raises:
        ValueError: it is smaller, or square and of another size.
    """
    _, height, width = picture.shape
    if min(height, width) < SIDE or (height == width != SIDE):
        raise ValueError(f"must be {SIDE} x {SIDE} or a strip of such pictures, got {width} x {height}")
    return picture[:, height - SIDE :, width - SIDE :]


def pie_mse(edit: PieEdit, networks: PieNetworks) -> float | None:
    """Mean squared error of pictures in [0, 1] outside the mask, in [0, 1]; None if nothing is outside."""
    return _outside(edit, lambda first, second: F.mse_loss(first, second))


def pie_psnr(edit: PieEdit, networks: PieNetworks) -> float | None:
    """Peak signal-to-noise ratio outside the mask in dB, infinite if equal; None if nothing is outside."""
    return _outside(edit, lambda first, second: peak_signal_noise_ratio(first, second, data_range=1.0))


def pie_ssim(edit: PieEdit, networks: PieNetworks) -> float | None:
    """Structural similarity outside the mask, in [-1, 1]; None if nothing is outside."""

    def ssim(first: Tensor, second: Tensor) -> Tensor:
        value = structural_similarity_index_measure(first, second, data_range=1.0)
        assert isinstance(value, Tensor), "no full picture is asked for"
        return value

    return _outside(edit, ssim)


def pie_lpips(edit: PieEdit, networks: PieNetworks) -> float | None:
    """LPIPS (SqueezeNet) outside the mask; scaled to [-1, 1] after masking. None if nothing is outside."""
    network = networks.needed("lpips")
    return _outside(edit, lambda first, second: network(first * 2 - 1, second * 2 - 1), networks.device)


def pie_clip_whole(edit: PieEdit, networks: PieNetworks) -> float | None:
    """CLIPScore of the edited picture and the target prompt, in [0, 100]."""
    return _clip(edit.edited, edit.prompt, networks)


def pie_clip_edited(edit: PieEdit, networks: PieNetworks) -> float | None:
    """CLIPScore of the edited picture's region, the rest black, and the target prompt, in [0, 100]."""
    return _clip(edit.edited * edit.mask, edit.prompt, networks) if edit.mask.any() else None


def pie_structure_distance(edit: PieEdit, networks: PieNetworks) -> float | None:
    """Structure distance with the published code's slip: ImageNet's normalisation applied to values from 0 to 255."""
    network = networks.needed("structure")
    first, second = (
        self_similarity(network, picture.float()[None].to(networks.device)) for picture in (edit.source, edit.edited)
    )
    return float(structure_distance(first, second))


def _outside(
    edit: PieEdit, measure: Callable[[Tensor, Tensor], Tensor], device: torch.device | str = "cpu"
) -> float | None:
    """A distance of pictures (1, 3, 512, 512) in [0, 1] that are black inside the mask."""
    keep = ~edit.mask
    if not keep.any():
        return None
    first, second = ((picture.float() / 255 * keep)[None].to(device) for picture in (edit.edited, edit.source))
    return float(measure(first, second))


def _clip(picture: Picture, prompt: str, networks: PieNetworks) -> float:
    model, processor = networks.needed("clip")
    return float(
        clip_score(picture.to(networks.device), prompt, model_name_or_path=lambda: (ClipFeatures(model), processor))
    )


@dataclass(frozen=True)
class PieMetric:
    """One column of the benchmark's table.

    Attributes:
        measure: its value for an edit, None where its region is empty.
        head: of the column, with the factor.
        scale: that factor; what is stored is not scaled.
        higher_is_better: the direction.
        digits: decimals in the table.
        network: the kind of network it uses, or None.
    """

    measure: Callable[[PieEdit, PieNetworks], float | None]
    head: str
    scale: float
    higher_is_better: bool
    digits: int = 2
    network: PieKind | None = None


PIE_METRICS: Mapping[str, PieMetric] = MappingProxyType(
    {
        "pie_structure_distance": PieMetric(pie_structure_distance, "Structure x10^3", 1e3, False, network="structure"),
        "pie_psnr": PieMetric(pie_psnr, "PSNR", 1, True),
        "pie_lpips": PieMetric(pie_lpips, "LPIPS x10^3", 1e3, False, network="lpips"),
        "pie_mse": PieMetric(pie_mse, "MSE x10^4", 1e4, False),
        "pie_ssim": PieMetric(pie_ssim, "SSIM x10^2", 1e2, True),
        "pie_clip_whole": PieMetric(pie_clip_whole, "CLIP whole", 1, True, network="clip"),
        "pie_clip_edited": PieMetric(pie_clip_edited, "CLIP edited", 1, True, network="clip"),
    }
)
"""By name, in the order of the paper's columns."""


def score_pie(edit: PieEdit, names: Sequence[str], networks: PieNetworks) -> dict[str, float | None]:
    """The named metrics of one edit."""
    with torch.inference_mode():
        values = {name: PIE_METRICS[name].measure(edit, networks) for name in names}
    return {name: None if value is None or math.isnan(value) else value for name, value in values.items()}
