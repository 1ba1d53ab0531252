"""What each hyperparameter does: marginal curves, two-way maps, shares of variance."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from metrics.registry import Metric
from scripts.report.analysis import ALL, Analysis
from scripts.report.figures.style import (
    INK,
    OKABE_ITO,
    TWO_COLUMNS,
    axis_label,
    category_styles,
    legend_above,
    metric_label,
)
from scripts.report.tables import leading_terms, term_name
from scripts.report.views import value_name
from sweeps.configurations import AXES

_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++", "oo")
_TERMS = 7
_MEANS, _DIVERGING = "cividis", "PuOr"
_Style = Mapping[str, object]
_PAIRS = (("cross_replace_steps", "self_replace_steps"), ("k", "v_inject_steps"))
"""The pairs that are also drawn by category, where the sweep has them."""


def curves(analysis: Analysis, metrics: Sequence[Metric], categories: Sequence[str]) -> Figure | None:
    """Marginal means: rows are metrics, columns hyperparameters, lines categories; the interval is of all of them."""
    whole = ALL if ALL in categories else categories[0]
    wanted = [(metric_label(metric), metric.name, categories) for metric in metrics]
    return _curves(analysis.marginal, wanted, category_styles(categories), (whole,))


def curves_by_category(analysis: Analysis, metric: Metric, categories: Sequence[str]) -> Figure | None:
    """Marginal means of one metric with intervals: rows are categories, columns hyperparameters."""
    wanted = [(f"{_name(category)}\n{metric_label(metric)}", metric.name, (category,)) for category in categories]
    return _curves(analysis.marginal, wanted, category_styles(categories), categories) if len(categories) > 1 else None


def heat_maps(analysis: Analysis, metric: Metric, category: str) -> Figure | None:
    """Means over every pair of hyperparameters, the numbers in the fields, one colour scale for all."""
    found = analysis.two_way
    own = found[(found["metric"] == metric.name) & (found["category"] == category)]
    pairs = _pairs(own)
    if not pairs:
        return None
    columns = min(3, len(pairs))
    lines = math.ceil(len(pairs) / columns)
    figure = Figure(figsize=(TWO_COLUMNS, 2.25 * lines + 0.35), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False)
    norm = Normalize(own["mean"].min(), own["mean"].max())
    for axes, pair in zip(grid.flat, pairs, strict=False):
        _map(axes, own, pair, norm, metric.digits)
    for axes in list(grid.flat)[len(pairs) :]:
        axes.set_axis_off()
    _bar(figure, grid, norm, f"{metric_label(metric)}, {_name(category)}")
    return figure


def heat_by_category(analysis: Analysis, metric: Metric, categories: Sequence[str]) -> Figure | None:
    """The chosen pairs of hyperparameters by category, as differences from the category's mean."""
    found = analysis.two_way
    own = found[(found["metric"] == metric.name) & found["category"].isin(categories)]
    pairs = [pair for pair in _pairs(own) if pair in _PAIRS] or _pairs(own)[:2]
    names = [category for category in categories if (own["category"] == category).any()]
    if not pairs or len(names) < 2:
        return None
    centred = own.assign(mean=own["mean"] - own.groupby(["category", "first", "second"])["mean"].transform("mean"))
    figure = Figure(figsize=(TWO_COLUMNS, 1.5 * len(pairs) + 0.2), layout="constrained")
    grid = figure.subplots(len(pairs), len(names), squeeze=False)
    for panels, pair in zip(grid, pairs, strict=True):
        rows = centred[(centred["first"] == pair[0]) & (centred["second"] == pair[1])]
        reach = float(rows["mean"].abs().max()) or 1.0
        norm = Normalize(-reach, reach)
        for axes, category in zip(panels, names, strict=True):
            _map(axes, rows[rows["category"] == category], pair, norm, None)
            axes.set_title(_name(category) if pair == pairs[0] else "")
            if category != names[0]:
                axes.set_ylabel("")
                axes.set_yticklabels([])
        _bar(figure, panels, norm, f"{metric_label(metric)}\nless its mean", _DIVERGING)
    return figure


