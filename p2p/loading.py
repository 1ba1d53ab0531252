"""Loading of diffusion models; the only module of `p2p` that reads files."""

import ctypes
import importlib.resources
import json
import math
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import diffusers
import torch
import transformers
from huggingface_hub import try_to_load_from_cache

DTYPES = {"float32": torch.float32, "float64": torch.float64, "float16": torch.float16, "bfloat16": torch.bfloat16}
PIPELINE_FILES = (
    "model_index.json",
    "tokenizer/tokenizer_config.json",
    "text_encoder/config.json",
    "unet/config.json",
    "vae/config.json",
    "scheduler/scheduler_config.json",
)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
PIPELINES = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
_WITHOUT_CHECKER: Mapping[str, Any] = {
    "safety_checker": None,
    "feature_extractor": None,
    "requires_safety_checker": False,
}


@dataclass(frozen=True)
class Models:
    """The networks of a text-to-image model, ready to use.

    Attributes:
        tokenizers, text_encoders: one each, two in SDXL.
        unet, vae: as diffusers makes them.
        scheduler_config: the model's own scheduler settings (noise schedule, prediction type).
        blend_downscale: latents' side over the side of the attention maps that local blend reads.
        zeros_for_empty_negative: whether an empty negative prompt is embedded as zeros (SDXL).
        device, dtype: where and in what the networks compute.
    """

    tokenizers: tuple[Any, ...]
    text_encoders: tuple[Any, ...]
    unet: Any
    vae: Any
    scheduler_config: Mapping[str, Any]
    blend_downscale: int
    zeros_for_empty_negative: bool
    device: torch.device
    dtype: torch.dtype

    @property
    def is_xl(self) -> bool:
        """Whether this is SDXL: two text encoders and added conditions."""
        return len(self.text_encoders) > 1

    @property
    def tokenizer(self) -> Any:
        """The tokenizer that words and tokens are told apart by; SDXL's two split alike."""
        return self.tokenizers[0]

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


@dataclass(frozen=True)
class ModelFiles:
    """A located model: everything on this machine that its networks are made of.

    Attributes:
        folder: a saved pipeline; with a checkpoint only its configuration and tokenizer are read.
        checkpoint: single file with all weights, or None.
        lora: LoRA weights to be fused in, or None.
    """

    folder: Path
    checkpoint: Path | None = None
    lora: Path | None = None


def load_models(
    path: str,
    *,
    revision: str | None = None,
    config: str | None = None,
    lora: str | None = None,
    dtype: str = "float32",
    device: str = "auto",
    blend_resolution: int | None = None,
) -> Models:
    """Load a Stable Diffusion or SDXL pipeline's parts; on the CPU the process keeps freed memory from then on.

    Args:
        path: a folder as `save_pretrained` writes it, `pkg://package/folder`, a hub id, or a .safetensors checkpoint.
        revision: the hub's revision.
        config: for a checkpoint, the pipeline (folder or hub id) that it has the architecture of.
        lora: a .safetensors file of LoRA weights, fused into the networks.
        dtype: one of `DTYPES`.
        device: `cuda`, `cpu`, ..., or `auto`: a GPU if there is one.
        blend_resolution: side of the attention maps that local blend reads, at the model's native size;
            None is a quarter of the latents' side.

    Raises:
        ValueError: unknown dtype or device, or the model has no attention maps of blend_resolution.
        FileNotFoundError: the model is not there.
    """
    check_dtype(dtype)
    where = resolve_device(device)
    pipeline = _load_pipeline(locate_model(path, revision, config, lora), DTYPES[dtype])
    xl = isinstance(pipeline, diffusers.StableDiffusionXLPipeline)
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2) if xl else (pipeline.text_encoder,)
    for part in (*encoders, pipeline.unet, pipeline.vae):
        part.to(where).eval().requires_grad_(False)
    if xl and dtype == "float16" and pipeline.vae.config.force_upcast:
        pipeline.vae.float()  # SDXL's autoencoder overflows in half precision
    if where.type == "cpu":
        keep_freed_memory()
    return Models(
        tokenizers=(pipeline.tokenizer, pipeline.tokenizer_2) if xl else (pipeline.tokenizer,),
        text_encoders=encoders,
        unet=pipeline.unet,
        vae=pipeline.vae,
        scheduler_config=dict(pipeline.scheduler.config),
        blend_downscale=blend_downscale(pipeline.unet.config, blend_resolution),
        zeros_for_empty_negative=bool(pipeline.config.get("force_zeros_for_empty_prompt", False)),
        device=where,
        dtype=DTYPES[dtype],
    )


