"""What tables and pictures ask of an `Analysis`: metrics in order, settings in words, walks along a hyperparameter."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from metrics.registry import Metric
from scripts.report.analysis import ALL, Analysis
from scripts.report.results import Results
from sweeps.configurations import AXES, KNOWN

RECOMMENDED = "recommended"
CENTRES = (*KNOWN, RECOMMENDED)
"""Configurations that a walk may pass through."""
_FIRST = ("attribute_success", "attribute_kept", "identity_distance", "cycle_lpips")


@dataclass(frozen=True)
class Walk:
    """Configurations of a category that differ in one hyperparameter alone, in its order.

    Attributes:
        hyperparameter: a key of `AXES`.
        centre: a name of `CENTRES`; the other hyperparameters are its.
        others: what they are, in words.
        values: of the hyperparameter, in words.
        config_ids: as many as values.
        home: the place of the centre itself.
    """

    hyperparameter: str
    centre: str
    others: str
    values: tuple[str, ...]
    config_ids: tuple[str, ...]
    home: int


def metrics_in_order(analysis: Analysis, results: Results) -> list[Metric]:
    """The metrics that have values: words and keep first, then those that tell most, then the others."""
    there = set(analysis.scores.loc[analysis.scores["mean"].notna(), "metric"])
    first = [analysis.words, analysis.keep, *_FIRST]
    place = {name: at for at, name in reversed(list(enumerate(first)))}
    found = [metric for metric in results.metrics if metric.name in there]
    return sorted(found, key=lambda metric: place.get(metric.name, len(first)))


def categories_in_order(analysis: Analysis) -> list[str]:
    """Categories by name, `ALL` last; without it where there is only one."""
    names = sorted(set(analysis.scores["category"]) - {ALL})
    return [*names, ALL] if len(names) != 1 else names


def axis_values(analysis: Analysis) -> pd.DataFrame:
    """The hyperparameters in numbers, by config_id; NaN is no blend, or a window that is no single number."""
    return analysis.configurations[list(AXES)].apply(pd.to_numeric, errors="coerce")


def settings(analysis: Analysis) -> pd.DataFrame:
    """Everything that tells configurations apart, as texts, by config_id; `mark` last."""
    table = analysis.configurations
    numeric = [axis for axis, head in AXES.items() if axis != head]
    texts = table.drop(columns=numeric, errors="ignore")
    if pd.api.types.is_numeric_dtype(texts["k"]):
        texts = texts.assign(k=[value_name(value) for value in texts["k"]])
    return texts[[*texts.columns.drop("mark"), "mark"]].astype(str)


def value_name(value: float) -> str:
    """A hyperparameter's value in words."""
    return "none" if math.isnan(value) else f"{value:g}"


def records(table: pd.DataFrame) -> Iterator[Any]:
    """Rows with the columns as attributes."""
    return iter(table.itertuples(index=False))


def in_words(texts: Any) -> str:
    """A row of `settings` in one line, without its mark: `k 0.3, cross 0.8, self 0.2, V 0`."""
    return ", ".join(f"{head} {value}" for head, value in texts.items() if head != "mark")


def recommended(analysis: Analysis, category: str) -> str | None:
    """The config_id recommended for a category, if there is one."""
    rows = analysis.recommended
    found = rows.loc[rows["category"] == category, "config_id"]
    return str(found.iloc[0]) if len(found) else None


def marked(analysis: Analysis, category: str) -> dict[str, list[str]]:
    """The config_ids of each name of `CENTRES` in a category, those that there are."""
    marks = analysis.configurations["mark"]
    found = {name: [str(config_id) for config_id in marks.index[marks == name]] for name in KNOWN}
    best = recommended(analysis, category)
    found[RECOMMENDED] = [best] if best is not None else []
    return {name: config_ids for name, config_ids in found.items() if config_ids}


def walks(analysis: Analysis, category: str, centres: Sequence[str]) -> Iterator[Walk]:
    """Each hyperparameter's walk through each of the named centres, as far as the sweep has at least two values."""
    values, texts = axis_values(analysis), settings(analysis)
    frozen = pd.concat([texts.drop(columns=["mark", *AXES.values()]), values.fillna(-1.0)], axis=1)
    for centre, config_ids in marked(analysis, category).items():
        if centre not in centres:
            continue
        for axis in AXES:
            others = frozen.drop(columns=axis)
            line = values.loc[(others == others.loc[config_ids[0]]).all(axis=1), axis].sort_values(na_position="first")
            if len(line) > 1 and not line.duplicated().any():
                own: Any = texts.loc[config_ids[0]]
                words = in_words(own.drop(AXES[axis]))
                home = list(line.index).index(config_ids[0])
                steps = tuple(texts.loc[line.index, AXES[axis]])
                yield Walk(axis, centre, words, steps, tuple(str(one) for one in line.index), home)


def chunks(metrics: Sequence[Metric], size: int) -> Iterator[Sequence[Metric]]:
    """Metrics, so many at a time."""
    return (metrics[at : at + size] for at in range(0, len(metrics), size))
