"""The claims of CL P2P (Lorente and Bieske), each held against the cells at hand: confirmed, contradicted or undecided.

A claim is a difference within prompt pair and seed that it expects to lie on one side of 0. It is confirmed where the
95% interval of the mean difference (Student's t on the prompt pairs' means) lies on that side, contradicted where it
lies on the other, and else undecided; see `scripts.report.statistics`. Claims without cells are left out.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from metrics.registry import METRICS
from scripts.report.analysis import Analysis
from scripts.report.effects import anova
from scripts.report.grids import factorial, find_knobs, scopes
from scripts.report.results import Results
from scripts.report.statistics import combine, estimate, make_panels
from sweeps.configurations import AXES, KNOWN, configurations, in_one_line, other_settings
from sweeps.files import write_atomically

Verdict = Literal["confirmed", "contradicted", "undecided"]
CONSISTENT = 0.1
"""A cycle error below this share of the edit's own size would pass for consistent."""
PROPOSED_FOR = "faces"
"""The category that the proposed values were found on."""
_GEOMETRY = ("structure_distance", "ssim")
_WINDOWS = ("self_replace_steps", "cross_replace_steps")
_PLACE = ["category", "pair", "seed"]
_GRID = "p2p-sweep -m +experiment=grid"
_SWAP = "p2p-sweep -m +experiment=cycle"
_INVERT = "p2p-sweep -m +experiment=cycle-invert"
_REWEIGHT = "p2p-sweep -m +experiment=reweight"


@dataclass(frozen=True)
class Contrast:
    """A mean difference over pairs and seeds, categories counting alike, with its 95% interval."""

    mean: float
    low: float
    high: float
    pairs: int
    seeds: int

    def verdict(self, expected: int) -> Verdict:
        """Against a claim that expects a positive (1) or negative (-1) difference."""
        low, high = (self.low, self.high) if expected > 0 else (-self.high, -self.low)
        return "confirmed" if low > 0 else "contradicted" if high < 0 else "undecided"

    @property
    def short(self) -> str:
        """The mean and, if it has one, its interval."""
        interval = f" ({self.low:+.3f} to {self.high:+.3f})" if np.isfinite(self.low) else ""
        return f"{self.mean:+.3f}{interval}"

    def __str__(self) -> str:
        size = f"{self.pairs} pair{'s' * (self.pairs > 1)}, {self.seeds} seed{'s' * (self.seeds > 1)}"
        if not np.isfinite(self.low):
            return f"{self.mean:+.3f} (no interval: {size})"
        return f"{self.mean:+.3f} (95% interval {self.low:+.3f} to {self.high:+.3f}; {size})"


class Finding(NamedTuple):
    """A claim and what became of it.

    Attributes:
        claim: a sentence.
        measure: what is measured of it, in words.
        difference: that, which the claim expects to be positive (`expected` 1) or negative (-1).
        command: what the study draws it with.
        more: further numbers, in sentences.
    """

    claim: str
    measure: str
    difference: Contrast
    expected: Literal[1, -1]
    command: str
    more: str = ""

    @property
    def verdict(self) -> Verdict:
        """Confirmed, contradicted or undecided."""
        return self.difference.verdict(self.expected)

    @property
    def text(self) -> str:
        """The numbers in words."""
        return f"{self.measure[0].upper()}{self.measure[1:]}: {self.difference}.{self.more}"


def contrast(differences: pd.DataFrame) -> Contrast | None:
    """The mean of a column `value` with category, pair and seed; None if there is none."""
    known = differences[differences["value"].notna()]
    tables = [
        own.pivot_table(index="pair", columns="seed", values="value").to_numpy() for _, own in known.groupby("category")
    ]
    if not tables:
        return None
    found = combine([estimate(table[None], seeds=False) for table in tables])
    low, high = found.interval()
    pairs, seeds = sum(map(len, tables)), int(known["seed"].nunique())
    return Contrast(found.mean.item(), low.item(), high.item(), pairs, seeds)


