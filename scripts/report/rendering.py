"""Tables as Markdown and as LaTeX with booktabs."""

from collections.abc import Sequence
from dataclasses import dataclass

from tabulate import tabulate

from metrics.registry import Metric
from sweeps.table_text import escape, head, tex_head

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
    """Tables for `\\input`, one `longtable` each; needs booktabs and longtable."""
    lines = [r"% \usepackage{booktabs,longtable}"]
    for table in tables:
        heads = [escape(one) if isinstance(one, str) else tex_head(one) for one in table.heads]
        top = [r"\toprule", " & ".join(heads) + r" \\", r"\midrule"]
        caption = f"{table.title}. {table.note}".strip() if table.note else f"{table.title}."
        lines += [
            r"{\scriptsize\setlength{\tabcolsep}{3pt}",
            rf"\begin{{longtable}}{{@{{}}{'l' * table.left}{'r' * (len(heads) - table.left)}@{{}}}}",
            rf"\caption{{{_tex(caption)}}} \\",
            *top,
            r"\endfirsthead",
            *top,
            r"\endhead",
            *(" & ".join(_latex_entry(entry) for entry in row) + r" \\" for row in table.rows),
            r"\bottomrule",
            r"\end{longtable}}",
        ]
    return "\n".join(lines) + "\n"


def document(title: str, inputs: Sequence[str], notes: Sequence[str]) -> str:
    """A LaTeX document of files for `\\input`, which lie beside it."""
    lines = [
        r"\documentclass[a4paper]{article}",
        r"\usepackage[margin=15mm]{geometry}",
        r"\usepackage{booktabs,longtable}",
        r"\begin{document}",
        rf"\section*{{{_tex(title)}}}",
    ]
    if notes:
        lines += [r"\begin{itemize}", *(rf"\item {_tex(note)}" for note in notes), r"\end{itemize}"]
    lines += [rf"\input{{{name}}}" for name in inputs]
    return "\n".join([*lines, r"\end{document}"]) + "\n"


def _markdown_entry(entry: str | Entry) -> str:
    if isinstance(entry, str):
        return entry.replace("|", r"\|")
    text = f"**{entry.text}**" if entry.best else entry.text
    return f"{text}{DAGGER if entry.tied else ''} {entry.small}".strip()


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
