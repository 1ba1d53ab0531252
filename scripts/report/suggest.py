"""From one hyperparameter at a time to the grid: which values of which hyperparameters are worth combining."""

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

import conf
from scripts.report.effects import mean_over, over_categories, step_table
from scripts.report.grids import Knobs, Scope, find_knobs, members, scopes
from scripts.report.results import Results, read_results
from scripts.report.statistics import ALL, SIGNIFICANCE, holm, make_panels
from sweeps.configurations import AXES, configurations
from sweeps.files import write_atomically

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
    """From one value of a hyperparameter, the last that is kept, to a later one.

    Attributes:
        first, second: the values in words.
        identical: whether all edits are the same pictures for both, byte for byte.
        metric, category, change, p: the score that moves most for its noise, where, by how much, and the p-value
            corrected by Holm's method over all pairs of values, centres, scores and categories of the hyperparameter;
            None if none moves beyond its interval, and by a twentieth of what any hyperparameter moves it.
    """

    first: str
    second: str
    identical: bool
    metric: str | None = None
    category: str = ""
    change: float = 0.0
    p: float = 1.0


@dataclass(frozen=True)
class Knob:
    """A hyperparameter: what its values do in order, and whether none of them changes any picture."""

    name: str
    steps: tuple[Step, ...]
    dead: bool

    @property
    def kept(self) -> tuple[str, ...]:
        """The values to combine: the lowest, and each that a score tells from the last one kept; none without such."""
        moving = [step for step in self.steps if step.metric]
        return (moving[0].first, *(step.second for step in moving)) if moving else ()


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
    """What the values of every hyperparameter do, everything else being as at each of the sweep's centres.

    From the lowest value upwards, the next is kept that some score tells from the last one kept, by a paired t-test on
    the pairs' mean differences, in a category or over all.
    """
    metrics = [metric.name for metric in results.metrics if metric.higher_is_better is not None]
    texts = configurations(results.cells)
    panels = make_panels(results.cells, metrics, list(texts.index))
    knobs = find_knobs(texts, panels)
    found = scopes(knobs, panels)
    steps = step_table(knobs, results.cells, texts.index)
    identical = steps.groupby(["hyperparameter", "first", "second"])["identical"].min() == 1
    moves = {at: _moves(knobs, found, at) for at in range(len(knobs.names))}
    moves = {at: own for at, own in moves.items() if own}
    reach = np.max([move.reach for own in moves.values() for move in own], axis=0) if moves else np.empty(0)
    return [_knob(knobs, at, own, reach, metrics, identical) for at, own in moves.items()]


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
        elif step.identical:
            what = "the same pictures, byte for byte"
        else:
            what = "no score moves beyond its interval"
        lines.append(f"  {step.first} to {step.second}: {what}")
    return lines


def experiment(results: Results, kept: Sequence[Knob], settings: Mapping[str, Any]) -> str:
    """The YAML of the grid of the knobs' values over the sweep's pairs and seeds, with both known configurations.

    A hyperparameter that is dropped stays at the sweep's centre: its most frequent value.
    """
    texts = configurations(results.cells)
    axes = {_KEYS[knob.name]: ",".join(_override(value) for value in knob.kept) for knob in kept}
    for axis, head in AXES.items():
        axes.setdefault(_KEYS[axis], _override(str(results.cells["config_id"].map(texts[head]).mode()[0])))
    parts = []
    for category, cells in results.cells.groupby("category"):
        own = {"category": str(category), "pair": ",".join(sorted(cells["pair"].unique()))}
        parts += [{**own, **axes}, {**own, "edit": "literature,proposed"}]
    seeds = ",".join(str(seed) for seed in sorted(results.cells["seed"].unique()))
    sweeper = {"params": {"seed": seeds}, "union": parts}
    return OmegaConf.to_yaml(OmegaConf.create({**settings, "hydra": {"sweeper": sweeper}}))


@dataclass(frozen=True)
class _Move:
    """Along one hyperparameter in one scope: the reach of every score's means, and all changes between two levels.

    Attributes:
        category: the scope's.
        reach: (metrics,), the largest range of its mean at any centre.
        between: pairs of levels.
        changes, p: (metrics, pairs of levels, centres), differences of means and their p-values.
    """

    category: str
    reach: np.ndarray
    between: tuple[tuple[int, int], ...]
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
        first, second = np.triu_indices(len(levels), 1)
        changes = over_categories([own[:, second] - own[:, first] for own in curves], seeds=False)
        between = tuple((levels[a], levels[b]) for a, b in zip(first, second, strict=True))
        reach = np.nan_to_num(np.abs(changes.mean)).max((1, 2), initial=0.0)
        moves.append(_Move(scope.category, reach, between, changes.mean, changes.p_values()))
    if not moves:
        return []
    corrected = holm(np.concatenate([move.p.reshape(-1) for move in moves]))
    parts = np.split(corrected, np.cumsum([move.p.size for move in moves])[:-1])
    return [replace(move, p=part.reshape(move.p.shape)) for move, part in zip(moves, parts, strict=True)]


def _knob(
    knobs: Knobs, at: int, moves: Sequence[_Move], reach: np.ndarray, metrics: Sequence[str], identical: pd.Series
) -> Knob:
    """The values of one hyperparameter in order, each against the last that is kept."""
    name, words = knobs.names[at], knobs.texts[at]
    levels = sorted({level for move in moves for pair in move.between for level in pair})
    same = [bool(identical.get((name, *step), False)) for step in itertools.pairwise(levels)]
    steps, last = [], 0
    for place in range(1, len(levels)):
        found = _strongest(moves, (levels[last], levels[place]), reach)
        told = (metrics[found[0]], *found[1:]) if found else ()
        steps.append(Step(words[levels[last]], words[levels[place]], all(same[last:place]), *told))
        last = place if found else last
    return Knob(name, tuple(steps), all(same))


def _strongest(
    moves: Sequence[_Move], step: tuple[int, int], reach: np.ndarray
) -> tuple[int, str, float, float] | None:
    """The score that tells two levels apart most surely: its place, where, by how much, and its p-value."""
    found: list[tuple[int, str, float, float]] = []
    for move in (move for move in moves if step in move.between):
        place = move.between.index(step)
        change, p = move.changes[:, place], move.p[:, place]
        for metric, centre in np.argwhere((p < SIGNIFICANCE) & (np.abs(change) >= LEAST_MOVE * reach[:, None])):
            found.append((int(metric), move.category, float(change[metric, centre]), float(p[metric, centre])))
    return min(found, key=lambda one: one[-1], default=None)


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
        usual: Any = OmegaConf.to_container(OmegaConf.load(Path(conf.__path__[0]) / group / f"{known}.yaml"))
        other = _differing(config[group], usual, {*AXES, "device"})
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
