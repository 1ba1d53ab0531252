"""Configurations against each other: mean scores, the best and what cannot be told from it, literature and proposed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from metrics.registry import Metric
from scripts.report.statistics import (
    SIGNIFICANCE,
    Estimate,
    Panel,
    clipped,
    combine,
    estimate,
    holm,
    spread_over_seeds,
    with_all,
)
from sweeps.configurations import KNOWN, in_one_line, other_settings


def scores_table(panels: Sequence[Panel], metrics: Sequence[Metric], config_ids: Sequence[str]) -> pd.DataFrame:
    """The table `Analysis.scores`.

    A configuration is marked `tied` unless the best one is better by a paired t-test at 5%, one-sided, corrected by
    Holm's method over all configurations of the category: the truly best one is then lost in at most one case in
    twenty, although the best mean was picked out by its value (Hsu, 1981). The best is sought among the configurations
    with the most pairs, and one without a pair in common with it is not compared.
    """
    parts = [
        _scores(category, own, place, metric, config_ids)
        for category, own in with_all({panel.category: panel for panel in panels})
        for place, metric in enumerate(metrics)
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=_SCORES)


def comparison_table(panels: Sequence[Panel], metrics: Sequence[Metric], kinds: pd.DataFrame) -> pd.DataFrame:
    """The table `Analysis.comparison`, with `setting`: what else differs between configurations, in words.

    Differences are proposed less literature, of the same pair and seed; p is of a two-sided paired t-test on pairs'
    mean differences, p_corrected by Holm's method over the whole table. The effect size is Cohen's d of the pairs' mean
    differences with Hedges' correction for few pairs (Lakens, 2013, eq. 6 and 4), over categories their mean; NaN where
    all pairs agree exactly.
    """
    rows = [
        _compared(category, own, place, metric.name, setting, places)
        for category, own in with_all({panel.category: panel for panel in panels})
        for setting, places in _twins(kinds)
        for place, metric in enumerate(metrics)
    ]
    table = pd.DataFrame([row for row in rows if row is not None], columns=_COMPARISON)
    table["p_corrected"] = holm(table["p"].to_numpy("float64"))
    return table


def robustness_table(panels: Sequence[Panel], metrics: Sequence[Metric], config_ids: Sequence[str]) -> pd.DataFrame:
    """The table `Analysis.robustness`; empty where there is one seed alone."""
    each = {panel.category: spread_over_seeds(panel.values) for panel in panels}
    spreads = {category: _over_those_having(own) for category, own in with_all(each)}
    index = pd.MultiIndex.from_product([list(spreads), [metric.name for metric in metrics], list(config_ids)])
    values = np.concatenate([own.reshape(-1) for own in spreads.values()])
    table = pd.DataFrame({"value": values}, index=index.set_names(["category", "metric", "config_id"])).reset_index()
    return table.dropna()[["category", "config_id", "metric", "value"]].reset_index(drop=True)


_SCORES = [
    "category",
    "config_id",
    "metric",
    "mean",
    "low",
    "high",
    "n",
    "pairs",
    "seeds",
    "nulls",
    "failed",
    "best",
    "tied",
]
_COMPARISON = [
    "category",
    "metric",
    "setting",
    "literature",
    "proposed",
    "difference",
    "low",
    "high",
    "p",
    "p_corrected",
    "effect_size",
    "pairs",
    "seeds",
]


def _scores(
    category: str, panels: Sequence[Panel], place: int, metric: Metric, config_ids: Sequence[str]
) -> pd.DataFrame:
    """A category's rows of one metric; over several, of those that have it."""
    values = [panel.values[place] for panel in panels]
    having = [own for own in values if np.isfinite(own).any()] or values[:1]
    averaged = combine([estimate(own) for own in having])
    low, high = clipped(averaged.interval(), metric.range)
    known = [np.isfinite(own) for own in having]
    pairs = sum(own.any(2).sum(1) for own in known)
    best, tied = _best(having, averaged.mean, pairs, metric.higher_is_better)
    drawn, failed = (sum(getattr(panel, name) for panel in panels) for name in ("drawn", "failed"))
    table = pd.DataFrame(
        {
            "category": category,
            "config_id": list(config_ids),
            "metric": metric.name,
            "mean": averaged.mean,
            "low": low,
            "high": high,
            "n": sum(own.sum((1, 2)) for own in known),
            "pairs": pairs,
            "seeds": np.max([own.any(1).sum(1) for own in known], axis=0),
            "nulls": sum(panel.nulls[place] for panel in panels),
            "failed": failed,
            "best": best,
            "tied": tied,
        }
    )
    return table[np.asarray(drawn) + np.asarray(failed) > 0]


