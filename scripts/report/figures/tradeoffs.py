"""Following the words against keeping the picture, undoing an edit against its size, and both known configurations."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from metrics.registry import METRICS, Metric
from scripts.report.analysis import ALL, Analysis
from scripts.report.figures.style import (
    CENTRE_STYLES,
    INK,
    ONE_COLUMN,
    PALE,
    TWO_COLUMNS,
    category_styles,
    metric_label,
)
from scripts.report.statistics import SIGNIFICANCE
from scripts.report.views import RECOMMENDED, axis_values, marked, settings
from sweeps.configurations import AXES

CYCLE, SIZE = "cycle_lpips", "lpips"
_SHAPES = ("o", "s", "^", "D", "v", "P", "X", "*")


def fronts(analysis: Analysis, categories: Sequence[str]) -> Figure | None:
    """All configurations and their Pareto front, a panel a category; the known and the recommended ones are marked."""
    words, keep = METRICS[analysis.words], METRICS[analysis.keep]
    clouds = {category: _means(analysis, category, [words.name, keep.name]) for category in categories}
    clouds = {category: cloud for category, cloud in clouds.items() if len(cloud)}
    if not clouds:
        return None
    figure, panels = _panels(len(clouds))
    for axes, (category, cloud) in zip(panels, clouds.items(), strict=True):
        own = analysis.front[analysis.front["category"] == category].sort_values("keep")
        axes.plot(
            cloud[keep.name], cloud[words.name], ".", color="0.72", markersize=2.6, zorder=1, label="configuration"
        )
        axes.plot(own["keep"], own["words"], "-", color=INK, linewidth=0.9, zorder=2, label="Pareto front")
        axes.plot(own["keep"], own["words"], ".", color=INK, markersize=3.4, zorder=2)
        _mark(axes, analysis, category, cloud, keep, words)
        _say_recommended(axes, analysis, category)
        axes.set_title(_name(category))
        axes.set(xlabel=metric_label(keep), ylabel=metric_label(words))
        _frame(axes, cloud, keep, words)
        if keep.higher_is_better is False:
            axes.invert_xaxis()
    _legend(figure, panels)
    return figure


def cycles(analysis: Analysis, categories: Sequence[str]) -> Figure | None:
    """The error of undoing an edit beside the edit's size, coloured by the share of steps with injected values."""
    cycle, size = METRICS[CYCLE], METRICS[SIZE]
    clouds = {category: _means(analysis, category, [cycle.name, size.name]) for category in categories}
    clouds = {category: cloud for category, cloud in clouds.items() if len(cloud)}
    if not clouds:
        return None
    injected = axis_values(analysis)["v_inject_steps"]
    values = sorted(injected.dropna().unique())
    norm = Normalize(0, max([*values, 1e-9]))
    figure, panels = _panels(len(clouds))
    for axes, (category, cloud) in zip(panels, clouds.items(), strict=True):
        for place, value in enumerate(values):
            some = cloud[cloud.index.isin(injected.index[injected == value])]
            style = {"color": colormaps["viridis"](norm(value) * 0.9), "marker": _SHAPES[place % len(_SHAPES)]}
            label = f"V {value:g}"
            axes.plot(
                some[size.name], some[cycle.name], linestyle="none", markersize=2.4, alpha=0.8, label=label, **style
            )
        _mark(axes, analysis, category, cloud, size, cycle)
        axes.set_title(_name(category))
        axes.set(xlabel=f"{size.label}: size of the edit", ylabel=f"{metric_label(cycle)}: error")
        _frame(axes, cloud, size, cycle)
    _legend(figure, panels)
    return figure


