"""What a grid of edits costs: cell by cell, with one source, with shared prefixes, and beside plain generation."""

import argparse
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from torch.utils.flop_counter import FlopCounterMode

from metrics.loading import MetricsConfig, load_networks
from p2p.edits import Edit
from p2p.loading import DTYPES, Models, load_models, resolve_device
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from scripts.benchmarks.machine import random_models, synchronize, time_in_turn
from sweeps.cells import Cell, CycleMode, ModelId, Sampler
from sweeps.config import WORLD_PATH
from sweeps.groups import Group, plan_group
from sweeps.run import Runner, draw_group
from sweeps.score import Scorer
from sweeps.store import Store

FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8)
GRIDS: dict[int, dict[str, Sequence[Any]]] = {
    75: {"cross_replace_steps": FIFTHS, "self_replace_steps": FIFTHS, "k": (0.0, 0.3, 0.6)},
    540: {
        "cross_replace_steps": (*FIFTHS, 1.0),
        "self_replace_steps": (*FIFTHS, 1.0),
        "k": (0.0, 0.3, 0.6),
        "v_inject_steps": FIFTHS,
    },
}
"""Axes of the grids, by their number of cells; all edits of one source picture."""
PROMPTS = ("a photo of a cat", "a photo of a dog")


def grid_cells(
    models: Models,
    grid: int,
    steps: int,
    size: int,
    prompts: tuple[str, str] = PROMPTS,
    category: str = "animals",
    cycle_mode: CycleMode = "none",
) -> list[Cell]:
    """The cells of a grid over one pair of prompts, size x size pixels."""
    source, target = (tokenize(models.tokenizer, text) for text in prompts)
    sampler = Sampler("ddim", steps, 7.5, "", size, size)
    identity = ModelId("bench", "0" * 16, str(models.dtype).removeprefix("torch."), None)
    axes = GRIDS[grid]
    edits = (Edit(**dict(zip(axes, values, strict=True))) for values in itertools.product(*axes.values()))
    return [
        Cell(identity, sampler, 0, category, "bench", source, target, edit.resolve(source, target), cycle_mode)
        for edit in edits
    ]


