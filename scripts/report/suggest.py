"""From one hyperparameter at a time to the grid: which values of which hyperparameters are worth combining."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

import conf
from scripts.report.effects import mean_over, over_categories, step_table
from scripts.report.grids import Knobs, Scope, find_knobs, members, scopes
from scripts.report.results import Results, read_results
from scripts.report.statistics import ALL, holm, make_panels
from sweeps.configurations import AXES, configurations
from sweeps.files import write_atomically

SIGNIFICANCE = 0.05
LEAST_MOVE = 0.05
"""A step's share of the largest move of the same score by any hyperparameter, below which it counts as none."""
_MOST_CENTRES = 8
_KEYS = {
    **{axis: f"edit.{axis}" for axis in AXES},
    **{f"v_inject.{name}": f"edit.v_inject.{name}" for name in ("layers", "tokens", "weight")},
    "self_replace_max_pixels": "edit.self_replace_max_pixels",
    "start_blend": "edit.local_blend.start_blend",
    "scales": "edit.equalizer_scale",
    "num_inference_steps": "sampler.num_inference_steps",
    "guidance_scale": "sampler.guidance_scale",
    "cycle_mode": "cycle.mode",
}


@dataclass(frozen=True)
class Step:
    """One step along a hyperparameter.

    Attributes:
        first, second: the values in words.
        identical: share of edits that it leaves as they are, byte for byte; NaN where that is not recorded.
        metric, category, change, p: the score that moves most for its noise, where, by how much, and the p-value
            corrected by Holm's method over all steps, centres, scores and categories of the hyperparameter; None if
            none moves beyond its interval, and by a twentieth of what any hyperparameter moves it.
    """

    first: str
    second: str
    identical: float
    metric: str | None = None
    category: str = ""
    change: float = 0.0
    p: float = 1.0


@dataclass(frozen=True)
class Knob:
    """A hyperparameter's steps in order, and the values worth combining: the ends of steps that move a score."""

    name: str
    steps: tuple[Step, ...]

    @property
    def dead(self) -> bool:
        """Whether no step changes any picture."""
        return all(step.identical == 1 for step in self.steps)

    @property
    def kept(self) -> tuple[str, ...]:
        """The values to combine, in order; none where no step moves a score."""
        ends = [value for step in self.steps if step.metric for value in (step.first, step.second)]
        return tuple(dict.fromkeys(ends))


def write_suggestion(sweep: Path, out: Path | None = None) -> str:
    """Write the experiment file of a grid from a one-at-a-time sweep; what it says, and the command that runs it.

    Args:
        sweep: the sweep's folder.
        out: a .yaml file in a folder called `experiment`; None: `experiment/<sweep>_grid.yaml` in the sweep's folder.

    Raises:
        ValueError: the folder is no sweep's, `out` lies elsewhere, or no score moves in it.
        OSError: it cannot be written.
    """
    out = out or sweep / "experiment" / f"{sweep.resolve().name}_grid.yaml"
    if out.suffix != ".yaml" or out.resolve().parent.name != "experiment":
        raise ValueError(f"--out must be a .yaml file in a folder called experiment, got {out}; Hydra finds it there")
    results = read_results([sweep])
    knobs = judge(results)
    kept = [knob for knob in knobs if knob.kept and knob.name in _KEYS]
    if not kept:
        raise ValueError(
            f"no score of {sweep} moves beyond its interval along any of its {len(knobs)} hyperparameters; "
            "draw more pairs or seeds, or vary them further"
        )
    reasons = [line for knob in knobs for line in explain(knob)]
    text = experiment(results, kept, _settings(sweep, results.cells))
    number = math.prod(len(knob.kept) for knob in kept)
    head = [f"{number} configurations suggested by {sweep.resolve().name}; run with `-m`.", *reasons]
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(out, ("# @package _global_\n" + "".join(f"# {line}\n" for line in head) + text).encode())
    return "\n".join([*reasons, "", f"{number} configurations in {out}; next:", f"  {_command(out)}"])


def judge(results: Results) -> list[Knob]:
    """What every step along every hyperparameter does, everything else being as at each of the sweep's centres.

    A step is judged by a paired t-test on the pairs' mean differences, in each category and over all.
    """
    metrics = [metric.name for metric in results.metrics if metric.higher_is_better is not None]
    texts = configurations(results.cells)
    panels = make_panels(results.cells, metrics, list(texts.index))
    knobs = find_knobs(texts, panels)
    found = scopes(knobs, panels)
    steps = step_table(knobs, results.cells, texts.index)
    sums = steps.assign(same=steps["identical"] * steps["n"]).groupby(["hyperparameter", "first", "second"])
    identical = sums["same"].sum() / sums["n"].sum()
    moves = {at: _moves(knobs, found, at) for at in range(len(knobs.names))}
    spans = _spans(list(moves.values()))
    return [_knob(knobs, at, own, spans, metrics, identical) for at, own in moves.items() if own]


def explain(knob: Knob) -> list[str]:
    """What is kept of a hyperparameter and why, in lines."""
    key = _KEYS.get(knob.name, knob.name)
    if knob.dead:
        return [f"{key}: dropped, it changes no picture (byte for byte)"]
    if not knob.kept:
        return [
            f"{key}: dropped, no score moves beyond its interval from {knob.steps[0].first} to {knob.steps[-1].second}"
        ]
    lines = [f"{key}: {', '.join(knob.kept)}"]
    for step in knob.steps:
        where = "" if step.category == ALL else f" in {step.category}"
        if step.metric:
            what = f"{step.metric} moves by {step.change:+.3g}{where} (p {step.p:.1g})"
        elif step.identical == 1:
            what = "the same pictures, byte for byte"
        else:
            what = "no score moves beyond its interval"
        lines.append(f"  {step.first} to {step.second}: {what}")
    return lines


