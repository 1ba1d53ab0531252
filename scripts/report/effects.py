"""What each hyperparameter does to each score: marginal curves, two-way means, shares of variance, dead knobs."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from scripts.report.grids import Knobs, Scope, factorial, members
from scripts.report.statistics import ALL, Estimate, combine, estimate, mean_over, stack

_MOST_AXES = 10
"""Functional ANOVA has 2^axes terms."""


def marginal_table(knobs: Knobs, found: Sequence[Scope], metrics: Sequence[str]) -> pd.DataFrame:
    """Mean scores by the value of one hyperparameter, averaged over the others; see `members`.

    Values are compared over the same cells: what lacks a score at one of them counts at none.

    Columns: those of `Analysis.marginal`, and `text`, the value in words.
    """
    parts = []
    for scope, (at, name) in itertools.product(found, enumerate(knobs.names)):
        places = members(knobs.levels, scope.there, at)
        if places is None:
            continue
        levels, points = places
        curves = [_complete(values[:, points]) for values in scope.values]
        averaged = over_categories([mean_over(own, 2) for own in curves])
        low, high = averaged.interval()
        numbers = sum(np.isfinite(own).sum((2, 3, 4)) for own in curves)
        columns = {
            "value": _spread(np.array(knobs.values[at])[levels], 1, low.shape),
            "text": _spread(np.array(knobs.texts[at], object)[levels], 1, low.shape),
            "metric": _spread(np.array(metrics, object), 0, low.shape),
            "mean": averaged.mean,
            "low": low,
            "high": high,
            "n": numbers,
        }
        parts.append(_table({"category": scope.category, "hyperparameter": name}, columns))
    heads = ["category", "hyperparameter", "value", "text", "metric", "mean", "low", "high", "n"]
    return _joined(parts, heads)


def two_way_table(knobs: Knobs, found: Sequence[Scope], metrics: Sequence[str]) -> pd.DataFrame:
    """The table `Analysis.two_way`, over the complete grid inside the sweep; see `factorial`."""
    parts = []
    for scope in found:
        grid = factorial(knobs.levels, scope.there)
        if grid is None:
            continue
        means, numbers = _grid_means(scope, grid.points)
        for a, b in itertools.combinations(range(len(grid.axes)), 2):
            others = tuple(1 + at for at in range(len(grid.axes)) if at not in (a, b))
            mean = means.mean(others)
            first, second = (np.array(knobs.values[grid.axes[at]])[list(grid.levels[at])] for at in (a, b))
            columns = {
                "metric": _spread(np.array(metrics, object), 0, mean.shape),
                "first": np.full(mean.shape, knobs.names[grid.axes[a]], object),
                "first_value": _spread(first, 1, mean.shape),
                "second": np.full(mean.shape, knobs.names[grid.axes[b]], object),
                "second_value": _spread(second, 2, mean.shape),
                "mean": mean,
                "n": numbers.sum(others),
            }
            parts.append(_table({"category": scope.category}, columns))
    return _joined(parts, ["category", "metric", "first", "first_value", "second", "second_value", "mean", "n"])


def shares_table(knobs: Knobs, found: Sequence[Scope], metrics: Sequence[str]) -> pd.DataFrame:
    """Shares of the variance of mean scores over configurations, by functional ANOVA (Hoos et al., 2014, section 3).

    The grid is complete, so the decomposition into main effects and interactions of all orders is exact and shares sum
    to 1. They are of means over pairs and seeds: what those still carry of noise counts with the highest interactions.
    Empty where there is no complete grid, and for scores that are the same everywhere.
    """
    parts = []
    for scope in found:
        grid = factorial(knobs.levels, scope.there)
        if grid is None or len(grid.axes) > _MOST_AXES:
            continue
        means, _ = _grid_means(scope, grid.points)
        for metric, array in zip(metrics, means, strict=True):
            total = array.var()
            if np.isfinite(total) and total > 1e-14 * np.square(array).mean():
                terms = [(" x ".join(knobs.names[grid.axes[at]] for at in term), share) for term, share in anova(array)]
                rows = pd.DataFrame(terms, columns=["term", "share"])
                parts.append(
                    rows.assign(category=scope.category, metric=metric, order=rows["term"].str.count(" x ") + 1)
                )
    return _joined(parts, ["category", "metric", "term", "share", "order"])[["category", "metric", "term", "share"]]


def step_table(knobs: Knobs, cells: pd.DataFrame, config_ids: pd.Index) -> pd.DataFrame:
    """How often one step along a hyperparameter, everything else being equal, leaves the pictures as they are.

    Edits of the same pair and seed are compared byte for byte, with what undoing them gives, by the pixels' hashes.
    Columns: category, hyperparameter, first, second (levels of `Knobs`, neighbours there), identical (share), n.
    """
    rows = cells[(cells["status"] == "ok") & cells["target_hash"].notna()] if "target_hash" in cells else cells[:0]
    picture = (
        rows.groupby(["target_hash", "cycle_hash"], dropna=False).ngroup().to_numpy() if len(rows) else np.empty(0)
    )
    levels = knobs.levels[knobs.point[config_ids.get_indexer(pd.Index(rows["config_id"]))]]
    unit = rows.groupby(["category", "pair", "seed"]).ngroup().to_numpy()
    category = rows["category"].to_numpy()
    parts = []
    for at, name in enumerate(knobs.names):
        others = np.column_stack([unit, np.delete(levels, at, axis=1)])
        order = np.lexsort((levels[:, at], *others.T[::-1]))
        before, after = order[:-1], order[1:]
        step = (others[before] == others[after]).all(1) & (levels[before, at] != levels[after, at])
        before, after = before[step], after[step]
        same = picture[before] == picture[after]
        table = pd.DataFrame({"category": category[before], "first": levels[before, at], "second": levels[after, at]})
        parts.append(table.assign(hyperparameter=name, identical=same))
    heads = ["category", "hyperparameter", "first", "second"]
    steps = _joined(parts, [*heads, "identical"]).groupby(heads)["identical"].agg(["mean", "size"])
    return steps.reset_index().rename(columns={"mean": "identical", "size": "n"})


def dead_table(steps: pd.DataFrame) -> pd.DataFrame:
    """The table `Analysis.dead` of a `step_table`; a hyperparameter is dead where no step changes a picture."""
    counted = steps.assign(same=steps["identical"] * steps["n"])
    sums = counted.groupby(["hyperparameter", "category"])[["same", "n"]].sum()
    own = (sums["same"] / sums["n"]).rename("identical").reset_index()
    every = own.groupby("hyperparameter")["identical"].mean().reset_index().assign(category=ALL)
    parts = [own, every] if own["category"].nunique() > 1 else [own]
    table = pd.concat(parts, ignore_index=True)[["category", "hyperparameter", "identical"]]
    return table.assign(dead=table["identical"] > 1 - 1e-9)


def anova(array: np.ndarray) -> Iterator[tuple[tuple[int, ...], float]]:
    """The share of an array's variance that belongs to each set of its axes, lower orders first; they sum to 1."""
    total = array.var()
    for order in range(1, array.ndim + 1):
        for term in itertools.combinations(range(array.ndim), order):
            part = array
            for axis in range(array.ndim):
                mean = part.mean(axis, keepdims=True)
                part = part - mean if axis in term else mean
            yield term, float(np.square(part).mean() / total)