def differences(analysis: Analysis, metrics: Sequence[Metric], categories: Sequence[str]) -> Figure | None:
    """Proposed less literature values with intervals, a panel a metric; zero is no difference."""
    found = analysis.comparison[analysis.comparison["difference"].notna()]
    shown = [metric for metric in metrics if (found["metric"] == metric.name).any()]
    names = [category for category in categories if (found["category"] == category).any()]
    rows = dict.fromkeys((name, row) for name in names for row in found.loc[found["category"] == name, "setting"])
    if not shown:
        return None
    figure, panels = _panels(len(shown), height=0.16 * len(rows) + 0.62, columns=4, sharey=True)
    styles = category_styles(names)
    for axes, metric in zip(panels, shown, strict=True):
        own = found[found["metric"] == metric.name].set_index(["category", "setting"])
        for place, row in enumerate(rows):
            if row in own.index:
                _difference(axes, place, own.loc[row], styles[row[0]])
        axes.axvline(0, color=PALE, linewidth=0.8, zorder=0)
        axes.set_yticks(range(len(rows)), [", ".join(filter(None, (_name(name), setting))) for name, setting in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
        axes.set_title(metric_label(metric))
        axes.locator_params(axis="x", nbins=4)
    figure.supxlabel(
        f"proposed less literature values, 95% intervals; filled: corrected p < {SIGNIFICANCE}", fontsize=7.5
    )
    return figure


def _difference(axes: Axes, place: int, row: pd.Series, style: dict[str, object]) -> None:
    color, marker = str(style["color"]), str(style.get("marker", "o"))
    if not (pd.isna(row["low"]) or pd.isna(row["high"])):
        axes.plot([row["low"], row["high"]], [place, place], color=color, linewidth=1.4)
    face = color if row["p_corrected"] < SIGNIFICANCE else "white"
    axes.plot(row["difference"], place, marker, color=color, markerfacecolor=face, markersize=4)


def _means(analysis: Analysis, category: str, names: Sequence[str]) -> pd.DataFrame:
    """Means of these metrics by configuration, those that have all."""
    own = analysis.scores[(analysis.scores["category"] == category) & analysis.scores["metric"].isin(names)]
    wide = own.pivot(index="config_id", columns="metric", values="mean").reindex(columns=list(names))
    return wide.dropna()


def _mark(axes: Axes, analysis: Analysis, category: str, cloud: pd.DataFrame, x: Metric, y: Metric) -> None:
    """The named and the recommended configurations with their intervals."""
    own = analysis.scores[analysis.scores["category"] == category].set_index(["config_id", "metric"])
    intervals: Any = own[["low", "high"]].loc
    for name, config_ids in marked(analysis, category).items():
        style = CENTRE_STYLES[name]
        edge: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}
        for config_id in (config_id for config_id in config_ids if config_id in cloud.index):
            at: Any = cloud.loc[config_id, x.name], cloud.loc[config_id, y.name]
            for metric, horizontal in ((x, True), (y, False)):
                low, high = intervals[config_id, metric.name]
                if math.isnan(low) or math.isnan(high):
                    continue
                ends = ([low, high], [at[1]] * 2) if horizontal else ([at[0]] * 2, [low, high])
                axes.plot(*ends, color=style["color"], linewidth=0.8, zorder=3)
            big = 9 if style["marker"] == "*" else 5.5
            axes.plot(*at, linestyle="none", markersize=big, zorder=4, label=name, **style, **edge)


def _frame(axes: Axes, cloud: pd.DataFrame, x: Metric, y: Metric) -> None:
    """The panel holds all configurations; intervals that are wider run out of it."""
    for metric, limit in ((x, axes.set_xlim), (y, axes.set_ylim)):
        low, high = cloud[metric.name].min(), cloud[metric.name].max()
        margin = 0.12 * (high - low) or 0.01
        limit(low - margin, high + margin)


def _say_recommended(axes: Axes, analysis: Analysis, category: str) -> None:
    """The recommended configuration in words, where both scores are worst and so no front is."""
    for config_id in marked(analysis, category).get(RECOMMENDED, []):
        row = settings(analysis).loc[config_id]
        parts = [f"{head} {row[head]}" for head in AXES.values()]
        text = ", ".join(parts[:2]) + "\n" + ", ".join(parts[2:])
        color = CENTRE_STYLES[RECOMMENDED]["color"]
        paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1.5}
        axes.text(0.03, 0.03, text, transform=axes.transAxes, fontsize=7, color=color, va="bottom", bbox=paper)


def _panels(number: int, height: float = 2.1, columns: int = 3, sharey: bool = False) -> tuple[Figure, list[Axes]]:
    """So many panels on a page's width."""
    columns = min(columns, number)
    lines = math.ceil(number / columns)
    width = TWO_COLUMNS if columns > 1 else ONE_COLUMN
    figure = Figure(figsize=(width, height * lines + 0.35), layout="constrained")
    grid = list(figure.subplots(lines, columns, squeeze=False, sharey=sharey).flat)
    for axes in grid[number:]:
        axes.set_axis_off()
    return figure, grid[:number]


def _legend(figure: Figure, panels: Sequence[Axes]) -> None:
    """Every label of any panel once, above all; marked configurations last."""
    entries: dict[str, Artist] = {}
    for axes in panels:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(str(label), handle)
    ordered = sorted(entries, key=lambda label: label in CENTRE_STYLES)
    columns = 8 if len(panels) > 1 else 3
    figure.legend(
        [entries[label] for label in ordered], ordered, loc="outside upper center", ncols=columns, frameon=False
    )


def _name(category: str) -> str:
    return "all categories" if category == ALL else category
