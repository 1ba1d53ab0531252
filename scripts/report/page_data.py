"""The data of a report's page, as scripts that define it: a page opened from disk may load scripts, but no data files.

Numbers are columns of little-endian bytes in base64, texts are dictionaries with codes.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from scripts.report.analysis import ALL, Analysis
from scripts.report.findings import Finding
from scripts.report.results import Results
from sweeps.configurations import AXES, configurations

Column = dict[str, Any]
PAIR = ["category", "pair", "source_prompt", "target_prompt"]
"""The columns that tell prompt pairs apart: pairs given by hand may share a name."""
_MEANS = ("mean", "low", "high")
_COUNTS = ("n", "pairs", "seeds", "nulls", "failed")


def script(name: str, value: Any) -> bytes:
    """A script that defines the page's data of this name."""
    text = json.dumps(_plain(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return f"DATA.{name} = {text};\n".encode()


def numbers(values: Any, kind: str | None = None) -> Column:
    """Numbers as bytes: `kind` is numpy's, by default the smallest of whole numbers that holds them."""
    array = np.asarray(values)
    if kind is None:
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        kind = next(k for k in ("i1", "i2", "i4") if np.iinfo(k).min < low and high <= np.iinfo(k).max)
    return {"kind": kind, "data": base64.b64encode(array.astype(f"<{kind}").tobytes()).decode()}


def texts(column: pd.Series) -> Column:
    """Texts as codes into a dictionary; -1 for none."""
    codes, words = pd.factorize(column)
    return {"words": list(words), "codes": numbers(codes)}


def rounded(column: pd.Series, digits: int) -> Column:
    """Numbers to so many decimals, as whole numbers; the smallest that the kind can hold stands for none.

    They are rounded as tables round them, exact halves to even.
    """
    scaled = [round(round(value, digits) * 10**digits) if np.isfinite(value) else None for value in column]
    there = [value for value in scaled if value is not None]
    kind: str = numbers(there)["kind"]
    none = int(np.iinfo(kind).min)
    return {"digits": digits, **numbers([none if value is None else value for value in scaled], kind)}


def category_names(cells: pd.DataFrame) -> list[str]:
    """The categories, and `ALL` where there are several."""
    names = sorted(cells["category"].dropna().unique())
    return [*names, ALL] if len(names) > 1 else names


def pair_table(cells: pd.DataFrame) -> pd.DataFrame:
    """One row a prompt pair, in the order of categories and names: `PAIR` and `kind`."""
    return cells.drop_duplicates(PAIR)[[*PAIR, "kind"]].sort_values(PAIR, kind="stable").reset_index(drop=True)


def cells_data(cells: pd.DataFrame, results: Results, pictures: Mapping[str, Any]) -> dict[str, Any]:
    """Every cell: its configuration, pair and seed by their places, status, scores and pictures."""
    pairs = pd.MultiIndex.from_frame(pair_table(cells)[PAIR])
    seeds = sorted(cells["seed"].unique())
    return {
        "id": list(cells["cell_id"]),
        "config": numbers(configurations(cells).index.get_indexer(pd.Index(cells["config_id"]))),
        "pair": numbers(pairs.get_indexer(pd.MultiIndex.from_frame(cells[PAIR]))),
        "seed": numbers(np.searchsorted(seeds, cells["seed"])),
        "status": texts(cells["status"]),
        "error": texts(cells["error"]),
        "scores": [rounded(cells[metric.name], metric.digits) for metric in results.metrics],
        "pictures": pictures,
    }


def scores_data(analysis: Analysis, results: Results) -> list[dict[str, Any]]:
    """Of each category its configurations' places and, metric by metric, their means, intervals and counts.

    `best` is 2 for the best mean, 1 for what cannot be told apart from it.
    """
    cells, names = results.cells, [metric.name for metric in results.metrics]
    places = pd.Index(configurations(cells).index)
    found = []
    for category in category_names(cells):
        own = cells if category == ALL else cells[cells["category"] == category]
        ids = places[places.isin(own["config_id"])]
        rows = analysis.scores[analysis.scores["category"] == category].set_index(["metric", "config_id"])
        rows = rows.reindex(pd.MultiIndex.from_product([names, ids]))
        best = np.where(rows["best"].eq(True), 2, np.where(rows["tied"].eq(True), 1, 0))
        found.append(
            {"configs": numbers(places.get_indexer(ids)), "best": numbers(best)}
            | {name: numbers(rows[name].astype(float), "f8") for name in _MEANS}
            | {name: numbers(rows[name].fillna(0).astype(int)) for name in _COUNTS}
        )
    return found


def report_data(analysis: Analysis, results: Results, findings: Sequence[Finding]) -> dict[str, Any]:
    """Everything that is small: what the sweeps are, what they show, and the texts of the page."""
    cells = results.cells
    kinds, categories = configurations(cells), category_names(cells)
    places = {config_id: place for place, config_id in enumerate(kinds.index)}
    pairs = pair_table(cells)
    front = analysis.front[analysis.front["config_id"].isin(places)]
    return {
        "title": ", ".join(results.names),
        "facts": _facts(cells),
        "notes": list(analysis.notes),
        "findings": [
            {name: getattr(one, name) for name in ("claim", "verdict", "text", "command")} for one in findings
        ],
        "all": ALL,
        "categories": categories,
        "metrics": [_metric(metric) for metric in results.metrics],
        "words": analysis.words,
        "keep": analysis.keep,
        "axes": [_axis(head, kinds[head], cells) for head in kinds.columns if head != "mark"],
        "configs": {"id": list(kinds.index), "mark": list(kinds["mark"])},
        "pairs": [{**row, "category": categories.index(row["category"])} for row in pairs.to_dict("records")],
        "seeds": [int(seed) for seed in sorted(cells["seed"].unique())],
        "front": {name: [places[one] for one in rows["config_id"]] for name, rows in front.groupby("category")},
        "recommended": [
            {**row, "config": places.get(row["config_id"], -1)} for row in analysis.recommended.to_dict("records")
        ],
        "comparison": analysis.comparison.to_dict("records"),
        "marginal": analysis.marginal.to_dict("records"),
        "shares": analysis.shares.to_dict("records"),
        "dead": analysis.dead.to_dict("records"),
    }


def _facts(cells: pd.DataFrame) -> dict[str, Any]:
    """What the head of the page says."""
    steps = sorted(int(number) for number in cells["num_inference_steps"].unique())
    return {
        "cells": len(cells),
        "failed": int((cells["status"] != "ok").sum()),
        "configurations": int(cells["config_id"].nunique()),
        "pairs": len(pair_table(cells)),
        "seeds": int(cells["seed"].nunique()),
        "model": ", ".join(sorted({Path(str(model)).name for model in cells["model"].unique()})),
        "steps": ", ".join(map(str, steps)),
    }


def _metric(metric: Any) -> dict[str, Any]:
    better = {True: 1, False: -1, None: 0}[metric.higher_is_better]
    return {name: getattr(metric, name) for name in ("name", "label", "question", "range", "digits")} | {
        "better": better
    }


def _axis(head: str, column: pd.Series, cells: pd.DataFrame) -> dict[str, Any]:
    """An axis: its values in order, no blend first, and every configuration's place among them."""
    column = column.astype(str)
    order = {"none": -np.inf}
    for value in column.unique():
        order.setdefault(value, pd.to_numeric(value, errors="coerce"))
    values = sorted(column.unique(), key=lambda value: (bool(np.isnan(order[value])), order[value], value))
    name = next((axis for axis, own in AXES.items() if own == head), head)
    codes = [values.index(value) for value in column]
    return {"head": head, "name": name, "values": values, "codes": numbers(codes)}


def _plain(value: Any) -> Any:
    """A value as JSON has it: NaN and its like become null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if value is None or value is pd.NaT or (isinstance(value, float) and not np.isfinite(value)):
        return None
    return value
