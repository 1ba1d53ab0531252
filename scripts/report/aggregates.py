"""Tables of what holds of a configuration as a whole, for the named and the recommended configurations."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from metrics.registry import AGGREGATES, Metric
from scripts.report.analysis import Analysis
from scripts.report.rendering import Made, Table
from scripts.report.results import Results
from scripts.report.views import categories_in_order, chunks, in_words, marked, metrics_in_order, settings
from sweeps.table_text import value_text

_WIDE = 8
_BY = ["category", "config_id", "metric"]


def robustness(analysis: Analysis, results: Results) -> Made:
    """The spread over seeds of each score. The CSV has a row a category and configuration, as that of the scores."""
    found = analysis.robustness
    metrics = [metric for metric in metrics_in_order(analysis, results) if metric.name in set(found["metric"])]
    note = "Standard deviation over seeds within a prompt pair, averaged over pairs; low is robust."
    tables = _tables("Spread over seeds", note, analysis, metrics, found)
    wide = found.pivot(index=_BY[:2], columns="metric", values="value")[[metric.name for metric in metrics]]
    return "Robustness over seeds", tables, wide.reset_index().join(settings(analysis), on="config_id")


def wholes(analysis: Analysis, results: Results) -> Made:
    """Realism and how often faces were found, as the sweep's aggregates have them; null with its reason in the CSV."""
    found = results.aggregates[results.aggregates["metric"].isin(list(AGGREGATES))]
    valued = set(found.loc[found["value"].notna(), "metric"])
    metrics = [metric for name, metric in AGGREGATES.items() if name in valued]
    note = "KID against plain pictures of the target prompts from other seeds; faces found in both source and edit."
    tables = _tables("Configurations as wholes", note, analysis, metrics, found)
    return "Realism and detection", tables, found.join(settings(analysis), on="config_id")


def _tables(title: str, note: str, analysis: Analysis, metrics: Sequence[Metric], found: pd.DataFrame) -> list[Table]:
    values: Mapping[Any, Any] = found.drop_duplicates(_BY).set_index(_BY)["value"].to_dict()
    texts = settings(analysis)
    tables = []
    for part in chunks(metrics, _WIDE):
        rows = [
            (category, name, in_words(texts.loc[config_id]), *(value_text(one, metric) for one, metric in own))
            for category in categories_in_order(analysis)
            for name, config_ids in marked(analysis, category).items()
            for config_id in config_ids
            for own in [[(values.get((category, config_id, metric.name), math.nan), metric) for metric in part]]
            if any(not math.isnan(value) for value, _ in own)
        ]
        heads = ("category", "", "configuration", *(metric.label for metric in part))
        names = ", ".join(metric.label for metric in part)
        tables += [Table(f"{title}: {names}", heads, tuple(rows), note, 3)] if rows else []
    return tables
