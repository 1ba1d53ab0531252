"""Where the cells of a sweep come from: weights, versions and devices, and where they are mixed."""

import json
from collections.abc import Iterator, Sequence

import pandas as pd

from sweeps.cells import PIXELS_VERSION, Cell

SCORE_SOURCES = "score_sources"
"""Where a summary carries the lines of `score_sources` (`DataFrame.attrs`)."""


def mixtures(summary: pd.DataFrame) -> list[str]:
    """A line for everything that differs between the drawn cells, or their scores, and is no setting: how many."""
    drawn = summary[summary["status"] == "ok"]
    lines = [f"{name} differs: {_counts(column)}" for name, column in _sources(drawn) if column.nunique() > 1]
    return [*lines, *summary.attrs.get(SCORE_SOURCES, [])]


def score_sources(scores: pd.DataFrame, newest: pd.DataFrame) -> list[str]:
    """A line for every metric that has older scores beside those in use, or scores of several versions or networks."""
    lines = []
    for metric, used in newest.groupby("metric", sort=False):
        old = int((scores["metric"] == metric).sum()) - len(used)
        sources = "version " + used["metric_version"].astype(str) + " by " + used["network"].astype(str)
        if old or sources.nunique() > 1:
            older = f"; {old} older scores are kept and not used" if old else ""
            lines.append(f"scores of {metric} are the newest: {_counts(sources)}{older}")
    return lines


def renewals(edits: pd.DataFrame, to_draw: Sequence[Cell]) -> list[str]:
    """A line for each reason why stored cells are drawn again: the model's weights or `pixels_version` are others."""
    if edits.empty:
        return []
    asked = {cell.settings_id: cell for cell in to_draw}
    old = edits[(edits["status"] == "ok") & edits["settings_id"].isin(asked.keys())]
    cells = [asked[settings_id] for settings_id in old["settings_id"]]
    now = pd.DataFrame(
        {"model_digest": [cell.model.digest for cell in cells], "pixels_version": PIXELS_VERSION}, index=old.index
    )
    return [
        f"{int(other.sum())} stored cells have another {name} than now, {_counts(old[name][other])}; "
        "they are drawn again, and tables leave the old ones out"
        for name in now
        if (other := old[name] != now[name]).any()
    ]


def superseded(edits: pd.DataFrame) -> pd.Series:
    """For each row whether a newer one has its settings under another identity: other weights or `pixels_version`."""
    known = edits["settings_id"].notna()
    ordered = edits[known].sort_values("created_at", kind="stable")
    older = ordered[ordered.duplicated("settings_id", keep="last")]
    return pd.Series(edits.index.isin(older.index), index=edits.index)


def _sources(drawn: pd.DataFrame) -> Iterator[tuple[str, pd.Series]]:
    yield "device", drawn["device"]
    for model, cells in drawn.groupby("model"):
        yield f"model_digest of {model}", cells["model_digest"]
    yield "pixels_version", drawn["pixels_version"]
    distinct = {text: json.loads(text) for text in drawn["versions"].dropna().unique()}
    for name in dict.fromkeys(name for versions in distinct.values() for name in versions):
        yield name, drawn["versions"].map(lambda text, name=name: distinct.get(text, {}).get(name))


def _counts(column: pd.Series) -> str:
    return ", ".join(f"{value} ({number} cells)" for value, number in column.value_counts().items())
