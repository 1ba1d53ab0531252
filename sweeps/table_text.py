"""Pieces of text that all tables share: values, arrows, and LaTeX's special characters."""

import math
from collections.abc import Sequence

from metrics.registry import Metric

_TEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
}
_ARROWS = {True: "↑", False: "↓", None: ""}
_MOST_ROWS = 60
"""Rows of a table that fit on a page."""
_TEX_ARROWS = {True: r"$\uparrow$", False: r"$\downarrow$", None: ""}


def value_text(value: float, metric: Metric) -> str:
    """A value with the metric's digits; a dash where there is none."""
    return "-" if math.isnan(value) else f"{value:.{metric.digits}f}"


def head(metric: Metric) -> str:
    """A metric's label with its direction: `LPIPS ↓`."""
    return f"{metric.label} {arrow(metric)}".strip()


def arrow(metric: Metric) -> str:
    """The metric's direction: up where higher is better."""
    return _ARROWS[metric.higher_is_better]


def tex_head(metric: Metric) -> str:
    """As `head`, for LaTeX, words below each other."""
    words = r" \\ ".join(escape(word) for word in metric.label.split())
    return f"\\shortstack{{{words} {_TEX_ARROWS[metric.higher_is_better]}}}"


def escape(text: str) -> str:
    """Text for LaTeX."""
    return "".join(_TEX.get(character, character) for character in text)


def tex_tables(title: str, note: str, left: int, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of one LaTeX `table`, or of several where there are many rows; needs booktabs.

    Args:
        title, note: its caption.
        left: how many columns are aligned to the left.
        heads: of the columns; these and all texts are LaTeX already.
        rows: as many texts each.
    """
    lines = []
    for at in range(0, len(rows), _MOST_ROWS):
        lines += [
            r"\begin{table}[htbp]\centering\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\caption{{{f'{title}, continued.' if at else f'{title}. {note}'.strip()}}}\vspace{{2pt}}",
            rf"\begin{{tabular}}{{@{{}}{'l' * left}{'r' * (len(heads) - left)}@{{}}}}",
            r"\toprule",
            " & ".join(heads) + r" \\",
            r"\midrule",
            *(" & ".join(row) + r" \\" for row in rows[at : at + _MOST_ROWS]),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    return lines
