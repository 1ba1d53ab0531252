"""Tables of a sweep's scores, from its summary alone: category by configuration, means over pairs and seeds.

A mean is over the cells that have the value; null never counts as 0. Bold is the best of a column within its category.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from metrics.registry import METRICS, Metric
from sweeps.configurations import KNOWN, configurations
from sweeps.files import write_atomically
from sweeps.provenance import mixtures
from sweeps.table_text import arrow, escape, head, tex_head, tex_tables, value_text

NULLS = "_nulls"
"""Ends the columns that count the cells drawn without a value."""
_MOST_ROWS = 40
_MOST_METRICS = 11
_SPARE = ("mse", "background_mse", "cycle_mse", "psnr", "background_ssim", "background_psnr", "cycle_ssim")
"""Metrics that a terminal does without where there are too many: others say much the same."""
_WIDTH = 100
_SHORT = {
    "clip_directional": "dir.",
    "identity_distance": "id.",
    "attribute_success": "succ",
    "attribute_kept": "kept",
    "background_lpips": "bgLP",
    "background_ssim": "bgSS",
    "background_mse": "bgMSE",
    "cycle_lpips": "cycLP",
    "cycle_ssim": "cycSS",
    "cycle_mse": "cycMSE",
}


def summary_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Means by category and configuration.

    Columns: category, config_id, what `configurations` says of it, `n` (cells drawn), `failed` (cells not drawn), and
    for every metric its mean, NaN where no cell has a value, and the number of drawn cells without one (`_nulls`).
    """
    kinds = configurations(summary)
    places = {config_id: place for place, config_id in enumerate(kinds.index)}
    rows = [
        {"category": category, "config_id": config_id, **kinds.loc[str(config_id)].to_dict(), **_means(cells)}
        for (category, config_id), cells in summary.groupby(["category", "config_id"])
    ]
    order = sorted(rows, key=lambda row: (row["category"], places[row["config_id"]]))
    heads = ["category", "config_id", *kinds.columns, *_means(summary)]
    return pd.DataFrame(order, columns=heads)


def write_tables(summary: pd.DataFrame, folder: Path) -> None:
    """Write summary.md, summary.tex (for `\\input`; needs booktabs) and summary.csv, each in one move."""
    folder.mkdir(parents=True, exist_ok=True)
    table, mixed = summary_table(summary), mixtures(summary)
    write_atomically(folder / "summary.md", markdown(table, mixed).encode())
    write_atomically(folder / "summary.tex", latex(table, mixed).encode())
    write_atomically(folder / "summary.csv", table.to_csv(index=False).encode())


def markdown(table: pd.DataFrame, mixed: Sequence[str] = ()) -> str:
    """A `summary_table` as Markdown, one table a category; `mixed` are lines of `provenance.mixtures`."""
    parts = ["# Scores by category and configuration", _legend(table), *mixed]
    settings, metrics = _setting_heads(table), _metrics(table)
    heads = [*settings, *(head(metric) for metric in metrics)]
    for category, rows in table.groupby("category", sort=False):
        cells = _cells(rows, settings, metrics, lambda text: f"**{text}**", lambda text: text.replace("|", r"\|"))
        parts += [f"## {category}", tabulate(cells, headers=heads, tablefmt="pipe", disable_numparse=True)]
    return "\n\n".join(parts) + "\n"


def latex(table: pd.DataFrame, mixed: Sequence[str] = ()) -> str:
    """A `summary_table` as LaTeX, a `table` or more a category, `mixed` in comments; needs booktabs."""
    parts = [f"% {line}" for line in ["\\usepackage{booktabs}", *_legend(table).splitlines(), *mixed]]
    settings, metrics = _setting_heads(table), _metrics(table)
    heads = [escape(name) for name in settings]
    heads += [tex_head(metric) for metric in metrics]
    for category, rows in table.groupby("category", sort=False):
        cells = _cells(rows, settings, metrics, lambda text: f"\\textbf{{{text}}}", escape)
        note = "Means over prompt pairs and seeds."
        parts += tex_tables(escape(str(category)), note, len(settings), heads, cells)
    return "\n".join(parts) + "\n"


def terminal_table(summary: pd.DataFrame) -> str:
    """One row a configuration: means over categories, each category counting alike; at most about 100 columns wide.

    With many configurations only the named ones and those that are best in a metric.
    """
    if summary.empty:
        return "no cells"
    table = summary_table(summary)
    known = [metric for metric in _metrics(table) if table[metric.name].notna().any()]
    spare = [name for name in _SPARE if name in table][: max(len(known) - _MOST_METRICS, 0)]
    metrics = [metric for metric in known if metric.name not in spare]
    groups = table.groupby("config_id", sort=False)
    means = groups[[metric.name for metric in metrics]].mean() if metrics else pd.DataFrame(index=pd.Index([]))
    counts = groups[["n", "failed"]].sum()
    kinds = configurations(summary)
    best = {metric.name: _best(means[metric.name], metric) for metric in metrics}
    shown = _most_telling(kinds, best)
    rows = [[*_kind_cells(kinds, config_id, counts), *_plain(means, metrics, best, config_id)] for config_id in shown]
    heads = ["", *kinds.columns.drop("mark"), "n", *(["failed"] if counts["failed"].any() else [])]
    heads += [f"{_SHORT.get(metric.name, metric.label)}{arrow(metric)}" for metric in metrics]
    lines = aligned([heads, *rows])
    more = [f"{', '.join(spare)}: in tables/summary.md"] if spare else []
    return "\n".join([*lines, *_notes(kinds, shown, metrics, summary), *more])


