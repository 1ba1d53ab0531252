from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest

import sweeps.provenance
from sweeps.provenance import mixtures, renewals, superseded
from tests.sweeps.frames import frame, row

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_uniform_summary_has_no_mixtures():
    assert mixtures(frame([row(k=0.1), row(k=0.3)])) == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"device": "NVIDIA H200"}, "device differs: cpu (2 cells), NVIDIA H200 (1 cells)"),
        ({"model_digest": "f" * 16}, f"model_digest of world differs: {'0' * 16} (2 cells), {'f' * 16} (1 cells)"),
        ({"versions": '{"torch": "2.12"}'}, "torch differs: 2.11 (2 cells), 2.12 (1 cells)"),
        ({"pixels_version": 2}, "pixels_version differs: 1 (2 cells), 2 (1 cells)"),
    ],
)
def test_what_is_mixed_is_named_with_its_cells(changes, line):
    rows = [row(k=k, versions='{"torch": "2.11"}') for k in (0.1, 0.2)]
    assert mixtures(frame([*rows, row(k=0.3, **{"versions": '{"torch": "2.11"}', **changes})])) == [line]
    assert mixtures(frame([*rows, row(k=0.3, **changes, status="failed")])) == []


def test_of_cells_with_the_same_settings_the_newest_counts():
    rows = [
        {"settings_id": settings, "created_at": NOW + timedelta(minutes=minutes)}
        for settings, minutes in (("a", 0), ("b", 0), ("a", 2), ("a", 1), (None, 0), (None, 1))
    ]
    assert superseded(pd.DataFrame(rows)).tolist() == [True, False, False, True, False, False]


def test_what_is_drawn_again_is_explained(make_cell, monkeypatch):
    cell = make_cell()
    stored = frame([row(settings_id=cell.settings_id, model_digest="old"), row(k=0.9)])
    (line,) = renewals(stored, [cell])
    assert line.startswith("1 stored cells have another model_digest than now, old (1 cells); they are drawn again")
    same = frame([row(settings_id=cell.settings_id, model_digest=cell.model.digest)])
    assert renewals(same, [cell]) == []
    monkeypatch.setattr(sweeps.provenance, "PIXELS_VERSION", 2)
    (line,) = renewals(same, [cell])
    assert "another pixels_version than now, 1 (1 cells)" in line
