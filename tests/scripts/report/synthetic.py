"""Sweeps made by hand, of any size, whose truth is known."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from metrics.registry import METRICS
from scripts.report.results import Results
from tests.sweeps.frames import frame, row

AXES = ("k", "cross_replace_steps", "self_replace_steps", "v_inject_steps")
SMALL = {"k": (0.0, 0.3), "cross": (0.2, 0.8), "self_": (0.2, 0.8), "v": (0.0, 0.4)}
"""A grid of 16 configurations with both known ones."""
FULL = {
    "k": (0.0, 0.3, 0.6),
    "cross": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "self_": (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    "v": (0.0, 0.2, 0.4, 0.6, 0.8),
}
"""The 540 configurations of `conf/experiment/grid.yaml`."""

Truth = Mapping[str, Callable[[pd.DataFrame], pd.Series]]
TRUTH: Truth = {
    "clip_score": lambda t: 80 - 10 * t.cross_replace_steps**2 - 4 * t.v_inject_steps,
    "clip_directional": lambda t: 0.8 - 0.4 * t.cross_replace_steps**2 - 0.1 * t.v_inject_steps * t.self_replace_steps,
    "lpips": lambda t: 0.9 - 0.5 * t.cross_replace_steps - 0.2 * t.self_replace_steps - 0.1 * t.k.fillna(0),
    "ssim": lambda t: 0.6 + 0.2 * t.cross_replace_steps + 0.1 * t.self_replace_steps,
    "identity_distance": lambda t: 0.3 - 0.2 * t.self_replace_steps,
    "cycle_lpips": lambda t: 0.2 + 0.3 * t.v_inject_steps,
}
"""Mean scores by configuration."""


def synthetic_cells(
    categories: Sequence[str] = ("animals", "faces"),
    pairs: int = 4,
    seeds: int = 2,
    truth: Truth = TRUTH,
    grid: Mapping[str, Sequence[float | None]] = SMALL,
    configurations: Sequence[tuple[float | None, float, float, float]] | None = None,
    pair_sd: float = 0.05,
    seed_sd: float = 0.02,
    noise_sd: float = 0.01,
    pair_noise_sd: float = 0.0,
    dead: Sequence[str] = (),
    seed: int = 0,
) -> pd.DataFrame:
    """Rows of a summary: a score is its truth, plus what its pair, seed and cell add, in units of the metric.

    Args:
        categories, pairs, seeds: how many source pictures.
        truth: mean scores of configurations.
        grid: the values of k, cross, self_ and v; every combination is a configuration.
        configurations: tuples of those values instead.
        pair_sd, seed_sd: standard deviation of what all cells of a pair, and of a pair and seed, share.
        noise_sd: of what every cell has for itself.
        pair_noise_sd: of what a configuration has for itself in all seeds of a pair.
        dead: hyperparameters that leave every picture as it is.
        seed: of chance.
    """
    rng = np.random.default_rng(seed)
    settings = list(itertools.product(*grid.values())) if configurations is None else list(configurations)
    kinds = frame([row(*setting) for setting in settings]).drop(columns=["cell_id", "category", "pair", "seed"])
    units = pd.DataFrame(
        [
            (category, f"pair_{pair:02}", noise)
            for category in categories
            for pair in range(pairs)
            for noise in range(seeds)
        ],
        columns=["category", "pair", "seed"],
    )
    cells = units.assign(unit=range(len(units))).merge(kinds.assign(place=range(len(kinds))), how="cross")
    of_pair = cells.groupby(["category", "pair"]).ngroup().to_numpy()
    unit, place = cells["unit"].to_numpy(), cells["place"].to_numpy()
    for name, mean in truth.items():
        shared = rng.normal(0, pair_sd, of_pair.max() + 1)[of_pair] + rng.normal(0, seed_sd, len(units))[unit]
        own = rng.normal(0, pair_noise_sd, (of_pair.max() + 1, len(kinds)))[of_pair, place]
        cells[name] = mean(cells).to_numpy() + shared + own + rng.normal(0, noise_sd, len(cells))
    if "identity_distance" in cells:
        cells.loc[cells["category"] != "faces", "identity_distance"] = np.nan
    changing = kinds[[axis for axis in AXES if axis not in dead]].fillna(-1).astype(str).agg("-".join, axis=1)
    cells["target_hash"] = cells["unit"].astype(str) + " " + changing.to_numpy()[place]
    cells["cycle_hash"] = cells["target_hash"]
    cells["source_hash"] = cells["unit"].astype(str)
    cells["cell_id"] = [f"cell_{at:06}" for at in range(len(cells))]
    return cells.drop(columns=["unit", "place"])


def synthetic_results(folder: Path = Path("results/synthetic"), **options) -> Results:
    """`synthetic_cells` as `read_results` gives them."""
    cells = synthetic_cells(**options).assign(sweep=folder.name, folder=str(folder))
    metrics = tuple(metric for metric in METRICS.values() if metric.name in cells)
    return Results((folder,), cells, metrics, pd.DataFrame(columns=["config_id", "category", "metric", "value", "n"]))


def write_summary(folder: Path, cells: pd.DataFrame) -> Path:
    """Write cells as a published sweep: `summary.parquet` alone."""
    folder.mkdir(parents=True, exist_ok=True)
    cells.to_parquet(folder / "summary.parquet", index=False)
    return folder
