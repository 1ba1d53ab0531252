"""Loading of DINO's vision transformer, and of whatever else the transformers library reads."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metrics.structure import LAYER, SIDE
from p2p.loading import resolve_path

_FOLDER = "a folder that save_pretrained wrote"


def load_dino(where: str, model: str | None, path: str | None, remedy: str, device: torch.device) -> nn.Module:
    """DINO ViT-B/8, or a transformer of the same shape.

    Args:
        where: the setting that asks, for messages.
        model: a hub id.
        path: a folder instead of it, that `save_pretrained` wrote.
        remedy: what to do where it is not to be had.
        device: where it computes.

    Raises:
        FileNotFoundError: it is neither on this machine nor to be had.
        ValueError: it has too few layers or reads another size.
    """
    from transformers import ViTModel

    def load(source: str) -> Any:
        return ViTModel.from_pretrained(source, add_pooling_layer=False)

    network = from_transformers(where, model, path, remedy, load)
    layers, side = network.config.num_hidden_layers, network.config.image_size
    if layers != LAYER + 1 or side != SIDE:
        raise ValueError(f"{where}: expected a ViT of {LAYER + 1} layers for {SIDE} pixels, got {layers} and {side}")
    ready: nn.Module = network.to(device).eval().requires_grad_(False)
    return ready


def from_transformers(where: str, model: str | None, path: str | None, remedy: str, load: Callable[[str], Any]) -> Any:
    """What `load` reads from the folder `path`, or has by the hub id `model`; the library is kept quiet.

    Raises:
        FileNotFoundError: it is neither on this machine nor to be had.
    """
    from transformers.utils import logging

    source = str(model) if path is None else str(resolve_path(path))
    if path is not None and not Path(source).is_dir():
        raise not_to_be_had(where, source, _FOLDER, remedy, FileNotFoundError("there is no such folder"))
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        return load(source)
    except (OSError, ValueError, RuntimeError) as error:
        raise not_to_be_had(where, source, _FOLDER, remedy, error) from error
    finally:
        logging.set_verbosity(before)


def not_to_be_had(where: str, what: str, instead: str, remedy: str, error: Exception) -> FileNotFoundError:
    """The error for a network that is missing: what, why, and what to do."""
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return FileNotFoundError(
        f"{where}: {what} cannot be loaded ({reason}); {remedy.format(where=where, instead=instead)}"
    )