def keep_freed_memory() -> None:
    """Have the C library keep the memory that tensors of this process free, for the next ones; only glibc does.

    Handed back after every operation, its pages are zeroed anew for the next, which a small UNet's time shows.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, -1)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer alone of a located model, for checking prompts before the model is loaded."""
    return transformers.CLIPTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)


def locate_model(
    path: str, revision: str | None = None, config: str | None = None, lora: str | None = None
) -> ModelFiles:
    """The files of a model on this machine; a hub id is downloaded, or found in the hub's cache.

    Raises:
        FileNotFoundError: there is no such folder or file, it is no complete pipeline, or the hub cannot be reached.
        ValueError: it is a pipeline of another kind, weights in another format, or a checkpoint without `config`.
    """
    lora_file = None if lora is None else _weights_file("model.lora", lora)
    if Path(path).suffix not in (".safetensors", ".ckpt", ".pt", ".bin"):
        return ModelFiles(_pipeline_folder(path, revision), lora=lora_file)
    checkpoint = _weights_file("model.path", path)
    if config is None:
        raise ValueError(
            f"model.path={path} is a single checkpoint: model.config must name the pipeline that it has the "
            "architecture of, a folder or a hub id"
        )
    return ModelFiles(_pipeline_folder(config, revision), checkpoint, lora_file)


def _weights_file(key: str, path: str) -> Path:
    file = resolve_path(path)
    if file.suffix != ".safetensors":
        raise ValueError(f"{key}={path}: only .safetensors files are read, others can run code; convert it")
    if not file.is_file():
        raise FileNotFoundError(f"{key}={path}: there is no such file")
    return file


def _pipeline_folder(path: str, revision: str | None) -> Path:
    folder = resolve_path(path)
    if not folder.is_dir() and is_hub_id(path):
        folder = _download(path, revision)
    missing = [name for name in PIPELINE_FILES if not (folder / name).is_file()]
    if missing:
        found = f"lacks {', '.join(missing)}" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"model.path={path}: the folder {found}; give a hub id, or a folder that save_pretrained of a "
            "StableDiffusionPipeline wrote"
        )
    kind = json.loads((folder / "model_index.json").read_text()).get("_class_name")
    if kind not in PIPELINES:
        raise ValueError(f"model.path={path}: a {kind} cannot be edited; known are {', '.join(PIPELINES)}")
    return folder


def is_hub_id(path: str) -> bool:
    """Whether this may be the name of a model on the hub."""
    return re.fullmatch(r"[\w-][\w.-]*(/[\w.-]+)?", path) is not None


def _load_pipeline(files: ModelFiles, dtype: torch.dtype) -> Any:
    options = {"torch_dtype": dtype, "local_files_only": True}
    with _quiet():
        if files.checkpoint is None:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                files.folder, use_safetensors=True, **options, **_WITHOUT_CHECKER
            )
        else:
            kind = json.loads((files.folder / "model_index.json").read_text())["_class_name"]
            pipeline = getattr(diffusers, kind).from_single_file(
                str(files.checkpoint), config=str(files.folder), **options
            )
        if files.lora is not None:
            pipeline.load_lora_weights(files.lora.parent, weight_name=files.lora.name, local_files_only=True)
            pipeline.fuse_lora()
            pipeline.unload_lora_weights()
    return pipeline


def resolve_path(path: str) -> Path:
    """A path of this machine, or the one inside a package that `pkg://package/folder` names."""
    if not path.startswith("pkg://"):
        return Path(path).expanduser()
    package, _, inner = path.removeprefix("pkg://").partition("/")
    return Path(str(importlib.resources.files(package) / inner))


def native_size(folder: Path) -> int:
    """Height and width in pixels of the pictures that a located model was trained on."""
    vae = json.loads((folder / "vae" / "config.json").read_text())
    return int(unet_config(folder)["sample_size"]) * 2 ** (len(vae["block_out_channels"]) - 1)


