"""The tables of a report, as LaTeX, Markdown and CSV: means with intervals, and what they say when compared.

LaTeX and Markdown show the configurations that matter (named, recommended, on the front, best); the CSV files have all.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from metrics.registry import METRICS, Metric
from scripts.report.aggregates import robustness, wholes
from scripts.report.analysis import ALL, Analysis
from scripts.report.rendering import DAGGER, Entry, Made, Table, document, latex, markdown
from scripts.report.results import Results
from scripts.report.statistics import SIGNIFICANCE
from scripts.report.views import (
    categories_in_order,
    chunks,
    marked,
    metrics_in_order,
    recommended,
    records,
    settings,
)
from sweeps.configurations import AXES
from sweeps.files import write_atomically
from sweeps.table_text import head, value_text

_WIDE = 5
"""Metrics that fit beside the settings on a page."""
_MOST_FRONT = 12
_MOST_TERMS = 6
_INTERVALS = "95% intervals of Student's t on the prompt pairs' mean differences."
_SCORES_NOTE = (
    "Means over prompt pairs and seeds with 95% intervals by a two-level bootstrap (pairs, then seeds). Bold: the best "
    f"mean of the category; {DAGGER}: not "
    "distinguishable from it (paired by pair and seed, corrected for multiplicity); (a of b): over a of b drawn cells."
)


def write_tables(analysis: Analysis, results: Results, folder: Path) -> list[Path]:
    """Write `tables/*.{tex,md,csv}` below the folder, and `tables/report.tex`, which inputs them and compiles as is.

    A table without anything to say is not written, and that of an earlier report removed.

    Returns:
        The files, report.tex last.
    """
    folder = folder / "tables"
    folder.mkdir(parents=True, exist_ok=True)
    made = {name: make(analysis, results) for name, make in _MAKERS.items()}
    written: list[Path] = []
    for name, (title, tables, data) in made.items():
        paths = {end: folder / f"{name}.{end}" for end in ("tex", "md", "csv")}
        (folder / f"{name}.csv.gz").unlink(missing_ok=True)  # of an earlier, published report
        if not tables:
            for path in paths.values():
                path.unlink(missing_ok=True)
            continue
        write_atomically(paths["tex"], latex(tables).encode())
        write_atomically(paths["md"], markdown(title, tables).encode())
        write_atomically(paths["csv"], data.to_csv(index=False, float_format="%.6g").encode())
        written += paths.values()
    inputs = [path.stem for path in written if path.suffix == ".tex"]
    write_atomically(
        folder / "report.tex", document(f"Report of {', '.join(results.names)}", inputs, analysis.notes).encode()
    )
    return [*written, folder / "report.tex"]


def scores(analysis: Analysis, results: Results) -> Made:
    """Category by configuration. The CSV has a row for each, and columns of every metric."""
    metrics, texts, found = metrics_in_order(analysis, results), settings(analysis), analysis.scores
    by = {name: rows.set_index("config_id") for name, rows in found.groupby(["category", "metric"])}
    tables = []
    for category in categories_in_order(analysis):
        shown = _telling(analysis, category, metrics)
        failed = found[found["category"] == category].groupby("config_id")["failed"].max()
        for part in chunks([metric for metric in metrics if (category, metric.name) in by], _WIDE):
            used = texts.drop(columns="mark")
            heads = ["", *used.columns, *(["failed"] if failed.any() else []), *part]
            rows = []
            for config_id in shown:
                row: list[str | Entry] = [_role(analysis, category, config_id), *used.loc[config_id]]
                row += [str(int(failed[config_id]))] if failed.any() else []
                rows.append((*row, *(_score(by[category, metric.name], config_id, metric) for metric in part)))
            title = f"Scores of {_name(category)}: {', '.join(metric.label for metric in part)}"
            tables.append(Table(title, tuple(heads), tuple(rows), _SCORES_NOTE, 1 + len(used.columns)))
    return "Scores by category and configuration", tables, _wide(found, texts, metrics)


def comparison(analysis: Analysis, results: Results) -> Made:
    """Literature against proposed values."""
    found, tables = analysis.comparison, []
    for category in categories_in_order(analysis):
        rows: list[tuple[str | Entry, ...]] = []
        for row in records(found[found["category"] == category]):
            metric = METRICS[str(row.metric)]
            difference = f"{row.difference:+.{metric.digits}f}"
            interval = _interval(row.low, row.high, metric)
            numbers = [value_text(row.literature, metric), value_text(row.proposed, metric)]
            clear = row.p_corrected < SIGNIFICANCE
            entry = Entry(difference, interval, best=bool(clear))
            tests = [_p(row.p), _p(row.p_corrected), _plain(row.effect_size, "+.2f"), f"{row.pairs}", f"{row.seeds}"]
            rows.append((head(metric), str(row.setting), *numbers, entry, *tests))
        if rows:
            heads: tuple[str, ...] = ("", "", "literature", "proposed", "difference", "p", "p corrected")
            heads += ("effect size", "pairs", "seeds")
            if not found["setting"].any():
                heads, rows = heads[1:], [(row[0], *row[2:]) for row in rows]
            note = (
                f"Difference: proposed less literature, paired by pair and seed. {_INTERVALS} Bold: corrected p below "
                f"{SIGNIFICANCE}. Arrows say which sign is better."
            )
            tables.append(Table(f"Literature against proposed values, {_name(category)}", heads, tuple(rows), note))
    return "Literature against proposed values", tables, found


def recommendations(analysis: Analysis, results: Results) -> Made:
    """The recommended configuration of each category, with what it scores on pairs that did not choose it."""
    texts, found = settings(analysis), analysis.recommended
    words, keep = METRICS[analysis.words], METRICS[analysis.keep]
    rows = []
    for row in records(_ordered(found, analysis)):
        at: Any = texts.loc[str(row.config_id)]
        rows.append(
            (
                str(row.category),
                *at.drop("mark"),
                str(at["mark"]),
                _plain(row.confidence, ".0%"),
                _estimate(row.words, row.words_low, row.words_high, words),
                value_text(row.words_literature, words),
                _estimate(row.keep, row.keep_low, row.keep_high, keep),
                value_text(row.keep_literature, keep),
            )
        )
    heads = ("category", *texts.columns.drop("mark"), "", "chosen in", words, "literature", keep, "literature")
    note = (
        "Scores are of the prompt pairs that did not choose the configuration, with 95% intervals, beside the "
        "literature's values there. Chosen in: the share of bootstrap samples that choose it."
    )
    tables = [Table("Recommended configurations", heads, tuple(rows), note, len(texts.columns) + 1)] if rows else []
    return "Recommended configurations", tables, found.join(texts, on="config_id")


def front(analysis: Analysis, results: Results) -> Made:
    """The configurations that no other beats in both following the words and keeping the picture."""
    texts, found, tables = settings(analysis), analysis.front, []
    words, keep = METRICS[analysis.words], METRICS[analysis.keep]
    for category in categories_in_order(analysis):
        own = found[found["category"] == category].sort_values("words")
        rows = [
            (
                _role(analysis, category, str(row.config_id)),
                *texts.loc[str(row.config_id)].drop("mark"),
                value_text(row.words, words),
                value_text(row.keep, keep),
            )
            for row in records(own)
        ]
        if rows:
            heads = ("", *texts.columns.drop("mark"), words, keep)
            title = f"Pareto front of {words.label} against {keep.label}, {_name(category)}"
            tables.append(Table(title, heads, tuple(rows), "No other configuration is better in both.", len(heads) - 2))
    return "Pareto fronts", tables, found.join(texts, on="config_id")


def shares(analysis: Analysis, results: Results) -> Made:
    """How much of the variance over configurations each hyperparameter and interaction explains."""
    found, metrics, tables = analysis.shares, metrics_in_order(analysis, results), []
    for category in categories_in_order(analysis):
        wide = found[found["category"] == category].pivot(index="metric", columns="term", values="share")
        if wide.empty:
            continue
        terms = leading_terms(found, _MOST_TERMS)
        rest = wide.drop(columns=terms, errors="ignore").sum(axis=1)
        wide = wide.reindex(columns=terms).assign(rest=rest)
        named = [metric for metric in metrics if metric.name in wide.index]
        rows = tuple((metric.label, *(_plain(share, ".1%") for share in wide.loc[metric.name])) for metric in named)
        heads = ("", *(term_name(term) for term in terms), "others")
        note = "Functional analysis of variance over configurations; shares of a row sum to 100%."
        tables.append(Table(f"Shares of variance, {_name(category)}", heads, rows, note))
    return "Shares of variance", tables, found


def dead(analysis: Analysis, results: Results) -> Made:
    """How often a step along a hyperparameter changes no picture; never once: a dead one."""
    found = _ordered(analysis.dead, analysis)
    rows = tuple(
        (
            str(row.category),
            term_name(str(row.hyperparameter)),
            _plain(row.identical, ".1%"),
            "dead" if row.dead else "",
        )
        for row in records(found)
    )
    note = (
        "Share of steps between neighbouring values, all else equal, that leave the edit, and what undoing it gives, "
        "the same byte for byte. Dead: all of them."
    )
    tables = [
        Table("Steps along a hyperparameter that change nothing", ("category", "", "identical", ""), rows, note, 2)
    ]
    return "Dead knobs", tables if rows else [], found


def counts(analysis: Analysis, results: Results) -> Made:
    """Cells drawn and failed, and scores without a value."""
    cells = results.cells
    drawn = cells["status"] == "ok"
    groups = cells.assign(ok=drawn, failed=~drawn).groupby("category")[["ok", "failed"]].sum()
    named = cells[drawn].set_index("category")[[metric.name for metric in results.metrics]]
    missing = named.isna().groupby(level=0).sum()
    table = groups.join(missing).fillna(0).astype(int)
    names = {"ok": "cells drawn", "failed": "cells failed", **{metric.name: metric.label for metric in results.metrics}}
    rows = tuple((names[str(name)], *(str(number) for number in row)) for name, *row in table.T.itertuples())
    note = "Below the cells drawn and failed, how many of those drawn have no value of each metric; none counts as 0."
    tables = [Table("Cells, failures and missing values", ("", *map(str, table.index)), rows, note)]
    return "Cells, failures and missing values", tables if len(table) else [], table.reset_index()


_MAKERS: dict[str, Callable[[Analysis, Results], Made]] = {
    "recommended": recommendations,
    "comparison": comparison,
    "scores": scores,
    "front": front,
    "shares": shares,
    "dead": dead,
    "robustness": robustness,
    "wholes": wholes,
    "counts": counts,
}


def leading_terms(shares: pd.DataFrame, most: int) -> list[str]:
    """The main effects, then the interactions with the largest shares on average; at most so many."""
    means = shares.groupby("term")["share"].mean().sort_values(ascending=False)
    interactions = [str(term) for term in means.index if " x " in str(term)]
    mains = [axis for axis in AXES if axis in means.index]
    mains += [str(term) for term in means.index if " x " not in str(term) and term not in mains]
    return [*mains, *interactions][: max(most, len(mains))]


def term_name(term: str) -> str:
    """A term of the analysis of variance in short: `cross x self`."""
    return " x ".join(AXES.get(axis, axis) for axis in term.split(" x "))


def _telling(analysis: Analysis, category: str, metrics: Sequence[Metric]) -> list[str]:
    """The named, the recommended, the best of each metric and some of the front, in the order of configurations."""
    own = analysis.scores[analysis.scores["category"] == category]
    on_front = analysis.front[analysis.front["category"] == category].sort_values("words")["config_id"]
    step = max(1, -(-len(on_front) // _MOST_FRONT))
    wanted = {config_id for config_ids in marked(analysis, category).values() for config_id in config_ids}
    for metric in metrics:
        best = own.loc[(own["metric"] == metric.name) & own["best"].astype(bool), "config_id"]
        wanted |= set(best.iloc[:1])
    wanted |= set(on_front.iloc[::step])
    present = set(own["config_id"])
    return [str(one) for one in analysis.configurations.index if one in wanted and one in present]


def _role(analysis: Analysis, category: str, config_id: str) -> str:
    roles = [str(analysis.configurations.loc[config_id, "mark"])]
    roles += ["recommended"] if recommended(analysis, category) == config_id else []
    return ", ".join(role for role in roles if role)


def _score(rows: pd.DataFrame, config_id: str, metric: Metric) -> Entry:
    """A mean with its interval, its standing, and over how many cells if not all have a value."""
    if config_id not in rows.index:
        return Entry("-")
    row: Any = rows.loc[config_id]
    small = [_interval(row["low"], row["high"], metric)]
    small += [f"({row['n']:.0f} of {row['n'] + row['nulls']:.0f})"] if row["n"] and row["nulls"] else []
    best = bool(row["best"])
    return Entry(value_text(row["mean"], metric), " ".join(filter(None, small)), best, bool(row["tied"]) and not best)


def _wide(scores: pd.DataFrame, texts: pd.DataFrame, metrics: Sequence[Metric]) -> pd.DataFrame:
    """One row a category and configuration; of each metric the mean, the interval, nulls and standing."""
    columns = {
        "mean": "",
        "low": "_low",
        "high": "_high",
        "n": "_n",
        "nulls": "_nulls",
        "best": "_best",
        "tied": "_tied",
    }
    keys = ["category", "config_id"]
    if scores.empty:
        return scores
    wide = scores.pivot(index=keys, columns="metric", values=list(columns))
    wanted = [(column, metric.name) for metric in metrics for column in columns]
    named = pd.concat([wide[one].rename(f"{one[1]}{columns[one[0]]}") for one in wanted], axis=1)
    failed = scores.groupby(keys)["failed"].max()
    return named.join(failed).copy().reset_index().join(texts, on="config_id").pipe(_settings_first, texts)


def _settings_first(table: pd.DataFrame, texts: pd.DataFrame) -> pd.DataFrame:
    first = ["category", "config_id", *texts.columns, "failed"]
    return table[[*first, *table.columns.drop(first)]]


def _ordered(found: pd.DataFrame, analysis: Analysis) -> pd.DataFrame:
    """Rows in the order of categories, without `ALL` where there is only one."""
    names = categories_in_order(analysis)
    rows = found[found["category"].isin(names)]
    return rows.sort_values("category", key=lambda column: column.map(names.index), kind="stable")


def _name(category: str) -> str:
    return "all categories, each counting alike" if category == ALL else category


def _estimate(mean: float, low: float, high: float, metric: Metric) -> Entry:
    return Entry(value_text(mean, metric), _interval(low, high, metric))


def _interval(low: float, high: float, metric: Metric) -> str:
    """Nothing where there is no interval, as for one prompt pair."""
    return "" if pd.isna(low) or pd.isna(high) else f"[{value_text(low, metric)}, {value_text(high, metric)}]"


def _p(p: float) -> str:
    return "-" if pd.isna(p) else "<0.001" if p < 0.001 else f"{p:.3f}"


def _plain(value: Any, form: str) -> str:
    return "-" if pd.isna(value) else format(value, form)