def over_categories(values: Sequence[np.ndarray], seeds: bool = True) -> Estimate:
    """Estimates of one array a category, (metrics, ..., pairs, seeds), averaged over those that have the metric."""
    estimates = [estimate(own, seeds) for own in values]
    has = [np.isfinite(own.mean).any(tuple(range(1, own.mean.ndim))) for own in estimates]
    rows = [
        combine([own.at(m) for own, there in zip(estimates, has, strict=True) if there[m]] or [estimates[0].at(m)])
        for m in range(len(estimates[0].mean))
    ]
    return stack(rows) if rows else estimates[0]


def _complete(values: np.ndarray) -> np.ndarray:
    """Values (metrics, levels, contexts, pairs, seeds) without those that lack a level, if any has that level."""
    known = np.isfinite(values)
    asked = known.any((2, 3, 4), keepdims=True)
    return np.where((known | ~asked).all(1, keepdims=True), values, np.nan)


def _grid_means(scope: Scope, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means over pairs and seeds of a grid's points, (metrics, *grid), and the numbers of values in them.

    Where a source picture lacks the value at some points, its level must not pass for theirs: every source picture
    counts by how far it is from its own mean over the grid.
    """
    means, numbers = [], np.zeros((), int)
    for values in scope.values:
        own = values[:, points.reshape(-1)]
        level = mean_over(own, 1)[:, None]
        centred = estimate(own - level).mean + estimate(level).mean
        means.append(centred)
        numbers = numbers + np.isfinite(own).sum((2, 3))
    averaged = mean_over(np.stack(means), 0)
    lacking = np.stack([~np.isfinite(own) & np.isfinite(own).any(1, keepdims=True) for own in means]).any(0)
    averaged = np.where(lacking, np.nan, averaged)
    return averaged.reshape(-1, *points.shape), np.asarray(numbers).reshape(-1, *points.shape)


def _spread(values: np.ndarray, axis: int, shape: tuple[int, ...]) -> np.ndarray:
    """A vector along one axis of a larger array."""
    return np.broadcast_to(values.reshape([-1 if at == axis else 1 for at in range(len(shape))]), shape)


def _table(fixed: Mapping[str, str], columns: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """Arrays of one shape as columns, without the rows that rest on no value."""
    there = np.asarray(columns["n"]) > 0
    return pd.DataFrame({name: values[there] for name, values in columns.items()}).assign(**fixed)


def _joined(parts: Sequence[pd.DataFrame], heads: Sequence[str]) -> pd.DataFrame:
    return pd.concat(parts, ignore_index=True)[list(heads)] if parts else pd.DataFrame(columns=list(heads))
