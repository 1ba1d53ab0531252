"""What editing costs beside plain generation and beside an editor that builds its attention maps."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from p2p.edits import Edit
from p2p.loading import DTYPES, Models, resolve_device
from p2p.plan import plan_streams
from p2p.prompts import Prompt, tokenize
from p2p.sampling import PromptEmbeds, denoise, make_scheduler
from p2p.streams import Stream
from scripts.benchmarks.machine import peak_bytes, random_models, time_in_turn

GUIDANCE = 7.5


def editor_variants(models: Models, edits: int, steps: int, size: int) -> dict[str, Callable[[], int]]:
    """The ways to make a source and some edits of it; each returns the UNet samples it took."""
    source, target = (tokenize(models.tokenizer, f"a red {what} on the grass") for what in ("cat", "dog"))
    each = [Edit(k=0.3, v_inject_steps=(0.0, i % 2 / 2)).resolve(source, target) for i in range(edits)]
    streams = [Stream(source), *(Stream(target, 0, edit) for edit in each)]
    plan = plan_streams(streams, steps, merge_edits=False)
    embeds = _random_embeds(models, [stream.prompt for stream in streams])
    negative = _random_embeds(models, [source])
    noise = torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(0)).to(models.device, models.dtype)

    def ours() -> int:
        scheduler = make_scheduler(models, "ddim", steps)
        return denoise(models, scheduler, plan, embeds, negative, noise, GUIDANCE, batch_size=edits).unet_samples

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