def variance(analysis: Analysis, metrics: Sequence[Metric], categories: Sequence[str]) -> Figure | None:
    """Shares of variance as stacked bars: a panel a category, a bar a metric."""
    found = analysis.shares
    names = [category for category in categories if (found["category"] == category).any()]
    shown = [metric for metric in metrics if (found["metric"] == metric.name).any()]
    if not names or not shown:
        return None
    terms = leading_terms(found, _TERMS)
    columns = min(3, len(names))
    lines = math.ceil(len(names) / columns)
    figure = Figure(figsize=(TWO_COLUMNS, lines * (0.17 * len(shown) + 0.45) + 0.6), layout="constrained")
    grid = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axes, category in zip(grid.flat, names, strict=False):
        wide = found[found["category"] == category].pivot(index="metric", columns="term", values="share")
        _bars(axes, wide, shown, terms)
        axes.set_title(_name(category))
    for axes in list(grid.flat)[len(names) :]:
        axes.set_axis_off()
    for axes in grid[-1]:
        axes.set_xlabel("share of variance")
    legend_above(figure, grid[0, 0], 4)
    return figure


def _curves(
    found: pd.DataFrame,
    wanted: Sequence[tuple[str, str, Sequence[str]]],
    styles: Mapping[str, _Style],
    banded: Sequence[str],
) -> Figure | None:
    """A row of panels for each label, metric and categories wanted; intervals of those `banded`."""
    by = {
        key: rows for key, rows in found.groupby(["metric", "category", "hyperparameter"]) if rows["mean"].notna().any()
    }
    there = {(metric, category) for metric, category, _ in by}
    shown = [one for one in wanted if any((one[1], category) in there for category in one[2])]
    names = _hyperparameters(found)
    if not shown or not names:
        return None
    figure = Figure(figsize=(TWO_COLUMNS, 1.2 * len(shown) + 0.6), layout="constrained")
    grid = figure.subplots(len(shown), len(names), sharex="col", sharey="row", squeeze=False)
    for panels, (label, metric, categories) in zip(grid, shown, strict=True):
        panels[0].set_ylabel(label)
        panels[0].set_ylim(*_reach([rows for key, rows in by.items() if key[0] == metric and key[1] in categories]))
        for axes, name in zip(panels, names, strict=True):
            places = _places(found[found["hyperparameter"] == name])
            for category in categories:
                if (rows := by.get((metric, category, name))) is not None:
                    _curve(axes, rows, places, category, styles[category], category in banded)
            axes.set_xticks(list(places.values()), list(places))
            axes.grid(axis="y", color="0.92", linewidth=0.6)
    for axes, name in zip(grid[-1], names, strict=True):
        axes.set_xlabel(axis_label(name))
    if any(len(categories) > 1 for _, _, categories in shown):
        legend_above(figure, max(grid.flat, key=lambda axes: len(axes.get_lines())), len(styles))
    return figure


