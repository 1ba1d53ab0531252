"""How figures look: sizes for print, colours that everyone can tell apart, and files without dates."""

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from metrics.registry import Metric
from scripts.report.analysis import ALL
from scripts.report.views import RECOMMENDED
from sweeps.files import write_atomically
from sweeps.table_text import head

ONE_COLUMN, TWO_COLUMNS = 3.4, 7.0
"""Inches of a paper's column, and of its page."""
DPI = 200
INK, PALE = "#202020", "#8c8c8c"
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
_MARKERS = ("o", "s", "^", "D", "v", "P")
_LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)), (0, (7, 2)), (0, (2, 2)))
CENTRE_STYLES: Mapping[str, Mapping[str, Any]] = {
    "literature": {"marker": "s", "color": "#D55E00"},
    "proposed": {"marker": "D", "color": "#0072B2"},
    RECOMMENDED: {"marker": "*", "color": "#009E73"},
}
"""Markers of named configurations; the star is drawn larger."""
_AXIS_LABELS = {
    "k": "k (silhouette)",
    "cross_replace_steps": "cross-replace",
    "self_replace_steps": "self-replace",
    "v_inject_steps": "V-injection",
}
_RC: Any = {
    "font.size": 7.5,
    "axes.titlesize": 8,
    "axes.labelsize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,
    "hatch.linewidth": 0.5,
}


@contextmanager
def print_style() -> Iterator[None]:
    """Figures made and saved within are set for print: no text below 7 points."""
    with mpl.rc_context(_RC):
        yield


def save(figure: Figure, path: Path, pdf: bool) -> list[Path]:
    """Write `path`.png and, if asked, `path`.pdf, each in one move; the same figure gives the same bytes."""
    kinds: list[tuple[str, dict[str, Any]]] = [("png", {"dpi": DPI, "metadata": {"Software": None}})]
    kinds += [("pdf", {"metadata": {"CreationDate": None}})] if pdf else []
    written = []
    for kind, options in kinds:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, **options)
        target = path.with_name(f"{path.name}.{kind}")
        write_atomically(target, buffer.getvalue())
        written.append(target)
    return written


def category_styles(categories: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour, marker and line of each category; `ALL` is thick and black."""
    others = [category for category in categories if category != ALL]
    styles: dict[str, dict[str, Any]] = {
        category: {
            "color": OKABE_ITO[place % len(OKABE_ITO)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "linestyle": _LINES[place % len(_LINES)],
        }
        for place, category in enumerate(others)
    }
    if ALL in categories:
        styles[ALL] = {"color": INK, "linestyle": "-", "linewidth": 2.0}
    return styles


def axis_label(axis: str) -> str:
    """A hyperparameter for an axis."""
    return _AXIS_LABELS.get(axis, axis)


def metric_label(metric: Metric) -> str:
    """A metric for an axis, with its direction."""
    return head(metric)


def legend_above(figure: Figure, axes: Axes, columns: int) -> None:
    """The entries of one panel's legend above the whole figure."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=min(columns, len(labels)), frameon=False)