def experiment(results: Results, kept: Sequence[Knob], settings: Mapping[str, Any]) -> str:
    """The YAML of the grid of the knobs' values over the sweep's pairs and seeds, with both known configurations."""
    axes = {_KEYS[knob.name]: ",".join(_override(value) for value in knob.kept) for knob in kept}
    parts = []
    for category, cells in results.cells.groupby("category"):
        own = {"category": str(category), "pair": ",".join(sorted(cells["pair"].unique()))}
        parts += [{**own, **axes}, {**own, "edit": "literature,proposed"}]
    seeds = ",".join(str(seed) for seed in sorted(results.cells["seed"].unique()))
    sweeper = {"params": {"seed": seeds}, "union": parts}
    return OmegaConf.to_yaml(OmegaConf.create({**settings, "hydra": {"sweeper": sweeper}}))


@dataclass(frozen=True)
class _Move:
    """Along one hyperparameter in one scope: (metrics, levels, centres) means, and changes and p-values of steps."""

    category: str
    levels: tuple[int, ...]
    means: np.ndarray
    changes: np.ndarray
    p: np.ndarray


def _moves(knobs: Knobs, found: Sequence[Scope], at: int) -> list[_Move]:
    """What happens along one hyperparameter, at each centre; on a grid, averaged over the other hyperparameters."""
    moves = []
    for scope in found:
        places = members(knobs.levels, scope.there, at)
        if places is None:
            continue
        levels, points = places
        curves = [values[:, points] for values in scope.values]
        if points.shape[1] > _MOST_CENTRES:
            curves = [mean_over(own, 2)[:, :, None] for own in curves]
        steps = over_categories([np.diff(own, axis=1) for own in curves], seeds=False)
        means = over_categories(curves).mean
        moves.append(_Move(scope.category, tuple(levels), means, steps.mean, steps.p_values()))
    sizes = [move.p.size for move in moves]
    corrected = holm(np.concatenate([move.p.reshape(-1) for move in moves])) if moves else np.empty(0)
    parts = np.split(corrected, np.cumsum(sizes)[:-1]) if moves else []
    return [
        _Move(move.category, move.levels, move.means, move.changes, part.reshape(move.p.shape))
        for move, part in zip(moves, parts, strict=True)
    ]


def _spans(moves: Sequence[Sequence[_Move]]) -> np.ndarray:
    """The largest range of each score's mean along any hyperparameter."""
    spans = [
        np.nan_to_num(move.means, nan=-np.inf).max(1) - np.nan_to_num(move.means, nan=np.inf).min(1)
        for own in moves
        for move in own
    ]
    return np.max([np.where(np.isfinite(span), span, 0).max(-1) for span in spans], axis=0) if spans else np.empty(0)


def _knob(
    knobs: Knobs, at: int, moves: Sequence[_Move], spans: np.ndarray, metrics: Sequence[str], identical: pd.Series
) -> Knob:
    """The steps of one hyperparameter; a step counts where any score moves in any category at any centre."""
    levels = sorted({level for move in moves for level in move.levels})
    steps = []
    for first, second in itertools.pairwise(levels):
        words = (knobs.texts[at][first], knobs.texts[at][second])
        best = Step(*words, float(identical.get((knobs.names[at], first, second), np.nan)))
        for move in moves:
            if (first, second) not in itertools.pairwise(move.levels):
                continue
            place = move.levels.index(first)
            change, p = move.changes[:, place], move.p[:, place]
            for metric, centre in np.argwhere((p < SIGNIFICANCE) & (np.abs(change) >= LEAST_MOVE * spans[:, None])):
                if p[metric, centre] < best.p:
                    found = (metrics[metric], move.category, float(change[metric, centre]), float(p[metric, centre]))
                    best = Step(*words, best.identical, *found)
        steps.append(best)
    return Knob(knobs.names[at], tuple(steps))


def _settings(sweep: Path, cells: pd.DataFrame) -> dict[str, Any]:
    """What the sweep's command fixed: sampler and cycle; model, category file and edit where they are not the usual."""
    first = cells.iloc[0]
    settings: dict[str, Any] = {
        "sampler": {name: first[name].item() for name in ("num_inference_steps", "guidance_scale")},
        "cycle": {"mode": first["cycle_mode"]},
    }
    try:
        config = json.loads((sweep / "config.json").read_text())
    except OSError:
        return settings
    settings["sampler"] = {name: value for name, value in config["sampler"].items() if value is not None}
    for group, known in (("model", "world"), ("edit", "literature")):
        usual = OmegaConf.to_container(OmegaConf.load(Path(conf.__path__[0]) / group / f"{known}.yaml"))
        other = _differing(config[group], usual if isinstance(usual, dict) else {}, {*AXES, "device"})
        settings |= {group: other} if other else {}
    if config["category"].get("file"):
        settings["category"] = {"file": config["category"]["file"]}
    return settings


def _differing(values: Mapping[str, Any], usual: Mapping[str, Any], left_out: set[str]) -> dict[str, Any]:
    """The entries that are not the usual ones, mappings entry by entry."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(usual.get(name), dict):
            value = _differing(value, usual[name], left_out)
            if value:
                found[name] = value
        elif name not in left_out and value != usual.get(name):
            found[name] = value
    return found


def _override(text: str) -> str:
    """A value in words as Hydra's grammar has it."""
    if text == "none":
        return "null"
    start, _, end = text.partition("-")
    return f"[{start},{end}]" if start and end else text


def _command(out: Path) -> str:
    folder = out.resolve().parent.parent
    own = "" if folder == Path(conf.__path__[0]).resolve() else f"--config-dir {out.parent.parent} "
    return f"p2p-sweep {own}-m +experiment={out.stem}"