def _over_those_having(spreads: Sequence[np.ndarray]) -> np.ndarray:
    """The mean over categories of spreads (metrics, configurations), of each metric over those that have it."""
    having = np.stack([np.isfinite(own).any(1, keepdims=True) for own in spreads])
    with np.errstate(invalid="ignore"):
        return np.where(having, np.stack(spreads), 0.0).sum(0) / having.sum(0)


def _best(
    values: Sequence[np.ndarray], mean: np.ndarray, pairs: Any, higher: bool | None
) -> tuple[np.ndarray, np.ndarray]:
    """Which configurations have the best mean, and which cannot be told from it."""
    nothing = np.zeros(len(mean), bool)
    eligible = np.isfinite(mean) & (pairs == np.max(np.where(np.isfinite(mean), pairs, 0)))
    if higher is None or not eligible.any():
        return nothing, nothing
    sign = 1.0 if higher else -1.0
    top = (sign * mean)[eligible].max()
    best = eligible & (sign * mean >= top - 1e-9 * max(abs(top), 1e-9))
    first = int(np.flatnonzero(best)[0])
    gaps = [sign * (own[first] - own) for own in values]
    p = combine([estimate(gap, seeds=False) for gap in gaps]).p_values(sides=1)
    shared = np.logical_or.reduce([np.isfinite(gap).any((1, 2)) for gap in gaps])
    p[first] = np.nan
    tied = shared & np.isfinite(mean) & ~(holm(p) < SIGNIFICANCE)
    return best, tied | best


def _twins(kinds: pd.DataFrame) -> list[tuple[str, tuple[int, int]]]:
    """The places of literature's and proposed values by what else is set, in words where that differs."""
    settings = in_one_line(other_settings(kinds))
    places: dict[str, dict[str, int]] = {}
    for place, (setting, mark) in enumerate(zip(settings, kinds["mark"], strict=True)):
        if mark:
            places.setdefault(setting, {}).setdefault(mark, place)
    first, second = KNOWN
    return [(setting, (own[first], own[second])) for setting, own in places.items() if len(own) == 2]


def _compared(
    category: str, panels: Sequence[Panel], place: int, metric: str, setting: str, places: tuple[int, int]
) -> dict[str, Any] | None:
    """A row of the comparison; None where no pair and seed has both."""
    both = [panel.values[place][list(places)] for panel in panels]
    both = [np.where(np.isfinite(own).all(0), own, np.nan) for own in both]
    both = [own for own in both if np.isfinite(own).any()]
    if not both:
        return None
    differences = [own[1] - own[0] for own in both]
    each = [estimate(own, seeds=False) for own in differences]
    found = combine(each)
    low, high = found.interval()
    first, second = combine([estimate(own) for own in both]).mean
    known = [np.isfinite(own) for own in differences]
    return {
        "category": category,
        "metric": metric,
        "setting": setting,
        "literature": first,
        "proposed": second,
        "difference": float(found.mean),
        "low": float(low),
        "high": float(high),
        "p": float(found.p_values()),
        "effect_size": float(np.mean([_hedges(own) for own in each])),
        "pairs": int(sum(own.any(1).sum() for own in known)),
        "seeds": int(max(own.any(0).sum() for own in known)),
    }


def _hedges(differences: Estimate) -> float:
    """Cohen's d of paired differences, times Hedges' correction in its exact form."""
    freedom = float(differences.freedom)
    deviation = float(np.sqrt(differences.variance * (freedom + 1)))
    if not deviation > 1e-9 * abs(float(differences.mean)):
        return float("nan")
    correction = np.exp(special.gammaln(freedom / 2) - special.gammaln((freedom - 1) / 2)) / np.sqrt(freedom / 2)
    return float(differences.mean / deviation * (correction if freedom > 1 else 1.0))
