"""Pictures as the metrics read them: stored ones are uint8, computations take floats in [0, 1]."""

from typing import Any

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


def check_picture(name: str, picture: Tensor) -> None:
    """Raise ValueError unless it is a stored picture, a tensor uint8 (3, height, width) of at least one pixel."""
    is_stored = isinstance(picture, Tensor) and picture.dtype == torch.uint8 and picture.ndim == 3
    if not is_stored or len(picture) != 3 or not picture.numel():
        raise ValueError(f"{name}: expected uint8 (3, height, width), got {describe(picture)}")


def check_pair(first: Tensor, second: Tensor) -> None:
    """Raise ValueError unless both are floats in [0, 1] of one shape (batch, 3, height, width).

    The first may be one picture for all of the second.
    """
    for images in (first, second):
        if not images.is_floating_point() or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"images: expected floats (batch, 3, height, width) in [0, 1], got {describe(images)}")
        low, high = images.aminmax()
        if not (low >= 0 and high <= 1):
            raise ValueError(f"images: expected values in [0, 1], got {float(low):g} to {float(high):g}")
    if first.shape[1:] != second.shape[1:] or len(first) not in (1, len(second)):
        raise ValueError(f"images: expected two of one shape, got {tuple(first.shape)} and {tuple(second.shape)}")


def describe(picture: Any) -> str:
    """Dtype or mode, and shape or size, for messages; with its type unless it is a tensor."""
    if isinstance(picture, Tensor):
        return f"{str(picture.dtype).removeprefix('torch.')} {tuple(picture.shape)}"
    names = [name for name in ("dtype", "mode", "shape", "size") if hasattr(picture, name)]
    about = [str(getattr(picture, name)) for name in names if name != "size" or "shape" not in names]
    return " ".join([f"{type(picture).__module__}.{type(picture).__name__}", *about])
