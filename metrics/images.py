"""Pictures as the metrics read them: stored ones are uint8, computations take floats in [0, 1]."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor


def to_unit_range(pictures: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """Stored pictures, 0 to 255, as floats in [0, 1].

    Raises:
        ValueError: the pictures are not uint8 (batch, 3, height, width).
    """
    if pictures.dtype != torch.uint8 or pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"pictures: expected uint8 (batch, 3, height, width), got {describe(pictures)}")
    return pictures.float() / 255


def check_pair(first: Tensor, second: Tensor) -> None:
    """Raise ValueError unless both are floats in [0, 1] of one shape (batch, 3, height, width)."""
    for images in (first, second):
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: expected floats (batch, 3, height, width) in [0, 1], got {describe(images)}")
        low, high = images.aminmax()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"images: expected values in [0, 1], got {float(low):g} to {float(high):g}")
    if first.shape != second.shape:
        raise ValueError(f"images: expected two of one shape, got {tuple(first.shape)} and {tuple(second.shape)}")


def describe(tensor: Tensor) -> str:
    """Dtype and shape, for messages."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
