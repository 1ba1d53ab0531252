"""Measure what editing costs beside plain generation: `python scripts/bench.py editor`.

All variants run in one process in turn, so that their ratios hold whatever else the machine does. Weights are random:
time and memory do not depend on them.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from p2p.edits import Edit
from p2p.loading import DTYPES, Models, load_tokenizer, resolve_device, resolve_path
from p2p.plan import plan_streams
from p2p.prompts import Prompt, tokenize
from p2p.sampling import PromptEmbeds, denoise, make_scheduler
from p2p.streams import Stream
from sweeps.config import WORLD_PATH
from sweeps.files import write_atomically

SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "clip_sample": False}
GUIDANCE = 7.5


def random_models(width: int, device: torch.device, dtype: torch.dtype) -> Models:
    """A UNet of Stable Diffusion 1.x with `width` (320 in the real one) channels at 64 x 64, random weights."""
    with torch.device(device):
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=64,
            block_out_channels=(width, 2 * width, 4 * width, 4 * width),
            cross_attention_dim=768,
            attention_head_dim=8,
        )
    tokenizer = load_tokenizer(resolve_path(WORLD_PATH))
    tokenizer.model_max_length = 77
    return Models(
        tokenizers=(tokenizer,),
        text_encoders=(None,),
        unet=unet.to(dtype).eval().requires_grad_(False),
        vae=AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4),
        scheduler_config=DDIMScheduler(**SCHEDULE, set_alpha_to_one=False, steps_offset=1).config,
        blend_downscale=4,
        zeros_for_empty_negative=False,
        device=device,
        dtype=dtype,
    )


def editor_variants(models: Models, edits: int, steps: int, size: int) -> dict[str, Callable[[], int]]:
    """The ways to make a source and some edits of it; each returns the UNet samples it took."""
    source, target = (tokenize(models.tokenizer, f"a red {what} on the grass") for what in ("cat", "dog"))
    each = [Edit(k=0.3, v_inject_steps=(0.0, i % 2 / 2)).resolve(source, target) for i in range(edits)]
    streams = [Stream(source), *(Stream(target, 0, edit) for edit in each)]
    compiled = plan_streams(streams, steps)
    embeds = _random_embeds(models, [stream.prompt for stream in streams])
    negative = _random_embeds(models, [source])
    noise = torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(0)).to(models.device, models.dtype)

    def ours() -> int:
        scheduler = make_scheduler(models, "ddim", steps)
        return denoise(models, scheduler, compiled, embeds, negative, noise, GUIDANCE, batch_size=edits).unet_samples

    def plain() -> int:
        latents, scheduler = noise.expand(edits + 1, -1, -1, -1), make_scheduler(models, "ddim", steps)
        states = torch.cat([negative.states.expand_as(embeds.states), embeds.states])
        with torch.no_grad():
            for t in scheduler.timesteps:
                out = models.unet(latents.repeat(2, 1, 1, 1), t, encoder_hidden_states=states).sample
                uncond, cond = out.chunk(2)
                latents = scheduler.step(uncond + GUIDANCE * (cond - uncond), t, latents).prev_sample
        return 2 * (edits + 1) * steps

    def with_maps() -> int:
        from tests.p2p.oracle import denoise_with_maps

        scheduler = make_scheduler(models, "ddim", steps)
        denoise_with_maps(models, scheduler, streams, embeds.states, negative.states, noise, GUIDANCE)
        return 2 * (edits + 1) * steps

    return {"plain generation": plain, "edits": ours, "edits with maps built": with_maps}


def _random_embeds(models: Models, prompts: list[Prompt]) -> PromptEmbeds:
    states = torch.randn(len(prompts), 77, 768, generator=torch.Generator().manual_seed(1))
    return PromptEmbeds(states.to(models.device, models.dtype))


def time_in_turn(variants: Mapping[str, Callable[[], int]], rounds: int, device: torch.device) -> dict[str, Any]:
    """Median seconds and UNet samples of each variant, after one round that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    samples = {}
    for counted in [False] + [True] * rounds:
        for name, run in variants.items():
            start = time.perf_counter()
            samples[name] = run()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
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


def bench_editor(options: argparse.Namespace) -> dict[str, Any]:
    """Time, UNet samples and peak memory of the variants, and their ratios to plain generation."""
    device = resolve_device(options.device)
    models = random_models(options.width, device, DTYPES[options.dtype])
    variants = editor_variants(models, options.edits, options.steps, options.size)
    if options.memory_of:
        return {"bytes": peak_bytes(variants[options.memory_of], device)}
    results = time_in_turn(variants, options.rounds, device)
    for name, result in results.items():
        result["peak_bytes"] = _peak_in_a_fresh_process(options, name)
        result["ms_per_sample"] = 1000 * result["seconds"] / result["unet_samples"]
        for key in ("ms_per_sample", "peak_bytes"):
            result[f"{key}_ratio"] = result[key] / results["plain generation"][key]
    return results


def _peak_in_a_fresh_process(options: argparse.Namespace, name: str) -> int:
    given = [f"--{key}={getattr(options, key)}" for key in ("device", "dtype", "width", "size", "edits", "steps")]
    command = [sys.executable, "-m", "scripts.bench", "editor", *given, "--memory-of", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(json.loads(done.stdout.splitlines()[-1])["bytes"])


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    editor = commands.add_parser("editor", help="an edit beside plain generation and an editor that builds its maps")
    editor.add_argument("--device", default="auto")
    editor.add_argument("--dtype", default="float32", choices=sorted(DTYPES))
    editor.add_argument("--width", type=int, default=64, help="channels at 64 x 64; Stable Diffusion has 320")
    editor.add_argument("--size", type=int, default=32, help="side of the latents; Stable Diffusion has 64")
    editor.add_argument("--edits", type=int, default=4, help="edits of one source")
    editor.add_argument("--steps", type=int, default=5)
    editor.add_argument("--rounds", type=int, default=3)
    editor.add_argument("--out", type=Path, default=Path("results/bench"))
    editor.add_argument("--memory-of", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Run, print and keep the results."""
    options = parse_arguments(arguments)
    results = bench_editor(options)
    if options.memory_of:
        print(json.dumps(results))
        return
    device = resolve_device(options.device)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
    settings = {key: str(value) for key, value in vars(options).items() if key not in ("out", "memory_of")}
    report = {"device": name, "threads": torch.get_num_threads(), "torch": torch.__version__, "settings": settings}
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / f"editor-{name.replace(' ', '-').lower()}.json"
    write_atomically(path, json.dumps({**report, "results": results}, indent=1).encode())
    print(f"{'':24}{'ms a sample':>12}{'ratio':>7}{'peak MB':>9}{'ratio':>7}{'samples':>9}")
    for variant, r in results.items():
        numbers = f"{r['ms_per_sample']:12.1f}{r['ms_per_sample_ratio']:7.2f}{r['peak_bytes'] / 1e6:9.0f}"
        print(f"{variant:24}{numbers}{r['peak_bytes_ratio']:7.2f}{r['unet_samples']:9}")
    print(path)


if __name__ == "__main__":
    main()
