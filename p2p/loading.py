"""Loading of diffusion models; the only module of `p2p` that reads files."""

import importlib.resources
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Models:
    """The networks of a text-to-image model, ready to use.

    Attributes:
        tokenizer, text_encoder, unet, vae: as transformers and diffusers make them.
        scheduler_config: the model's own scheduler settings (noise schedule, prediction type).
        blend_downscale: latents' side over the side of the attention maps that local blend reads.
        device, dtype: where and in what the networks compute.
    """

    tokenizer: Any
    text_encoder: Any
    unet: Any
    vae: Any
    scheduler_config: Mapping[str, Any]
    blend_downscale: int
    device: torch.device
    dtype: torch.dtype

    @property
    def vae_scale_factor(self) -> int:
        """Pixels per latent."""
        return 2 ** (len(self.vae.config.block_out_channels) - 1)

    def blend_shape(self, latents_shape: Sequence[int]) -> tuple[int, int]:
        """Height and width of the attention maps that local blend reads, for latents of height and width."""
        height, width = (math.ceil(side / self.blend_downscale) for side in latents_shape)
        return height, width

    def blend_pixels(self, latents_shape: Sequence[int]) -> int:
        """Number of pixels of those maps."""
        return math.prod(self.blend_shape(latents_shape))


def load_models(
    path: str,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    device: str = "auto",
    blend_resolution: int | None = None,
) -> Models:
    """Load a Stable Diffusion pipeline's parts from a folder, a package's folder (`pkg://`) or the hub.

    Args:
        path: a folder as `StableDiffusionPipeline.save_pretrained` writes it, `pkg://package/folder`, or a hub id.
        revision: the hub's revision.
        dtype: one of `DTYPES`.
        device: `cuda`, `cpu`, ..., or `auto`: a GPU if there is one.
        blend_resolution: side of the attention maps that local blend reads, at the model's native size;
            None is a quarter of the latents' side.

    Raises:
        ValueError: unknown dtype, or blend_resolution does not divide the latents' side.
        FileNotFoundError: the model is not there.
    """
    if dtype not in DTYPES:
        raise ValueError(f"model.dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    folder = resolve_model(path)
    pipeline = _from_pretrained(folder, revision, DTYPES[dtype])
    where = resolve_device(device)
    for part in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        part.to(where).eval().requires_grad_(False)
    return Models(
        tokenizer=pipeline.tokenizer,
        text_encoder=pipeline.text_encoder,
        unet=pipeline.unet,
        vae=pipeline.vae,
        scheduler_config=dict(pipeline.scheduler.config),
        blend_downscale=blend_downscale(pipeline.unet.config.sample_size, blend_resolution),
        device=where,
        dtype=DTYPES[dtype],
    )


def load_tokenizer(path: str, revision: str | None = None) -> Any:
    """A model's tokenizer alone, for checking prompts before the model is loaded.

    Raises:
        FileNotFoundError: the model is not there.
    """
    folder = resolve_model(path)
    try:
        return CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer", revision=revision)
    except (OSError, TypeError, ValueError) as error:
        raise _not_found(folder) from error


def resolve_model(path: str) -> str:
    """A folder of this machine, or a hub id as it is.

    Raises:
        FileNotFoundError: `path` is meant as a folder and is none, or is no pipeline.
    """
    if path.startswith("pkg://"):
        package, _, inner = path.removeprefix("pkg://").partition("/")
        path = str(importlib.resources.files(package) / inner)
    looks_like_a_path = path.startswith((".", "/", "~")) or path.count("/") > 1
    folder = Path(path).expanduser()
    if looks_like_a_path and not folder.is_dir():
        raise FileNotFoundError(f"model.path={path}: no such folder; give a saved pipeline's folder or a hub id")
    if folder.is_dir() and not (folder / "model_index.json").is_file():
        raise FileNotFoundError(
            f"model.path={path}: the folder has no model_index.json; give one that save_pretrained of a "
            "StableDiffusionPipeline wrote"
        )
    return str(folder) if folder.is_dir() else path


def resolve_device(device: str) -> torch.device:
    """The device named, `auto` being a GPU if there is one.

    Raises:
        ValueError: the device is unknown or not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"model.device must be auto, cpu, cuda or cuda:N, got {device!r}") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"model.device={device}: {torch.cuda.device_count()} GPUs are here; use model.device=cpu")
    return where


def blend_downscale(sample_size: int, blend_resolution: int | None) -> int:
    """Latents' side over the side of the maps that local blend reads.

    Raises:
        ValueError: `blend_resolution` does not divide the latents' side.
    """
    if blend_resolution is None:
        return 4
    if blend_resolution < 1 or sample_size % blend_resolution:
        raise ValueError(f"model.blend_resolution must divide the latents' side {sample_size}, got {blend_resolution}")
    return sample_size // blend_resolution


def _from_pretrained(folder: str, revision: str | None, dtype: torch.dtype) -> StableDiffusionPipeline:
    try:
        return StableDiffusionPipeline.from_pretrained(
            folder,
            revision=revision,
            torch_dtype=dtype,
            use_safetensors=True,
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    except OSError as error:
        raise _not_found(folder, error) from error


def _not_found(folder: str, error: Exception | None = None) -> FileNotFoundError:
    reason = f" ({str(error).strip().splitlines()[0]})" if error else ""
    return FileNotFoundError(
        f"model {folder!r} could not be loaded{reason}; it is neither a complete pipeline folder nor in "
        "the hub's cache here. Download it once on a machine with network, or set model.path to its folder"
    )
