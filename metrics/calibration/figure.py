"""The calibration in one figure: every question as a forest plot, and how far nuisances move each metric."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from metrics.calibration.questions import ALL, Answer, Shift
from p2p.world.pairs import NUISANCES

LEFT_OUT = ("mse", "cycle_mse")
"""mse orders pictures exactly as psnr does, and cycle_mse as mse would."""
_BLUE, _VERMILION, _GRAY = "#0072B2", "#D55E00", "#595959"  # of Okabe and Ito: told apart with any colour vision
_STYLE = {"met": (_BLUE, "o", _BLUE), "missed": (_VERMILION, "D", _VERMILION), "": (_GRAY, "o", "white")}
_ROW_INCHES = 0.165
_LOWEST = 0.25


def draw(answers: Sequence[Answer], moved: Sequence[Shift]) -> Figure:
    """The figure, 7.5 inches wide; shapes and numbers say what colours say."""
    shown = [answer for answer in answers if answer.category == ALL and answer.metric not in LEFT_OUT]
    shares = [shift for shift in moved if math.isfinite(shift.share.value)]
    metrics = list(dict.fromkeys(answer.metric for answer in shown))
    heights = [len(shown) + len(metrics), 1.5 * len({shift.metric for shift in shares}) + 2]
    figure = Figure(figsize=(7.5, _ROW_INCHES * sum(heights) + 1.2), layout="constrained")
    forest, heat = figure.subplots(2, 1, height_ratios=heights)
    _forest(forest, shown, metrics)
    if shares:
        _heat(heat, shares)
    return figure


def _forest(axes: Axes, answers: Sequence[Answer], metrics: Sequence[str]) -> None:
    row, ticks, labels, heads = 0, [], [], []
    for metric in metrics:
        heads.append(row)
        ticks.append(row)
        labels.append(metric)
        for answer in (answer for answer in answers if answer.metric == metric):
            row += 1
            _estimate(axes, row, answer)
            ticks.append(row)
            labels.append(answer.question + (" (Spearman)" if answer.statistic == "Spearman" else ""))
        row += 1
    axes.set_yticks(ticks, labels, fontsize=7)
    for position, label in zip(ticks, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if position in heads else "normal")
    for head in heads[1:]:
        axes.axhline(head - 0.5, color="0.85", linewidth=0.6, zorder=0)
    axes.axvline(0.5, color="0.6", linestyle=":", linewidth=0.9, zorder=0)
    axes.set(ylim=(row - 0.5, -0.7), xlim=(_LOWEST, 1.02))
    axes.set_xlabel("AUC or Spearman's correlation (0.5: AUC by chance)", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.tick_params(axis="y", length=0)
    axes.set_title("Does each metric order what it should?", fontsize=9, loc="left")
    axes.spines[["top", "right", "left"]].set_visible(False)
    _legend(axes)


def _estimate(axes: Axes, row: int, answer: Answer) -> None:
    color, marker, face = _STYLE[answer.verdict]
    value, low, high, _ = answer.estimate
    axes.plot([max(low, _LOWEST), high], [row, row], color=color, linewidth=1.3)
    axes.plot(max(value, _LOWEST), row, marker, color=color, markerfacecolor=face, markersize=4.5, clip_on=False)
    if answer.same_pair is not None:
        axes.plot(max(answer.same_pair.value, _LOWEST), row, "x", color="black", markersize=3.5, markeredgewidth=0.8)
    if answer.minimum is not None:
        axes.plot(answer.minimum, row, "|", color="black", markersize=9, markeredgewidth=1.4)


def _legend(axes: Axes) -> None:
    names = {"met": "minimum met", "missed": "minimum missed", "": "no minimum asked"}
    handles = [
        Line2D([], [], color=color, marker=marker, markerfacecolor=face, markersize=4.5, label=names[verdict])
        for verdict, (color, marker, face) in _STYLE.items()
    ]
    handles.append(Line2D([], [], color="black", marker="|", markersize=8, linestyle="none", label="minimum"))
    handles.append(Line2D([], [], color="black", marker="x", markersize=3.5, linestyle="none", label="same pair only"))
    axes.legend(handles=handles, fontsize=6.5, loc="lower center", bbox_to_anchor=(0.3, 1.02), ncols=5, frameon=False)


def _heat(axes: Axes, moved: Sequence[Shift]) -> None:
    metrics = list(dict.fromkeys(shift.metric for shift in moved))
    values = np.full((len(metrics), len(NUISANCES)), np.nan)
    for shift in moved:
        values[metrics.index(shift.metric), NUISANCES.index(shift.nuisance)] = shift.share.value
    axes.imshow(np.abs(values), cmap="Greys", vmin=0, vmax=1.5, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if math.isfinite(value):
            ink = "white" if abs(value) > 0.8 else "black"
            axes.text(column, row, f"{value:z.2f}", ha="center", va="center", fontsize=7, color=ink)
    axes.set_xticks(range(len(NUISANCES)), NUISANCES, fontsize=7)
    axes.set_yticks(range(len(metrics)), metrics, fontsize=7, fontweight="bold")
    axes.tick_params(length=0)
    axes.set_title("How far does each nuisance alone move it?\nShare of what it should see", fontsize=9, loc="left")
