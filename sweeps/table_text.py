"""Pieces of text that all tables share: values, arrows, and LaTeX's special characters."""

import math

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