def sweep_variants(models: Models, cells: Sequence[Cell], batch_size: int) -> dict[str, Callable[[], int]]:
    """The ways to draw the cells; each returns the UNet samples it took. Pictures are decoded in all of them."""
    group = plan_group(cells)
    sampler = cells[0].sampler

    def plain() -> int:
        pipeline = StableDiffusionPipeline(
            vae=models.vae,
            text_encoder=models.text_encoders[0],
            tokenizer=models.tokenizers[0],
            unet=models.unet,
            scheduler=DDIMScheduler.from_config(models.scheduler_config),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        pipeline.set_progress_bar_config(disable=True)
        for start in range(0, len(cells), batch_size):
            pipeline(
                [cell.target.text for cell in cells[start : start + batch_size]],
                num_inference_steps=sampler.num_inference_steps,
                guidance_scale=sampler.guidance_scale,
                height=sampler.height,
                width=sampler.width,
            )
        return 2 * sampler.num_inference_steps * len(cells)

    def drawn(groups: Sequence[Group], batch_size: int = batch_size) -> Callable[[], int]:
        return lambda: sum(draw_group(models, one, batch_size).unet_samples for one in groups)

    unshared = plan_group(cells)
    vars(unshared)["plan"] = plan_streams(unshared.streams, sampler.num_inference_steps, merge_edits=False)
    return {
        "plain generation": plain,
        "cell by cell": drawn([plan_group([cell]) for cell in cells], batch_size=1),
        "shared source": drawn([unshared]),
        "shared prefixes": drawn([group]),
    }


def shares_of_a_sweep(models: Models, cells: Sequence[Cell], batch_size: int, metrics: MetricsConfig) -> dict[str, Any]:
    """Seconds of drawing, storing and scoring the cells as a sweep does, and whose share they are."""
    device = models.device
    seconds = {"UNet": 0.0, "VAE": 0.0, "metrics": 0.0}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as writer:
        store = Store(Path(folder))
        store.prepare()
        scorer = Scorer(store, metrics, load_networks(metrics, device))
        runner = Runner(models, scorer, store, "bench", batch_size, lambda samples: None, writer)
        with (
            _timed(models.unet, "forward", seconds, "UNet", device),
            _timed(models.vae, "decode", seconds, "VAE", device),
            _timed(scorer, "score", seconds, "metrics", device),
        ):
            start = time.perf_counter()
            failed = runner.run(plan_group(cells)).result()
            total = time.perf_counter() - start
    if failed:
        raise RuntimeError(f"{failed} cells failed")
    shares = {name: own / total for name, own in seconds.items()}
    return {"seconds": total, "cells_per_s": len(cells) / total, "shares": {**shares, "rest": 1 - sum(shares.values())}}


def bench_sweep(options: argparse.Namespace) -> dict[str, Any]:
    """Wall time and UNet samples of the variants, the shares of a sweep, and on a GPU the matrix rate reached."""
    device, dtype = resolve_device(options.device), DTYPES[options.dtype]
    if options.geometry == "sd14":
        models, size = random_models(320, device, dtype, whole=True), 512
        metrics = MetricsConfig()
    else:
        models, size = load_models(WORLD_PATH, dtype=options.dtype, device=str(device), blend_resolution=16), 128
        metrics = world_metrics()
    cells = grid_cells(models, options.grid, options.steps, size)
    variants = sweep_variants(models, cells, options.batch_size)
    if options.geometry == "sd14":  # the others take hours to say what their UNet samples say
        variants = {name: variants[name] for name in ("plain generation", "shared prefixes")}
    results: dict[str, Any] = {"drawing": time_in_turn(variants, options.rounds, device)}
    for variant in results["drawing"].values():
        variant["cells_per_s"] = len(cells) / variant["seconds"]
        variant["samples_per_cell"] = variant["unet_samples"] / len(cells)
        variant["time_ratio"] = variant["seconds"] / results["drawing"]["plain generation"]["seconds"]
    results["sweep"] = shares_of_a_sweep(models, cells, options.batch_size, metrics)
    if device.type == "cuda":
        results["matrix_rate"] = matrix_rate(models, cells, results["drawing"]["shared prefixes"])
    return results


def matrix_rate(
    models: Models, cells: Sequence[Cell], drawn: dict[str, Any], side: int = 8192, rounds: int = 50
) -> dict[str, float]:
    """FLOP/s of the UNet in a sweep, and as a fraction of those of a side x side matrix product in the same dtype."""
    a, b = torch.randn(2, side, side, device=models.device).to(models.dtype)
    for _ in range(3):
        a @ b
    synchronize(models.device)
    start = time.perf_counter()
    for _ in range(rounds):
        a @ b
    synchronize(models.device)
    peak = rounds * 2 * side**3 / (time.perf_counter() - start)
    sampler = cells[0].sampler
    latents = torch.randn(1, 4, sampler.height // 8, sampler.width // 8, device=models.device).to(models.dtype)
    features = models.unet.config.cross_attention_dim
    states = torch.randn(1, 77, features, device=models.device).to(models.dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        models.unet(latents, 500, encoder_hidden_states=states)
    rate = counter.get_total_flops() * drawn["unet_samples"] / drawn["seconds"]
    return {"flops_of_a_sample": counter.get_total_flops(), "reached": rate, "peak": peak, "fraction": rate / peak}


def world_metrics() -> MetricsConfig:
    """The metrics of a sweep on the embedded model."""
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    with initialize_config_module("conf", version_base="1.3"):
        values: Any = OmegaConf.to_container(compose("config").metrics)
    return MetricsConfig.from_mapping(values)


@contextmanager
def _timed(owner: Any, name: str, seconds: dict[str, float], key: str, device: torch.device) -> Iterator[None]:
    """Add the time of a method's calls to `seconds[key]`."""
    original = getattr(owner, name)

    def timed(*arguments: Any, **options: Any) -> Any:
        synchronize(device)
        start = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            synchronize(device)
            seconds[key] += time.perf_counter() - start

    setattr(owner, name, timed)
    try:
        yield
    finally:
        delattr(owner, name)