def _means(cells: pd.DataFrame) -> dict[str, float]:
    drawn = cells[cells["status"] == "ok"]
    found: dict[str, float] = {"n": len(drawn), "failed": len(cells) - len(drawn)}
    for name in (name for name in METRICS if name in cells):
        found[name] = float(drawn[name].mean())
        found[f"{name}{NULLS}"] = int(drawn[name].isna().sum())
    return found


def _metrics(table: pd.DataFrame) -> list[Metric]:
    return [metric for metric in METRICS.values() if metric.name in table]


def _setting_heads(table: pd.DataFrame) -> list[str]:
    """The columns before the scores, without the ids."""
    before = list(table.columns[: list(table.columns).index("failed") + 1])
    hidden = {"category", "config_id"} | ({"failed"} if not table["failed"].any() else set())
    return [head for head in before if head not in hidden]


def _cells(
    rows: pd.DataFrame,
    heads: Sequence[str],
    metrics: Sequence[Metric],
    bold: Callable[[str], str],
    escape: Callable[[str], str],
) -> list[list[str]]:
    """A category's rows as texts, the best of each metric bold."""
    best = {metric.name: _best(rows[metric.name], metric) for metric in metrics}
    found = []
    for index, row in rows.iterrows():
        cells = [escape(str(row[head])) for head in heads]
        for metric in metrics:
            text = value_text(row[metric.name], metric)
            text = bold(text) if index in best[metric.name] else text
            some = 0 < row[f"{metric.name}{NULLS}"] < row["n"]
            cells.append(f"{text} ({row['n'] - row[metric.name + NULLS]} of {row['n']})" if some else text)
        found.append(cells)
    return found


def _best(values: pd.Series, metric: Metric) -> set[Any]:
    """Where the best values are, as far as the printed digits tell; nowhere if all are alike."""
    rounded = values.dropna().round(metric.digits)
    if metric.higher_is_better is None or rounded.nunique() < 2:
        return set()
    top = rounded.max() if metric.higher_is_better else rounded.min()
    return set(rounded.index[rounded == top])


def _legend(table: pd.DataFrame) -> str:
    lines = [
        "Means over prompt pairs and seeds of the n cells drawn; ↑ higher is better, ↓ lower. Bold: the best of its",
        "column within the category. A dash: no cell has a value; (a of b): the mean is over a of b cells.",
        "k none: no local blend. Windows are shares of the steps, from 0 unless two numbers are given.",
    ]
    if table["failed"].any():
        lines.append(f"{int(table['failed'].sum())} cells failed or were skipped and are in no mean.")
    return "\n".join(lines)


def _most_telling(kinds: pd.DataFrame, best: Mapping[str, set[Any]]) -> list[Any]:
    if len(kinds) <= _MOST_ROWS:
        return list(kinds.index)
    wanted = set().union(*best.values()) | set(kinds.index[kinds["mark"] != ""])
    return [config_id for config_id in kinds.index if config_id in wanted][:_MOST_ROWS]


def _kind_cells(kinds: pd.DataFrame, config_id: Any, counts: pd.DataFrame) -> list[str]:
    row = kinds.loc[config_id]
    n, failed = (int(counts.loc[config_id, name]) for name in ("n", "failed"))
    return [row["mark"][:1].upper(), *row.drop("mark"), str(n), *([str(failed)] if counts["failed"].any() else [])]


def _plain(means: pd.DataFrame, metrics: Sequence[Metric], best: Mapping[str, set[Any]], config_id: Any) -> list[str]:
    return [
        value_text(means.loc[config_id, metric.name], metric) + ("*" if config_id in best[metric.name] else " ")
        for metric in metrics
    ]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, columns aligned to the right and as far apart as the width allows."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    gap = "  " if sum(widths) + 2 * len(widths) <= _WIDTH else " "
    return [gap.join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _notes(kinds: pd.DataFrame, shown: Sequence[Any], metrics: Sequence[Metric], summary: pd.DataFrame) -> list[str]:
    marks = set(kinds.loc[list(shown), "mark"]) - {""}
    notes = [f"{name[0].upper()}: {name}" for name in KNOWN if name in marks]
    notes += ["*: best of its column"] if any(len(shown) > 1 for _ in metrics) else []
    if len(shown) < len(kinds):
        notes.append(f"{len(kinds) - len(shown)} more configurations are in tables/summary.md")
    if not metrics:
        notes.append("no scores" if (summary["status"] == "ok").any() else "no cell was drawn")
    return ["; ".join(notes)] if notes else []