def find(results: Results, analysis: Analysis) -> tuple[Finding, ...]:
    """Every claim that the cells can tell about."""
    evidence = _Evidence(results)
    return tuple(finding for test in _TESTS for finding in test(evidence, analysis))


def write_findings(findings: Sequence[Finding], notes: Sequence[str], folder: Path) -> Path | None:
    """Write findings.md: what to know, and every claim with its verdict, numbers and command; its path.

    Without findings there is none, and that of an earlier report is removed.
    """
    path = folder / "findings.md"
    if not findings:
        path.unlink(missing_ok=True)
        return None
    parts = ["# Findings", (__doc__ or "").partition("\n\n")[2].strip().replace("\n", " ").split("; see")[0] + "."]
    parts += ["\n".join(f"- {note}" for note in notes)] if notes else []
    rows = [f"| {one.claim.rstrip('.')} | {one.verdict} | {one.measure}: {one.difference.short} |" for one in findings]
    parts.append("\n".join(["| claim | verdict | difference (95% interval) |", "|---|---|---|", *rows]))
    for one in findings:
        parts.append(f"**{one.claim}** {one.verdict.capitalize()}. {one.text}\n\nIn the study: `{one.command}`")
    write_atomically(path, ("\n\n".join(parts) + "\n").encode())
    return path


class _Evidence:
    """The cells that were drawn, with what is asked of them in columns of their own.

    Attributes:
        cells: with the name of their configuration (`mark`), their weight of words and their layers; `others` are their
            settings besides the four hyperparameters, `besides_v` those without V-injection's.
    """

    def __init__(self, results: Results) -> None:
        kinds = configurations(results.cells)
        others = other_settings(kinds)
        besides_v = others.loc[:, ~others.columns.str.startswith("v_inject.")]
        cells = results.cells[results.cells["status"] == "ok"]
        edits = {text: json.loads(text) for text in cells["edit"].unique()}
        weights = {text: _weight(edit.get("equalizer") or {}) for text, edit in edits.items()}
        layers = {text: edit.get("v_inject", {}).get("layers", "self") for text, edit in edits.items()}
        self.cells = cells.assign(
            mark=cells["config_id"].map(kinds["mark"]),
            weight=cells["edit"].map(weights),
            layers=cells["edit"].map(layers),
            others=cells["config_id"].map(in_one_line(others)),
            besides_v=cells["config_id"].map(in_one_line(besides_v)),
        )

    @cached_property
    def unweighted(self) -> pd.DataFrame:
        """Cells of edits that change words: a re-weighting by 1 changes nothing."""
        return self.cells[(self.cells["weight"] == 1) & (self.cells["kind"] != "reweight")]

    def between(self, cells: pd.DataFrame, metric: str) -> pd.DataFrame:
        """Proposed less literature, within pair, seed and whatever else is set alike; empty without the metric."""
        if metric not in cells:
            return pd.DataFrame(columns=[*_PLACE, "value"])
        by = [*_PLACE, "others"]
        first, second = (cells[cells["mark"] == mark].groupby(by)[metric].mean() for mark in KNOWN)
        return (second - first).rename("value").groupby(_PLACE).mean().reset_index()


def _weight(equalizer: dict[str, float]) -> float:
    """The one weight of an edit's words; 1 without, NaN where words have different ones."""
    weights = set(equalizer.values())
    return weights.pop() if len(weights) == 1 else float("nan") if weights else 1.0


