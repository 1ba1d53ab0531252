"""What each hyperparameter does: marginal curves, two-way maps, shares of variance."""

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
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
_PAIRS = (("cross_replace_steps", "self_replace_steps"), ("k", "v_inject_steps"))
"""The pairs that are also drawn by category, where the sweep has them."""


def curves(analysis: Analysis, metrics: Sequence[Metric], categories: Sequence[str]) -> Figure | None:
    """Marginal means with intervals: rows are metrics, columns hyperparameters, lines categories."""
    found = analysis.marginal
    shown = [metric for metric in metrics if (found["metric"] == metric.name).any()]
    axes_names = _hyperparameters(found)
    if not shown or not axes_names:
        return None
    size = (TWO_COLUMNS, 1.25 * len(shown) + 0.6)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(shown), len(axes_names), sharex="col", sharey="row", squeeze=False)
    styles = category_styles(categories)
    by = dict(iter(found.groupby(["metric", "hyperparameter", "category"])))
    for panels, metric in zip(grid, shown, strict=True):
        panels[0].set_ylabel(metric_label(metric))
        for axes, name in zip(panels, axes_names, strict=True):
            for category in categories:
                rows = by.get((metric.name, name, category))
                if rows is not None and rows["mean"].notna().any():
                    _curve(axes, rows.sort_values("value", na_position="first"), category, styles[category])
            _ticks(axes, found.loc[found["hyperparameter"] == name, "value"])
            axes.grid(axis="y", color="0.92", linewidth=0.6)
    for axes, name in zip(grid[-1], axes_names, strict=True):
        axes.set_xlabel(axis_label(name))
    legend_above(figure, max(grid.flat, key=lambda axes: len(axes.get_lines())), len(categories))
    return figure


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
    figure = Figure(figsize=(TWO_COLUMNS, 1.45 * len(pairs) + 0.5), layout="constrained")
    grid = figure.subplots(len(pairs), len(names), squeeze=False)
    reach = float(centred["mean"].abs().max()) or 1.0
    norm = Normalize(-reach, reach)
    for panels, pair in zip(grid, pairs, strict=True):
        for axes, category in zip(panels, names, strict=True):
            _map(axes, centred[centred["category"] == category], pair, norm, None)
            axes.set_ylabel(axis_label(pair[0]) if category == names[0] else "")
            axes.set_title(category if pair == pairs[0] else "")
    _bar(figure, grid, norm, f"{metric_label(metric)}, less the category's mean")
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


def _curve(axes: Axes, rows: pd.DataFrame, category: str, style: dict[str, object]) -> None:
    places = _places(rows["value"])
    axes.plot(places, rows["mean"], label=_name(category), **style)  # type: ignore[arg-type]
    axes.fill_between(places, rows["low"], rows["high"], color=str(style["color"]), alpha=0.13, linewidth=0)


def _places(values: pd.Series) -> pd.Series:
    """Where values stand on an axis; no blend stands one step before the smallest."""
    known = np.sort(values.dropna().unique())
    step = float(np.diff(known).min()) if len(known) > 1 else 1.0
    return values.fillna((known[0] if len(known) else 0.0) - step)


def _ticks(axes: Axes, values: pd.Series) -> None:
    unique = pd.Series(values.unique()).sort_values(na_position="first")
    axes.set_xticks(_places(unique), [value_name(value) for value in unique])


def _map(axes: Axes, own: pd.DataFrame, pair: tuple[str, str], norm: Normalize, digits: int | None) -> None:
    rows = own[(own["first"] == pair[0]) & (own["second"] == pair[1])]
    firsts, seconds = (
        pd.Series(rows[name].unique()).sort_values(na_position="first").to_list()
        for name in ("first_value", "second_value")
    )
    values = np.full((len(firsts), len(seconds)), np.nan)
    for first, second, mean in zip(rows["first_value"], rows["second_value"], rows["mean"], strict=True):
        values[_index(firsts, first), _index(seconds, second)] = mean
    axes.imshow(values, cmap="cividis", norm=norm, aspect="auto", origin="lower")
    axes.set_xticks(range(len(seconds)), [value_name(value) for value in seconds])
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


def _bar(figure: Figure, grid: np.ndarray, norm: Normalize, label: str) -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(norm, colormaps["cividis"]), ax=grid, fraction=0.03, pad=0.01, aspect=35)
    bar.set_label(label)
    bar.outline.set_visible(False)  # type: ignore[operator]


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
    varied = found.groupby("hyperparameter")["value"].nunique(dropna=False)
    there = [str(name) for name in varied.index[varied > 1]]
    return [*(axis for axis in AXES if axis in there), *(name for name in there if name not in AXES)]


def _pairs(own: pd.DataFrame) -> list[tuple[str, str]]:
    there = own[own["mean"].notna()]
    return [(str(first), str(second)) for first, second in there[["first", "second"]].drop_duplicates().to_numpy()]


def _index(values: Sequence[float], value: float) -> int:
    return next(at for at, one in enumerate(values) if one == value or (math.isnan(one) and math.isnan(value)))


def _short(value: float, digits: int) -> str:
    """At most four characters or so: a field holds no more."""
    text = f"{value:.{min(digits, 2) if abs(value) < 10 else 1}f}"
    return text.replace("0.", ".", 1) if abs(value) < 1 else text


def _name(category: str) -> str:
    return "all categories" if category == ALL else category
