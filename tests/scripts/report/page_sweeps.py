"""Small sweeps with pictures of one colour each, for the tests of the page."""

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from metrics.registry import get_metrics
from scripts.report.analysis import ALL, Analysis
from scripts.report.results import Results, with_stored_pictures
from sweeps.configurations import AXES, configurations

NAMES = ("clip_directional", "lpips", "psnr", "cycle_lpips")
GRID = tuple(product((0.0, 0.3), (0.2, 0.5, 0.8), (0.2, 0.8), (0.0, 0.4)))
"""k, cross, self, V."""
ONE_AT_A_TIME = ((0.3, 0.8, 0.2, 0.0), (0.0, 0.8, 0.2, 0.0), (0.3, 0.2, 0.2, 0.0), (0.3, 0.8, 0.8, 0.0))
PAIRS = {"animals": ("cat_to_dog", "fluffy_cat"), "faces": ("blond_to_red_hair", "glasses")}


def make_cells(
    folder: Path,
    settings: Sequence[tuple[float, ...]] = GRID,
    pairs: Mapping[str, Sequence[str]] = PAIRS,
    seeds: int = 2,
) -> pd.DataFrame:
    """Cells of every setting, pair and seed with random scores; every fiftieth has no `psnr`."""
    rng = np.random.default_rng(0)
    rows = []
    for (category, names), seed in product(pairs.items(), range(seeds)):
        for name, axes in product(names, settings):
            number = len(rows)
            rows.append(
                {
                    "cell_id": f"{number:016x}",
                    "config_id": "-".join(f"{value:g}" for value in axes),
                    "category": category,
                    "pair": name,
                    "source_prompt": f"{name}, source",
                    "target_prompt": f"{name}, target",
                    "seed": seed,
                    **dict(zip(AXES, axes, strict=True)),
                    "edit": json.dumps({axis: [0.0, value] for axis, value in zip(AXES, axes, strict=True)}),
                    "source_image": f"images/source/{category}-{name}-{seed}.png",
                    "target_image": f"images/target/{number:016x}.png",
                    "cycle_image": f"images/cycle/{number:016x}.png",
                }
            )
    cells = pd.DataFrame(rows).assign(
        sweep=folder.name, folder=str(folder), model="world", kind="swap", num_inference_steps=20, guidance_scale=5.0
    )
    cells = cells.assign(cycle_mode="swap", dtype="float32", status="ok", error=None)
    for name in NAMES:
        cells[name] = rng.uniform(0.01, 0.99, len(cells))
    cells["psnr"] = 40 * cells["psnr"].where(cells.index % 50 != 49)
    return cells


def make_results(cells: pd.DataFrame) -> Results:
    """Results of cells made above."""
    folders = tuple(Path(folder) for folder in cells["folder"].unique())
    return Results(folders, with_stored_pictures(cells), get_metrics(NAMES), pd.DataFrame())


def make_analysis(results: Results) -> Analysis:
    """Means with intervals around them; the front and what is recommended by the means of all cells."""
    cells = results.cells
    scores = pd.concat([_scores(cells, ALL), *(_scores(own, name) for name, own in cells.groupby("category"))])
    kinds = configurations(cells)
    numbers = cells.drop_duplicates("config_id").set_index("config_id")[list(AXES)]
    best = scores[scores["best"] & (scores["metric"] == NAMES[0])]
    words = best[["category", "config_id"]].assign(words=best["mean"], keep=0.5)
    spread = {f"{name}_{end}": value for name in ("words", "keep") for end, value in (("low", 0.4), ("high", 0.6))}
    recommended = words.assign(confidence=0.7, words_literature=0.5, keep_literature=0.5, **spread)
    comparison = pd.DataFrame({"category": [ALL, "faces"], "metric": NAMES[:2], "difference": [0.2, -0.1]})
    comparison = comparison.assign(literature=0.4, proposed=0.6, low=[0.1, -0.3], high=[0.3, 0.1], p=0.01)
    comparison = comparison.assign(p_corrected=[0.02, np.nan], effect_size=0.5, pairs=2, seeds=2)
    marginal = [_marginal(own, name, axis) for name, own in [(ALL, cells), *cells.groupby("category")] for axis in AXES]
    return Analysis(
        configurations=kinds.drop(columns="k").join(numbers),
        scores=scores,
        comparison=comparison,
        marginal=pd.concat(marginal, ignore_index=True),
        two_way=pd.DataFrame(),
        shares=pd.DataFrame({"category": [ALL], "metric": [NAMES[0]], "term": ["k"], "share": [0.25]}),
        dead=pd.DataFrame({"category": [ALL], "hyperparameter": ["k"], "identical": [1.0], "dead": [True]}),
        front=words,
        recommended=recommended,
        robustness=pd.DataFrame(),
        words=NAMES[0],
        keep=NAMES[1],
        notes=("two versions of torch",),
    )


def draw_pictures(cells: pd.DataFrame, side: int = 16) -> None:
    """A picture of its own colour for every path of the cells."""
    for kind in ("source", "target", "cycle"):
        for folder, path in cells[["folder", f"{kind}_image"]].drop_duplicates().itertuples(index=False):
            Path(folder, path).parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (side, side), colour(path)).save(Path(folder, path))


def colour(path: str) -> tuple[int, int, int]:
    """The colour of a path's picture; those of one kind are at least 8 apart."""
    kind, name = Path(path).parts[-2:]
    number = int(Path(name).stem, 16) if kind != "source" else sum(map(ord, name)) % 64
    return (8 * (number % 32), 8 * (number // 32 % 32), {"source": 40, "target": 120, "cycle": 200}[kind])


def _scores(cells: pd.DataFrame, category: str) -> pd.DataFrame:
    long = cells.melt(["config_id", "pair", "seed"], list(NAMES), "metric")
    table = long.groupby(["config_id", "metric"])["value"].agg(mean="mean", n="count").reset_index()
    best = table.groupby("metric")["mean"].transform("max") == table["mean"]
    counts = {"pairs": cells["pair"].nunique(), "seeds": cells["seed"].nunique(), "nulls": 0, "failed": 0}
    table = table.assign(category=category, low=table["mean"] - 0.01, high=table["mean"] + 0.01, **counts)
    return table.assign(best=best, tied=~best & (table["metric"] == "lpips"))


def _marginal(cells: pd.DataFrame, category: str, axis: str) -> pd.DataFrame:
    table = cells.melt([axis], list(NAMES), "metric").groupby([axis, "metric"])["value"]
    table = table.agg(mean="mean", n="count").reset_index().rename(columns={axis: "value"})
    return table.assign(category=category, hyperparameter=axis, low=table["mean"] - 0.02, high=table["mean"] + 0.02)
