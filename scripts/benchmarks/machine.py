"""What the benchmarks share: models of random weights, timing side by side, memory.

Time and memory do not depend on the weights.
"""

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from p2p.loading import Models, load_tokenizer, resolve_path
from sweeps.config import WORLD_PATH

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}


def random_models(width: int, device: torch.device, dtype: torch.dtype, whole: bool = False) -> Models:
    """Stable Diffusion 1.x with random weights.

    Args:
        width: channels of the UNet at its largest; 320 in the real one.
        device, dtype: where and how.
        whole: with the text encoder and VAE of the real one; else without the one and with a narrow other.
    """
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width),
            cross_attention_dim=768,
            attention_head_dim=8,
        )
        channels = (128, 256, 512, 512) if whole else (8, 8, 8, 8)
        vae = AutoencoderKL(
            block_out_channels=channels,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2 if whole else 1,
            norm_num_groups=32 if whole else 4,
        )
        encoder = CLIPTextModel(CLIPTextConfig(hidden_size=768, intermediate_size=3072, num_hidden_layers=12))
    tokenizer = load_tokenizer(resolve_path(WORLD_PATH))
    tokenizer.model_max_length = 77
    return Models(
        tokenizers=(tokenizer,),
        text_encoders=(encoder.to(dtype).eval().requires_grad_(False) if whole else None,),
        unet=unet.to(dtype).eval().requires_grad_(False),
        vae=vae.to(dtype).eval().requires_grad_(False),
        scheduler_config=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1).config,
        blend_downscale=4,
        zeros_for_empty_negative=False,
        device=device,
        dtype=dtype,
    )


def device_name(device: torch.device) -> str:
    """As results are named by."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def time_in_turn(variants: Mapping[str, Callable[[], int]], rounds: int, device: torch.device) -> dict[str, Any]:
    """Median seconds and UNet samples of each variant, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    samples = {}
    for counted in [False] + [True] * rounds:
        for name, run in variants.items():
            start = time.perf_counter()
            samples[name] = run()
            synchronize(device)
            if counted:
                seconds[name].append(time.perf_counter() - start)
    return {name: {"seconds": statistics.median(seconds[name]), "unet_samples": samples[name]} for name in variants}


def peak_bytes(run: Callable[[], int], device: torch.device) -> int:
    """Memory that one run takes beside what is held before it: torch's own count on a GPU, Linux's on a CPU."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        return torch.cuda.max_memory_allocated(device) - before
    Path("/proc/self/clear_refs").write_text("5")  # sets the peak (VmHWM) back to what is resident now
    before = _status_bytes("VmRSS")
    run()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{field}:")).split()[1]) * 1024