def _precise(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    yield from _compared(evidence, "The proposed values give more precise edits", analysis.words)


def _close(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    yield from _compared(evidence, "The proposed values give a closer match between source and edit", analysis.keep)


def _compared(evidence: _Evidence, claim: str, metric: str) -> Iterator[Finding]:
    differences = evidence.between(evidence.unweighted, metric)
    faces = differences[differences["category"] == PROPOSED_FOR]
    everywhere = differences if len(faces) < len(differences) else faces[:0]
    for where, own in ((PROPOSED_FOR, faces), ("all categories", everywhere)):
        found = contrast(own)
        if found is not None:
            measure = f"{_label(metric)}, proposed less literature"
            yield Finding(f"{claim} ({where}).", measure, found, _direction(metric), _SWAP, _by_category(own))


def _geometry(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    metric = next((name for name in _GEOMETRY if name in evidence.cells), None)
    shares = _shares(evidence.unweighted, metric) if metric else pd.DataFrame(columns=[*_PLACE, "value"])
    found = contrast(shares)
    if metric and found is not None:
        first, second = (shares[name].mean() for name in _WINDOWS)
        measure = f"share of the variance of {_label(metric)}, self-replacement less cross-replacement"
        more = (
            f" Over the grid, within a source picture, self-replacement accounts for {first:.0%} of it and "
            f"cross-replacement for {second:.0%}.{_by_category(shares)}"
        )
        yield Finding("Self-attention is what adapts geometry.", measure, found, 1, _GRID, more)


def _shares(cells: pd.DataFrame, metric: str) -> pd.DataFrame:
    """For every pair and seed, the shares of two windows in the variance over a complete grid, and their difference."""
    rows = []
    for category, own in cells.groupby("category"):
        kinds = configurations(own)
        panels = make_panels(own, [metric], list(kinds.index))
        knobs = find_knobs(kinds, panels)
        scope = scopes(knobs, panels)[0]
        grid = factorial(knobs.levels, scope.there)
        names = [knobs.names[at] for at in grid.axes] if grid else []
        if grid is None or not set(_WINDOWS) <= set(names):
            continue
        values = scope.values[0][0][grid.points]
        for pair, seed in np.ndindex(values.shape[-2:]):
            array = values[..., pair, seed]
            if np.isfinite(array).all() and array.var() > 0:
                share = {names[term[0]]: value for term, value in anova(array) if len(term) == 1}
                first, second = (share[name] for name in _WINDOWS)
                place = (category, panels[0].pairs[pair], panels[0].seeds[seed])
                rows.append((*place, first, second, first - second))
    return pd.DataFrame(rows, columns=[*_PLACE, *_WINDOWS, "value"])


def _carries_over(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    cells = evidence.cells[evidence.cells["mark"].isin(list(KNOWN))]
    by = [*_PLACE, "mark"]
    slopes = cells.groupby(by).filter(lambda own: own["weight"].nunique() > 2).groupby(by)
    if "clip_score" not in cells or not len(slopes):
        return
    ranks = slopes[["weight", "clip_score"]].corr("spearman").xs("weight", level=-1)["clip_score"].unstack("mark")
    first, second = KNOWN
    if not {first, second} <= set(ranks):
        return
    found = contrast(ranks[second].rename("value").reset_index())
    gap = contrast((ranks[second] - ranks[first]).rename("value").reset_index())
    if found is not None and gap is not None:
        measure = "rank correlation of a word's weight with CLIP score, under the proposed values"
        more = f" Less that under the literature's values: {gap}."
        yield Finding("The proposed values carry over to re-weighting.", measure, found, 1, _REWEIGHT, more)


def _unstable(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    keep, sign = analysis.keep, _direction(analysis.keep)
    negative = evidence.cells[evidence.cells["weight"] < 0]
    positive = evidence.cells[(evidence.cells["weight"] > 0) & (evidence.cells["weight"] != 1)]
    below, above = (evidence.between(cells, keep).set_index(_PLACE)["value"] for cells in (negative, positive))
    excess = contrast((below - above).rename("value").reset_index())
    gaps = [contrast(gap.reset_index()) for gap in (below, above)]
    if excess is not None:
        measure = f"{_label(keep)}, proposed less literature, at negative weights less at positive ones"
        more = f" At negative weights {gaps[0]}; at positive ones {gaps[1]}."
        spread = negative.groupby(["mark", "category", "pair", "weight"])[keep].std().groupby("mark").mean().dropna()
        if set(KNOWN) <= set(spread.index):
            more += f" Spread over seeds at negative weights: {', '.join(f'{m} {spread[m]:.3f}' for m in KNOWN)}."
        claim = "Negative weights are unstable under the literature's values, less so under the proposed."
        yield Finding(claim, measure, excess, sign, _REWEIGHT, more)


def _inconsistent(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    for mode, command in (("swap", _SWAP), ("invert", _INVERT)):
        cells = evidence.unweighted[(evidence.unweighted["cycle_mode"] == mode) & evidence.unweighted["mark"].ne("")]
        if not {"cycle_lpips", "lpips"} <= set(cells) or cells["cycle_lpips"].isna().all():
            continue
        both = cells[cells["cycle_lpips"].notna()].groupby([*_PLACE, "mark"])[["cycle_lpips", "lpips"]].mean()
        excess = (both["cycle_lpips"] - CONSISTENT * both["lpips"]).rename("value").groupby(_PLACE).mean()
        found = contrast(excess.reset_index())
        if found is not None:
            each = both.groupby("mark").mean()
            sizes = ", ".join(
                f"{mark}: {row.cycle_lpips:.3f} after an edit of {row.lpips:.3f}" for mark, row in each.iterrows()
            )
            measure = "cycle LPIPS above a tenth of the edit's LPIPS"
            more = f" LPIPS between source and the picture after undoing, {sizes}.{_by_category(excess.reset_index())}"
            claim = f"The method is not cycle-consistent (cycle.mode={mode})."
            yield Finding(claim, measure, found, 1, command, more)


def _v_injection(evidence: _Evidence, analysis: Analysis) -> Iterator[Finding]:
    alike = [*_PLACE, "besides_v", *(axis for axis in AXES if axis != "v_inject_steps")]
    for mode, command in (("swap", _SWAP), ("invert", _INVERT)):
        cells = evidence.unweighted[evidence.unweighted["cycle_mode"] == mode]
        if "cycle_lpips" not in cells or cells["cycle_lpips"].isna().all():
            continue
        cells = cells.assign(k=cells["k"].fillna(-1))
        without = cells[cells["v_inject_steps"] == 0].groupby(alike)[["cycle_lpips", "lpips"]].mean()
        injected = cells[cells["v_inject_steps"] > 0].join(without.add_suffix("_without"), on=alike)
        for layers, own in injected.groupby("layers"):
            error, size = (
                own.assign(value=own[name] - own[f"{name}_without"]).groupby(_PLACE)["value"].mean().reset_index()
                for name in ("cycle_lpips", "lpips")
            )
            found, change = contrast(error), contrast(size)
            if found is not None and change is not None:
                measure = "cycle LPIPS, with V-injection less without, everything else alike"
                more = f" The edit itself changes in LPIPS by {change}.{_by_category(error)}"
                claim = f"V-injection improves cycle consistency (cycle.mode={mode}, layers {layers})."
                own_command = _GRID if (mode, layers) == ("swap", "self") else command
                yield Finding(claim, measure, found, -1, own_command, more)


_TESTS: Sequence[Callable[[_Evidence, Analysis], Iterator[Finding]]] = (
    _precise,
    _close,
    _geometry,
    _carries_over,
    _unstable,
    _inconsistent,
    _v_injection,
)


def _by_category(differences: pd.DataFrame) -> str:
    """The mean difference of every category, where there are several."""
    means = differences.groupby("category")["value"].mean()
    if len(means) < 2:
        return ""
    return " By category: " + ", ".join(f"{name} {value:+.3f}" for name, value in means.items()) + "."


def _label(metric: str) -> str:
    return f"{METRICS[metric].label} ({metric})"


def _direction(metric: str) -> Literal[1, -1]:
    return 1 if METRICS[metric].higher_is_better else -1
