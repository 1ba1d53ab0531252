"""Tables as Markdown and as LaTeX with booktabs."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd
from tabulate import tabulate

from metrics.registry import Metric
from sweeps.table_text import escape, head, tex_head, tex_tables

DAGGER = "†"


@dataclass(frozen=True)
class Entry:
    """One entry of a table: a text, what follows it in small print, whether it is the best, or as good as the best."""

    text: str
    small: str = ""
    best: bool = False
    tied: bool = False


@dataclass(frozen=True)
class Table:
    """A table to print.

    Attributes:
        title: one line.
        heads: of the columns: texts, or metrics with their direction.
        rows: entries, or plain texts.
        note: what a reader has to know.
        left: how many columns are aligned to the left.
    """

    title: str
    heads: tuple[str | Metric, ...]
    rows: tuple[tuple[str | Entry, ...], ...]
    note: str = ""
    left: int = 1


Made = tuple[str, list[Table], pd.DataFrame]
"""A title, tables to print under it, and the same numbers in full."""


def markdown(title: str, tables: Sequence[Table], note: str = "") -> str:
    """A document of tables."""
    parts = [f"# {title}", *([note] if note else [])]
    for table in tables:
        heads = [one if isinstance(one, str) else head(one) for one in table.heads]
        rows = [[_markdown_entry(entry) for entry in row] for row in table.rows]
        align = ["left"] * table.left + ["right"] * (len(heads) - table.left)
        parts += [f"## {table.title}", *([table.note] if table.note else [])]
        parts.append(tabulate(rows, headers=heads, tablefmt="pipe", disable_numparse=True, colalign=align))
    return "\n\n".join(parts) + "\n"


def latex(tables: Sequence[Table]) -> str:
    """Tables for `\\input`, one `table` each, or several where there are many rows; needs booktabs."""
    lines = [r"% \usepackage{booktabs}"]
    for table in tables:
        heads = [_latex_head(one) for one in table.heads]
        rows = [[_latex_entry(entry) for entry in row] for row in table.rows]
        lines += tex_tables(_tex(table.title), _tex(table.note), table.left, heads, rows)
    return "\n".join(lines) + "\n"


def document(title: str, inputs: Sequence[str], notes: Sequence[str]) -> str:
    """A LaTeX document of files for `\\input`, which lie beside it."""
    lines = [
        r"\documentclass[a4paper]{article}",
        r"\usepackage[margin=15mm]{geometry}",
        r"\usepackage{booktabs}",
        r"\extrafloats{200}",
        r"\begin{document}",
        rf"\section*{{{_tex(title)}}}",
    ]
    if notes:
        lines += [r"\begin{itemize}", *(rf"\item {_tex(note)}" for note in notes), r"\end{itemize}"]
    lines += [rf"\input{{{name}}}\clearpage" for name in inputs]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _markdown_entry(entry: str | Entry) -> str:
    if isinstance(entry, str):
        return entry.replace("|", r"\|")
    text = f"**{entry.text}**" if entry.best else entry.text
    return f"{text}{DAGGER if entry.tied else ''} {entry.small}".strip()


def _latex_head(one: str | Metric) -> str:
    """Two words stand below each other."""
    if isinstance(one, Metric):
        return tex_head(one)
    words = [escape(word) for word in one.split()]
    return rf"\shortstack{{{words[0]} \\ {words[1]}}}" if len(words) == 2 else escape(one)


def _latex_entry(entry: str | Entry) -> str:
    if isinstance(entry, str):
        return _tex(entry)
    text = rf"\textbf{{{_tex(entry.text)}}}" if entry.best else _tex(entry.text)
    text += r"$^{\dagger}$" if entry.tied else ""
    return text + (rf" {{\tiny {_tex(entry.small)}}}" if entry.small else "")


def _tex(text: str) -> str:
    escaped = escape(text)
    for sign, command in ((DAGGER, r"$^{\dagger}$"), ("↑", r"$\uparrow$"), ("↓", r"$\downarrow$")):
        escaped = escaped.replace(sign, command)
    return escaped
