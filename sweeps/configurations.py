"""The configurations of a summary in words, for tables and figures."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd

from p2p.edits import DEFAULT

AXES: Mapping[str, str] = {
    "k": "k",
    "cross_replace_steps": "cross",
    "self_replace_steps": "self",
    "v_inject_steps": "V",
}
"""The summary's columns that every table shows of a configuration, and their heads."""

KNOWN: Mapping[str, tuple[float, float, float, float]] = {
    "literature": (0.3, 0.8, 0.2, 0.0),
    "proposed": (0.0, 0.2, 0.8, 0.0),
}
"""Configurations with a name: k, cross, self, V."""

_OTHERS = ("model", "dtype", "num_inference_steps", "guidance_scale", "cycle_mode")
_WORDS = ("kind", "equalizer", "local_blend", *AXES)
_MARK = "mark"
_ID = "configuration"


def configurations(summary: pd.DataFrame) -> pd.DataFrame:
    """One row a configuration, by `config_id`, ordered by k, cross, self and V: texts under the heads of `AXES`.

    Further columns appear where configurations differ in them: other settings, and `configuration`, the beginning of
    the id, if nothing else tells two of them apart. `mark` names the configurations of `KNOWN`.
    """
    first = summary.drop_duplicates("config_id").set_index("config_id")
    first = first.sort_values([*AXES, *_OTHERS], kind="stable", na_position="last")
    edits = first["edit"].map(json.loads)
    table = pd.DataFrame({head: _texts(first[axis], edits, axis) for axis, head in AXES.items()}, index=first.index)
    others = first[list(_OTHERS)].map(_text).join(pd.DataFrame(edits.map(_settings).tolist(), index=first.index))
    table = table.join(others.loc[:, others.nunique() > 1].fillna(""))
    if table.duplicated().any():
        table[_ID] = first.index.str[:8]
    table[_MARK] = [_mark(row) for row in first[list(AXES)].itertuples(index=False)]
    return table


def other_settings(table: pd.DataFrame) -> pd.DataFrame:
    """What configurations differ in besides the hyperparameters of `AXES`, of a table that `configurations` made."""
    return table.drop(columns=[*AXES, *AXES.values(), _MARK, _ID], errors="ignore")


def in_one_line(table: pd.DataFrame) -> pd.Series:
    """The texts of each row with their heads: `guidance_scale 5, cycle_mode swap`; empty without columns."""
    lines = [", ".join(f"{head} {text}" for head, text in row.items()) for _, row in table.iterrows()]
    return pd.Series(lines, table.index, dtype=object)


def describe(row: pd.Series) -> list[str]:
    """A row of `configurations` as short texts: its mark if it has one, then `k 0.3`, `cross 0.8`, ..."""
    texts = [f"{head} {value}" for head, value in row.items() if head != _MARK]
    return [row[_MARK], *texts] if row[_MARK] else texts


def window_text(window: Any) -> str:
    """A window of an edit's JSON: `0.8`, `0.2-0.8`, or by word `0.8, fluffy 0.2-0.6`."""
    if isinstance(window, Mapping):
        words = [f"{word} {window_text(own)}" for word, own in window.items() if word != DEFAULT]
        return ", ".join([window_text(window[DEFAULT]), *words] if DEFAULT in window else words)
    start, end = window
    return f"{end:g}" if start == 0 else f"{start:g}-{end:g}"


def _texts(column: pd.Series, edits: pd.Series, axis: str) -> list[str]:
    return [_axis_text(value, edit.get(axis)) for value, edit in zip(column, edits, strict=True)]


def _axis_text(value: Any, setting: Any) -> str:
    if not pd.isna(value):
        return f"{value:g}"
    return "none" if setting is None else window_text(setting)


def _settings(edit: Mapping[str, Any]) -> dict[str, str]:
    """An edit's settings besides windows and words, one text each."""
    found = {name: _text(value) for name, value in edit.items() if name not in _WORDS}
    for name, value in edit.get("v_inject", {}).items():
        found[f"v_inject.{name}"] = _text(value)
    found.pop("v_inject", None)
    found["scales"] = ", ".join(f"{scale:g}" for scale in sorted(edit.get("equalizer", {}).values())) or "1"
    if "local_blend" in edit:
        found["start_blend"] = _text(edit["local_blend"].get("start_blend"))
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _mark(axes: tuple[Any, ...]) -> str:
    for name, values in KNOWN.items():
        if all(not pd.isna(axis) and abs(axis - value) < 1e-9 for axis, value in zip(axes, values, strict=True)):
            return name
    return ""