def unet_config(folder: Path) -> Mapping[str, Any]:
    """The settings of a located model's UNet."""
    config: Mapping[str, Any] = json.loads((folder / "unet" / "config.json").read_text())
    return config


def check_dtype(dtype: str) -> None:
    """Raise ValueError unless `dtype` is one of `DTYPES`."""
    if dtype not in DTYPES:
        raise ValueError(f"model.dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")


def check_device(device: str) -> None:
    """Raise ValueError unless `device` is `auto` or names a device, which need not be on this machine."""
    try:
        torch.device("cpu" if device == "auto" else device)
    except RuntimeError as error:
        raise ValueError(f"model.device must be auto, cpu, cuda or cuda:N, got {device!r}") from error


def resolve_device(device: str) -> torch.device:
    """The device named, `auto` being a GPU if there is one.

    Raises:
        ValueError: the device is unknown or not there.
    """
    check_device(device)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    where = torch.device(device)
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"model.device={device}: {torch.cuda.device_count()} GPUs are here; use model.device=cpu")
    return where


def blend_downscale(unet: Mapping[str, Any], blend_resolution: int | None) -> int:
    """Latents' side over the side of the cross-attention maps that local blend reads.

    Args:
        unet: its settings.
        blend_resolution: the maps' side at the model's native size; None is a quarter of the latents' side.

    Raises:
        ValueError: the UNet has no cross-attention of that size; its middle block's does not count.
    """
    side = int(unet["sample_size"])
    sides = [side // 2**level for level, kind in enumerate(unet["down_block_types"]) if "CrossAttn" in kind]
    wanted = side // 4 if blend_resolution is None else blend_resolution
    if wanted not in sides:
        raise ValueError(
            f"model.blend_resolution must be the side of cross-attention maps that the model has, "
            f"{', '.join(map(str, sides))}, got {blend_resolution or f'null, which is {wanted}'}"
        )
    return side // wanted


def pinned_revision(files: ModelFiles) -> str | None:
    """The commit that a model was downloaded at, by its folder in the hub's cache; None where it lies elsewhere."""
    folder = files.folder
    return folder.name if folder.parent.name == "snapshots" and _COMMIT.fullmatch(folder.name) else None


def _cached(hub_id: str, revision: str | None) -> Path | None:
    """A commit's folder in the hub's cache, with all parts; whoever names a commit need not ask what it is now."""
    if revision is None or not _COMMIT.fullmatch(revision):
        return None
    index = try_to_load_from_cache(hub_id, PIPELINE_FILES[0], revision=revision)
    if not isinstance(index, str):
        return None
    folder = Path(index).parent
    weights = [any((folder / part).glob("*.safetensors")) for part in ("text_encoder", "unet", "vae")]
    return folder if all(weights) else None


def _download(hub_id: str, revision: str | None) -> Path:
    if at_hand := _cached(hub_id, revision):
        return at_hand
    try:
        with _quiet(progress=True):
            folder = diffusers.DiffusionPipeline.download(
                hub_id, revision=revision, use_safetensors=True, **_WITHOUT_CHECKER
            )
    except Exception as error:  # that of the hub's HTTP library too, whichever it is
        reason = str(error).strip().splitlines()[0].partition(" (")[0]
        cached = {name: try_to_load_from_cache(hub_id, name, revision=revision) for name in PIPELINE_FILES}
        missing = [name for name, file in cached.items() if not isinstance(file, str)]
        raise FileNotFoundError(
            f"model.path={hub_id} is neither a folder here nor to be had from the hub ({reason}); its cache here lacks "
            f"{', '.join(missing) or 'some weights'}. On a machine with network `p2p-prefetch` with this command's "
            "model settings (as in `p2p-prefetch model=sd14`) fetches it; or "
            "set model.path to a saved pipeline's folder"
        ) from error
    return Path(folder)


@contextmanager
def _quiet(progress: bool = False) -> Iterator[None]:
    """Without the libraries' progress bars and deprecation warnings (`torch_dtype` serves old and new diffusers)."""
    if not progress:
        diffusers.utils.logging.disable_progress_bar()
        transformers.utils.logging.disable_progress_bar()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield
