"""Means, intervals and tests over prompt pairs and seeds, for many configurations at once.

The population is prompt pairs, then seeds. A mean counts every pair alike, whatever its number of seeds. Its standard
error is that of a two-level bootstrap, which draws pairs and then seeds within each, with the correction P / (P - 1)
for P pairs; for a mean it has a closed form, the limit of infinitely many resamples:

    variance = (sum_p (m_p - m)^2 / (P - 1) + mean_p(s_p^2 / S_p)) / P

with m_p the mean and s_p^2 the variance of pair p's S_p seeds. Intervals are m -+ t(P - 1) standard errors (Hesterberg,
2015, "What Teachers Should Know About the Bootstrap"). The percentiles of so few resampled pairs as a sweep has are too
narrow: of four pairs they hold the mean 75 to 80 times in 100, these 95 times or more. The second term counts noise
between seeds somewhat twice, so intervals are wide rather than narrow where seeds differ more than pairs do. One pair
tells nothing about others, and has no interval.

Comparisons take differences within pair and seed, and are Student's t-tests on the pairs' mean differences.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd
from scipy import stats
from statsmodels.stats.multitest import multipletests

LEVEL, SIGNIFICANCE = 0.95, 0.05
ALL = "all"
"""The category of rows over all categories, each counting alike; there is none where there is only one."""
Of = TypeVar("Of")


@dataclass(frozen=True)
class Panel:
    """The scores of one category.

    Attributes:
        category: its name.
        pairs: the names of its prompt pairs; `kinds` what kind of edit each is.
        seeds: those of its cells.
        values: float64 (metrics, configurations, pairs, seeds), NaN where there is no value. Configurations are the
            same in every panel; several cells of one place are averaged.
        there: bool (configurations, pairs, seeds), where a cell is drawn.
        drawn, failed: int (configurations,), cells drawn and not drawn.
        nulls: int (metrics, configurations), drawn cells without the value.
    """

    category: str
    pairs: tuple[str, ...]
    kinds: tuple[str, ...]
    seeds: tuple[int, ...]
    values: np.ndarray
    there: np.ndarray
    drawn: np.ndarray
    failed: np.ndarray
    nulls: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Means with the squares of their standard errors and degrees of freedom, arrays of one shape; NaN where none."""

    mean: np.ndarray
    variance: np.ndarray
    freedom: np.ndarray

    def at(self, place: int) -> "Estimate":
        """Those at a place of the first axis."""
        return Estimate(self.mean[place], self.variance[place], self.freedom[place])

    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of the 95% intervals; NaN where there are fewer than two pairs."""
        with np.errstate(invalid="ignore"):
            reach = stats.t.ppf((1 + LEVEL) / 2, self.freedom) * np.sqrt(self.variance)
        return self.mean - reach, self.mean + reach

    def p_values(self, sides: int = 2) -> np.ndarray:
        """Of the hypothesis that the mean is 0, against any other mean or (`sides` 1) a larger one; NaN where unknown.

        Where all pairs agree exactly the t-test has no denominator; the sign test's 2^(-degrees of freedom) stands in.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            t = self.mean / np.sqrt(self.variance)
            p = 2 * stats.t.sf(np.abs(t), self.freedom)
            exact = np.sqrt(self.variance) <= 1e-9 * np.abs(self.mean)
            p = np.where(exact, 2.0**-self.freedom, p)
            p = np.where((self.variance == 0) & (self.mean == 0), 1.0, p)
            return p if sides == 2 else np.where(self.mean > 0, p / 2, 1 - p / 2)


def make_panels(cells: pd.DataFrame, metrics: Sequence[str], config_ids: Sequence[str]) -> list[Panel]:
    """The scores of cells by category, pairs and seeds in their order."""
    place = pd.Index(config_ids)
    return [_panel(str(category), rows, metrics, place) for category, rows in cells.groupby("category")]


def estimate(values: np.ndarray, seeds: bool = True) -> Estimate:
    """Means of values of shape (..., pairs, seeds), NaN left out, as the module says.

    `seeds=False` leaves the second term of the variance out: the variance of a t-test on the pairs' means.
    """
    known = np.isfinite(values)
    counts = known.sum(-1)
    filled = np.where(known, values, 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        of_pair = filled.sum(-1) / counts
        there = counts > 0
        pairs = there.sum(-1)
        mean = np.where(there, of_pair, 0.0).sum(-1) / pairs
        squares = np.where(there, (of_pair - mean[..., None]) ** 2, 0.0).sum(-1)
        variance = squares / (pairs - 1)
        if seeds:
            spread = np.where(known, (values - of_pair[..., None]) ** 2, 0.0).sum(-1) / counts**2
            variance = variance + np.where(there, spread, 0.0).sum(-1) / pairs
        variance = np.where(pairs > 1, variance / pairs, np.nan)
    return Estimate(mean, variance, np.where(pairs > 1, pairs - 1.0, np.nan))


def with_all(categories: Mapping[str, Of]) -> list[tuple[str, list[Of]]]:
    """Every category with what belongs to it, then, where there are several, `ALL` with what belongs to any."""
    alone = [(name, [own]) for name, own in categories.items()]
    return [*alone, (ALL, list(categories.values()))] if len(alone) > 1 else alone


def mean_over(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean over an axis, NaN left out; NaN where there is nothing."""
    known = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.where(known, values, 0.0).sum(axis) / known.sum(axis)


def combine(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over categories, each counting alike, with Welch's degrees of freedom; NaN where one has no mean."""
    number = len(estimates)
    mean = sum(e.mean for e in estimates) / number
    variance = sum(e.variance for e in estimates)
    with np.errstate(invalid="ignore", divide="ignore"):
        terms = sum(e.variance**2 / e.freedom for e in estimates)
        freedom = np.where(terms > 0, variance**2 / terms, sum(e.freedom for e in estimates))
    return Estimate(np.asarray(mean), np.asarray(variance) / number**2, freedom)


def stack(estimates: Sequence[Estimate]) -> Estimate:
    """Estimates along a new first axis."""
    columns = zip(*((e.mean, e.variance, e.freedom) for e in estimates), strict=True)
    return Estimate(*(np.stack(column) for column in columns))


def holm(p_values: np.ndarray) -> np.ndarray:
    """P-values of one family, corrected by Holm's method; NaN stays NaN and counts for nothing."""
    known = np.isfinite(p_values)
    corrected = np.full(p_values.shape, np.nan)
    if known.any():
        corrected[known] = multipletests(p_values[known], method="holm")[1]
    return corrected


def clipped(interval: tuple[np.ndarray, np.ndarray], limits: str) -> tuple[np.ndarray, np.ndarray]:
    """An interval within a metric's range, such as `[0, 1]` or `[0, inf)`; as it is if that names a unit."""
    ends = re.fullmatch(r"\[(\S+), (\S+)[\])]", limits)
    if ends is None:
        return interval
    low, high = float(ends[1]), float(ends[2])
    return np.clip(interval[0], low, high), np.clip(interval[1], low, high)


def spread_over_seeds(values: np.ndarray) -> np.ndarray:
    """Standard deviation over seeds within a pair, averaged over pairs, (..., pairs, seeds) -> (...); else NaN."""
    known = np.isfinite(values)
    counts = known.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0.0).sum(-1, keepdims=True) / counts[..., None]
        deviation = np.sqrt(np.where(known, (values - mean) ** 2, 0.0).sum(-1) / (counts - 1))
        several = counts > 1
        return np.where(several, deviation, 0.0).sum(-1) / np.where(several.any(-1), several.sum(-1), np.nan)


def _panel(category: str, rows: pd.DataFrame, metrics: Sequence[str], place: pd.Index) -> Panel:
    pairs = rows.drop_duplicates("pair").sort_values("pair")
    seeds = np.sort(rows["seed"].unique())
    drawn = (rows["status"] == "ok").to_numpy()
    config = place.get_indexer(pd.Index(rows["config_id"]))
    at = (config * len(pairs) + pd.Index(pairs["pair"]).get_indexer(pd.Index(rows["pair"]))) * len(seeds)
    at = (at + np.searchsorted(seeds, rows["seed"]))[drawn]
    scores = rows.loc[drawn, list(metrics)].to_numpy("float64")
    shape = (len(place), len(pairs), len(seeds))
    values = np.stack([_averaged(at, column, shape) for column in scores.T]) if metrics else np.empty((0, *shape))
    unknown = ~np.isfinite(scores)
    return Panel(
        category,
        tuple(pairs["pair"]),
        tuple(pairs["kind"]) if "kind" in pairs else ("",) * len(pairs),
        tuple(int(seed) for seed in seeds),
        values,
        (np.bincount(at, minlength=np.prod(shape)) > 0).reshape(shape),
        np.bincount(config[drawn], minlength=len(place)),
        np.bincount(config[~drawn], minlength=len(place)),
        np.stack([np.bincount(config[drawn][column], minlength=len(place)) for column in unknown.T])
        if metrics
        else np.empty((0, len(place)), int),
    )


def _averaged(at: np.ndarray, column: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Values at flat places of an array, averaged where several stand in one."""
    known = np.isfinite(column)
    size = int(np.prod(shape))
    sums = np.bincount(at[known], column[known], minlength=size)
    counts = np.bincount(at[known], minlength=size)
    with np.errstate(invalid="ignore"):
        return (sums / counts).reshape(shape)