def _reach(rows: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """Limits that show how means change: intervals farther off than the means are apart run out of the panel."""
    means, lows, highs = (pd.concat([one[name] for one in rows]) for name in ("mean", "low", "high"))
    apart = means.max() - means.min() or 0.01
    low, high = means.min() - apart, means.max() + apart
    margin = 0.08 * apart
    return max(low, np.fmin(lows, means).min()) - margin, min(high, np.fmax(highs, means).max()) + margin


def _curve(
    axes: Axes, rows: pd.DataFrame, places: Mapping[str, float], category: str, style: _Style, band: bool
) -> None:
    at = rows["text"].map(places)
    rows = rows.assign(at=at).sort_values("at")
    axes.plot(rows["at"], rows["mean"], label=_name(category), **style)  # type: ignore[arg-type]
    if band:
        axes.fill_between(rows["at"], rows["low"], rows["high"], color=str(style["color"]), alpha=0.15, linewidth=0)


def _places(rows: pd.DataFrame) -> dict[str, float]:
    """Where a hyperparameter's values stand on an axis: numbers at their place, no blend one step before the smallest.

    Where several values are words, all stand at equal distances.
    """
    levels = rows[["value", "text"]].drop_duplicates().sort_values(["value", "text"], na_position="first")
    if levels["value"].isna().sum() > 1:
        return {str(text): float(at) for at, text in enumerate(levels["text"])}
    known = levels["value"].dropna().to_numpy()
    step = float(np.diff(known).min()) if len(known) > 1 else 1.0
    values = levels["value"].fillna((known[0] if len(known) else 0.0) - step)
    return dict(zip(levels["text"].astype(str), values, strict=True))


def _map(axes: Axes, own: pd.DataFrame, pair: tuple[str, str], norm: Normalize, digits: int | None) -> None:
    rows = own[(own["first"] == pair[0]) & (own["second"] == pair[1])]
    firsts, seconds = (
        pd.Series(rows[name].unique()).sort_values(na_position="first").to_list()
        for name in ("first_value", "second_value")
    )
    values = np.full((len(firsts), len(seconds)), np.nan)
    for first, second, mean in zip(rows["first_value"], rows["second_value"], rows["mean"], strict=True):
        values[_index(firsts, first), _index(seconds, second)] = mean
    axes.imshow(values, cmap=_DIVERGING if digits is None else _MEANS, norm=norm, aspect="auto", origin="lower")
    every = 2 if digits is None and len(seconds) > 3 else 1
    axes.set_xticks(range(0, len(seconds), every), [value_name(value) for value in seconds[::every]])
    axes.set_yticks(range(len(firsts)), [value_name(value) for value in firsts])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(axis_label(pair[1]))
    axes.set_ylabel(axis_label(pair[0]))
    if digits is None:
        return
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            ink = "white" if norm(value) < 0.5 else INK
            axes.text(column, row, _short(value, digits), ha="center", va="center", fontsize=7, color=ink)


def _bar(figure: Figure, grid: np.ndarray, norm: Normalize, label: str, colours: str = _MEANS) -> None:
    panels = list(grid.flat)
    bar = figure.colorbar(ScalarMappable(norm, colormaps[colours]), ax=panels, fraction=0.03, pad=0.01, aspect=30)
    bar.set_label(label)
    bar.outline.set_visible(False)


def _bars(axes: Axes, wide: pd.DataFrame, metrics: Sequence[Metric], terms: Sequence[str]) -> None:
    known = wide.reindex(index=[metric.name for metric in metrics])
    parts = known.reindex(columns=list(terms)).fillna(0.0)
    rest = (known.sum(axis=1) - parts.sum(axis=1)).clip(lower=0)
    lefts = np.zeros(len(metrics))
    places = np.arange(len(metrics))
    for place, term in enumerate(terms):
        color, hatch = OKABE_ITO[place % len(OKABE_ITO)], _HATCHES[place % len(_HATCHES)]
        style = {"color": color, "hatch": hatch, "edgecolor": "white", "linewidth": 0.4}
        axes.barh(places, parts[term], left=lefts, label=term_name(term), height=0.78, **style)  # type: ignore[arg-type]
        lefts += parts[term].to_numpy()
    axes.barh(places, rest, left=lefts, label="other interactions", height=0.78, color="0.85")
    axes.set_yticks(places, [metric.label for metric in metrics])
    axes.set(xlim=(0, 1), ylim=(len(metrics) - 0.4, -0.6))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def _hyperparameters(found: pd.DataFrame) -> list[str]:
    varied = found.groupby("hyperparameter")["text"].nunique()
    there = [str(name) for name in varied.index[varied > 1]]
    return [*(axis for axis in AXES if axis in there), *(name for name in there if name not in AXES)]


def _pairs(own: pd.DataFrame) -> list[tuple[str, str]]:
    """The pairs of hyperparameters with means, those whose values are numbers."""
    there = own[own["mean"].notna()]
    keys = ["category", "metric", "first", "second"]
    doubled = there[there.duplicated([*keys, "first_value", "second_value"])]
    wordy = set(zip(doubled["first"], doubled["second"], strict=True))
    pairs = dict.fromkeys(zip(there["first"], there["second"], strict=True))
    return [(str(first), str(second)) for first, second in pairs if (first, second) not in wordy]


def _index(values: Sequence[float], value: float) -> int:
    return next(at for at, one in enumerate(values) if one == value or (math.isnan(one) and math.isnan(value)))


def _short(value: float, digits: int) -> str:
    """At most four characters or so: a field holds no more."""
    text = f"{value:.{min(digits, 2) if abs(value) < 10 else 1}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _name(category: str) -> str:
    return "all categories" if category == ALL else category
