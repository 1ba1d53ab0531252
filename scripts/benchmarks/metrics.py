"""What scoring costs: each metric by itself, all together, and as a share of a sweep on the embedded model."""

import argparse
import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch

from metrics.loading import MetricsConfig, load_networks
from metrics.networks import Networks
from metrics.pictures import EditPictures
from metrics.score import score_edits
from p2p.loading import load_models, resolve_device
from p2p.world.pairs import draw_variants, sample_pair
from scripts.benchmarks.machine import time_in_turn
from scripts.benchmarks.sweep import grid_cells, shares_of_a_sweep, world_metrics
from sweeps.config import WORLD_PATH

PROMPTS = ("a woman's face with blond hair", "a woman's face with red hair")
"""Of the sweep: every metric has a value for faces."""
TOGETHER = "all together"


def rendered_edits(groups: int) -> list[EditPictures]:
    """Rendered edits, some for each of so many sources of the five categories in turn, all with a cycle."""
    return list(itertools.chain.from_iterable(_edits_of(number) for number in range(groups)))


def _edits_of(number: int) -> list[EditPictures]:
    pair = sample_pair(number, seed=0)
    drawn = draw_variants(pair, seed=0)
    pictures = {name: torch.from_numpy(picture).permute(2, 0, 1).contiguous() for name, picture in drawn.items()}
    source = pictures.pop("none")
    prompts = pair.source_prompt, pair.target_prompt
    return [
        EditPictures(f"{number} {name}", pair.source.category, "swap", *prompts, "swap", source, picture, picture)
        for name, picture in pictures.items()
    ]


def metric_variants(
    edits: Sequence[EditPictures], names: Sequence[str], networks: Networks, batch_size: int
) -> dict[str, Callable[[], int]]:
    """Scoring of the edits by each metric and by all; a call is one source's edits, as in a sweep."""
    groups = [list(own) for _, own in itertools.groupby(edits, key=lambda edit: id(edit.source))]

    def score(chosen: Sequence[str]) -> int:
        for group in groups:
            score_edits(group, chosen, networks, batch_size)
        return 0

    return {**{name: partial(score, [name]) for name in names}, TOGETHER: partial(score, names)}


def time_metrics(
    edits: Sequence[EditPictures], names: Sequence[str], networks: Networks, batch_size: int, rounds: int
) -> dict[str, float]:
    """Milliseconds that an edit takes, by metric and for all together."""
    timed = time_in_turn(metric_variants(edits, names, networks, batch_size), rounds, networks.device)
    return {name: 1000 * result["seconds"] / len(edits) for name, result in timed.items()}


def bench_metrics(options: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds an edit by metric, and the share of a sweep's wall time that is spent scoring."""
    device = resolve_device(options.device)
    config: MetricsConfig = world_metrics()
    edits = rendered_edits(options.groups)
    models = load_models(WORLD_PATH, dtype=options.dtype, device=str(device), blend_resolution=16)
    cells = grid_cells(models, options.grid, options.steps, 128, PROMPTS, "faces", cycle_mode="swap")
    shares_of_a_sweep(models, cells[: options.batch_size], options.batch_size, config)  # not counted: first calls
    return {
        "edits": len(edits),
        "ms_per_edit": time_metrics(edits, config.names, load_networks(config, device), 16, options.rounds),
        "sweep": shares_of_a_sweep(models, cells, options.batch_size, config),
    }
