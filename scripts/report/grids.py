"""The grid that configurations make: what varies, complete grids inside it, and contexts in which one thing varies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scripts.report.statistics import Panel, with_all
from sweeps.configurations import AXES

_HEADS = {head: axis for axis, head in AXES.items()}
_LEAST_SHARE = 0.5
"""Of the configurations that a complete grid inside a larger set of them must hold to stand for it."""


@dataclass(frozen=True)
class Knobs:
    """What varies between configurations, each combination of levels a point.

    Attributes:
        names: the hyperparameters, named as in the summary, or else as `configurations` heads them.
        values: of each its levels in order, as numbers; NaN where a level is none.
        texts: the same in words.
        levels: int (points, names), places in `values`.
        point: int (configurations,), the point of each.
    """

    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]
    texts: tuple[tuple[str, ...], ...]
    levels: np.ndarray
    point: np.ndarray


@dataclass(frozen=True)
class Scope:
    """A category, or all of them, of which everything is averaged, each counting alike.

    Attributes:
        category: its name.
        values: one array a category, (metrics, points, pairs, seeds).
        there: bool (points,), those drawn in every category.
    """

    category: str
    values: tuple[np.ndarray, ...]
    there: np.ndarray


def find_knobs(texts: pd.DataFrame, panels: Sequence[Panel]) -> Knobs:
    """The hyperparameters of which some source picture is drawn with two values or more.

    A setting in which configurations differ but no pair's and seed's do, such as the scales of re-weighted words where
    only some pairs have them, belongs to the pairs: it tells of them, not of itself.

    Args:
        texts: `sweeps.configurations.configurations` of the cells.
        panels: configurations in the order of `texts`.
    """
    found = []
    for head in texts.columns.drop(["mark", "configuration"], errors="ignore"):
        own = texts[head].astype(str)
        order = pd.DataFrame({"number": pd.to_numeric(own, errors="coerce"), "text": own}).drop_duplicates()
        order = order.sort_values(["number", "text"], na_position="first")
        places = pd.Index(order["text"]).get_indexer(own)
        if any(_varies(panel, places) for panel in panels):
            found.append((_HEADS.get(head, head), tuple(order["number"]), tuple(order["text"]), places))
    if not found:
        return Knobs((), (), (), np.zeros((1, 0), int), np.zeros(len(texts), int))
    names, values, words, columns = zip(*found, strict=True)
    levels, point = np.unique(np.stack(columns, axis=1), axis=0, return_inverse=True)
    return Knobs(names, values, words, levels, point.reshape(-1))


def scopes(knobs: Knobs, panels: Sequence[Panel]) -> list[Scope]:
    """Every category, then all of several, with scores by points; configurations of one point are averaged."""
    number = len(knobs.levels)
    merged = [_merged(panel.values, knobs.point, number) for panel in panels]
    drawn = [np.bincount(knobs.point, panel.drawn, minlength=number) > 0 for panel in panels]
    of_category = {panel.category: own for panel, *own in zip(panels, merged, drawn, strict=True)}
    return [
        Scope(category, tuple(values for values, _ in own), np.logical_and.reduce([there for _, there in own]))
        for category, own in with_all(of_category)
    ]


@dataclass(frozen=True)
class Factorial:
    """A complete grid: its axes (columns of the levels), the levels of each, and its points, an array of that shape."""

    axes: tuple[int, ...]
    levels: tuple[tuple[int, ...], ...]
    points: np.ndarray


def factorial(levels: np.ndarray, there: np.ndarray) -> Factorial | None:
    """The complete grid among points, found by dropping those levels that the fewest of their combinations have.

    Args:
        levels: int (points, hyperparameters).
        there: bool (points,), those that count.

    Returns:
        None if it would have fewer than two axes, or fewer than half of the points.
    """
    places = np.flatnonzero(there)
    while len(places):
        rows = levels[places]
        sizes = [len(np.unique(column)) for column in rows.T]
        if len(places) == int(np.prod(sizes)):
            break
        filled = [
            (count * size / np.prod(sizes), -at, level)
            for at, (column, size) in enumerate(zip(rows.T, sizes, strict=True))
            if size > 1
            for level, count in zip(*np.unique(column, return_counts=True), strict=True)
        ]
        _, at, level = min(filled)
        places = places[rows[:, -at] != level]
    axes = tuple(at for at, column in enumerate(levels[places].T) if len(np.unique(column)) > 1)
    if len(axes) < 2 or len(places) < _LEAST_SHARE * there.sum():
        return None
    own = [np.unique(levels[places, at]) for at in axes]
    order = np.lexsort(levels[places][:, axes[::-1]].T)
    shape = [len(values) for values in own]
    return Factorial(axes, tuple(tuple(map(int, values)) for values in own), places[order].reshape(shape))


def members(levels: np.ndarray, there: np.ndarray, at: int) -> tuple[list[int], np.ndarray] | None:
    """The points that tell what one hyperparameter does, everything else being equal.

    A context is what the other hyperparameters are. Those contexts are taken that have one and the same set of levels;
    of all such sets the one that most points belong to. On a complete grid these are all points; with one
    hyperparameter at a time around a centre, those at the centre.

    Args:
        levels: int (points, hyperparameters).
        there: bool (points,), those that count.
        at: which hyperparameter.

    Returns:
        the levels, and the points, int (levels, contexts); None if nothing varies along this one alone.
    """
    places = np.flatnonzero(there)
    rows = levels[places]
    _, context = np.unique(np.delete(rows, at, axis=1), axis=0, return_inverse=True)
    order = np.lexsort((rows[:, at], context.reshape(-1)))
    cuts = np.flatnonzero(np.diff(context.reshape(-1)[order])) + 1
    sets: dict[tuple[int, ...], list[np.ndarray]] = {}
    for own in np.split(places[order], cuts):
        sets.setdefault(tuple(levels[own, at].tolist()), []).append(own)
    several = {found: points for found, points in sets.items() if len(found) > 1}
    if not several:
        return None
    best = max(several, key=lambda found: (len(found) * len(several[found]), len(found)))
    return list(best), np.stack(several[best], axis=1)


def _merged(values: np.ndarray, point: np.ndarray, number: int) -> np.ndarray:
    """Scores by configuration as scores by point, (metrics, points, pairs, seeds)."""
    if number == len(point):
        return values[:, np.argsort(point)]
    known = np.isfinite(values)
    order = np.argsort(point, kind="stable")
    starts = np.searchsorted(point[order], np.arange(number))
    sums = np.add.reduceat(np.where(known, values, 0.0)[:, order], starts, axis=1)
    with np.errstate(invalid="ignore"):
        return sums / np.add.reduceat(known[:, order], starts, axis=1, dtype=int)


def _varies(panel: Panel, places: np.ndarray) -> bool:
    """Whether some pair and seed is drawn at two places."""
    lowest = np.where(panel.there, places[:, None, None], len(places)).min(0)
    highest = np.where(panel.there, places[:, None, None], -1).max(0)
    return bool((lowest < highest).any())
