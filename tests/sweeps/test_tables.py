import io
import json

import numpy as np
import pandas as pd
import pytest

from metrics.registry import METRICS
from sweeps.tables import latex, markdown, summary_table, terminal_table, write_tables
from tests.sweeps.frames import QUICKSTART, frame, row

LITERATURE = {"k": 0.3, "cross": 0.8, "self_": 0.2}
PROPOSED = {"k": 0.0, "cross": 0.2, "self_": 0.8}


@pytest.fixture
def summary() -> pd.DataFrame:
    """Two configurations, two categories; some values are missing and one cell has failed."""
    return frame(
        [
            row(**LITERATURE, cell_id="a", clip_score=20.0, lpips=0.4, identity_distance=0.1),
            row(**LITERATURE, cell_id="b", clip_score=30.0, lpips=None, identity_distance=0.3),
            row(**PROPOSED, cell_id="c", clip_score=28.0, lpips=0.2, identity_distance=0.5),
            row(**PROPOSED, cell_id="d", status="failed", error="out of memory", clip_score=None),
            row(**LITERATURE, category="food", cell_id="e", clip_score=10.0, lpips=0.6),
            row(**PROPOSED, category="food", cell_id="f", clip_score=12.0, lpips=0.6),
        ]
    )


def cells(text: str) -> dict[tuple[str, str, str], list[str]]:
    """Rows of a Markdown table, by category, k and cross."""
    found, category = {}, ""
    for line in text.splitlines():
        if line.startswith("## "):
            category = line[3:]
        elif line.startswith("| ") and "CLIP" not in line:
            parts = [part.strip() for part in line.strip("|").split("|")]
            found[category, parts[0], parts[1]] = parts
    return found


def test_means_are_by_category_and_configuration_and_skip_nulls(summary):
    table = summary_table(summary).set_index(["category", "k"])
    assert table["clip_score"].to_dict() == {
        ("faces", "0"): 28, ("faces", "0.3"): 25, ("food", "0"): 12, ("food", "0.3"): 10,
    }  # fmt: skip
    assert table.loc[("faces", "0.3"), "lpips"] == 0.4
    assert table["n"].to_list() == [1, 2, 1, 1]
    assert table["failed"].to_list() == [1, 0, 0, 0]
    assert table["lpips_nulls"].to_list() == [0, 1, 0, 0]


def test_nothing_counts_as_0(summary):
    table = summary_table(summary).set_index(["category", "k"])
    assert np.isnan(table.loc[("food", "0"), "identity_distance"])
    assert table.loc[("food", "0"), "identity_distance_nulls"] == 1


def test_markdown_is_bold_where_a_column_is_best_in_its_direction(summary):
    found = cells(markdown(summary_table(summary)))
    literature, proposed = found["faces", "0.3", "0.8"], found["faces", "0", "0.2"]
    assert literature[-3:] == ["25.00", "0.400 (1 of 2)", "**0.200**"]
    assert proposed[-3:] == ["**28.00**", "**0.200**", "0.500"]
    assert len(found["food", "0", "0.2"]) == len(literature) == 10
    assert found["food", "0", "0.2"][-3:] == ["**12.00**", "0.600", "-"], "ties of all are not bold"
    assert (literature[4], proposed[4]) == ("literature", "proposed")


def test_markdown_tells_of_failures_only_if_there_are_any(summary):
    assert "1 cells failed or were skipped" in markdown(summary_table(summary))
    fine = markdown(summary_table(summary[summary["status"] == "ok"]))
    assert "failed" not in fine


def test_latex_has_a_whole_tabular_a_category_and_escapes(summary):
    summary["category"] = summary["category"].replace("food", "50% food_&_drink #1")
    text = latex(summary_table(summary))
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") == text.count(r"\toprule") == 2
    assert r"\caption{50\% food\_\&\_drink \#1. Means" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    columns = text.split(r"\begin{tabular}{@{}")[1].split("@{}}")[0]
    assert all(line.replace(r"\&", "").count("&") == len(columns) - 1 for line in rows)
    assert r"\textbf{28.00}" in text
    assert text.count("{") == text.count("}")


def test_written_csv_reads_back(summary, tmp_path):
    write_tables(summary, tmp_path / "tables")
    assert {path.name for path in (tmp_path / "tables").iterdir()} == {"summary.md", "summary.tex", "summary.csv"}
    table = pd.read_csv(tmp_path / "tables" / "summary.csv")
    assert table["clip_score"].to_list() == [28, 25, 12, 10]
    assert table["identity_distance"].isna().to_list() == [False, False, True, True]


def test_terminal_averages_over_categories_alike_and_marks_the_known_configurations(summary):
    lines = terminal_table(summary).splitlines()
    assert lines[0].split()[:4] == ["k", "cross", "self", "V"]
    assert "CLIP↑" in lines[0]
    assert "LPIPS↓" in lines[0]
    assert lines[1].split() == ["P", "0", "0.2", "0.8", "0", "2", "1", "20.00*", "0.400*", "0.500"]
    assert lines[2].split() == ["L", "0.3", "0.8", "0.2", "0", "3", "0", "17.50", "0.500", "0.200*"]
    assert lines[3] == "L: literature; P: proposed; *: best of its column"


def test_terminal_is_at_most_100_columns_wide_with_every_metric_of_the_quickstart():
    metrics = dict.fromkeys(("clip_score", "psnr"), 25.0) | dict.fromkeys(
        ("clip_directional", "lpips", "ssim", "identity_distance", "attribute_success", "attribute_kept"), 0.5
    ) | {"cycle_lpips": 0.1, "cycle_ssim": 0.9, "cycle_mse": 0.001}  # fmt: skip
    rows = [row(*axes, **metrics, cell_id=f"{axes} {pair}") for axes in QUICKSTART for pair in range(10)]
    lines = terminal_table(frame(rows)).splitlines()
    assert len(lines) == 1 + 16 + 1
    assert max(len(line) for line in lines) <= 100


def test_one_cell_has_a_table_without_bests():
    text = terminal_table(frame([row(clip_score=20.0)]))
    assert text.splitlines()[1].split() == ["L", "0.3", "0.8", "0.2", "0", "1", "20.00"]
    assert "*" not in text


def test_when_all_failed_the_table_says_so(tmp_path):
    summary = frame([row(status="failed", clip_score=np.nan), row(v=0.4, status="skipped", clip_score=np.nan)])
    text = terminal_table(summary)
    assert "no cell was drawn" in text
    assert "nan" not in text
    write_tables(summary, tmp_path)
    assert "| -" in (tmp_path / "summary.md").read_text().splitlines()[-1]


def test_without_metrics_there_are_still_counts():
    text = terminal_table(frame([row(), row(v=0.4)]))
    assert text.splitlines()[1].split() == ["L", "0.3", "0.8", "0.2", "0", "1"]
    assert "no scores" in text


def test_no_cells_at_all():
    assert terminal_table(frame([row()]).iloc[:0]) == "no cells"


def windows(**changes) -> dict:
    one = row()
    edit = {**json.loads(one["edit"]), **changes}
    return {**one, "edit": json.dumps(edit), "config_id": json.dumps(changes)}


def test_windows_that_are_no_single_number_come_from_the_edit():
    summary = frame(
        [
            {**windows(cross_replace_steps=[0.2, 0.8]), "cross_replace_steps": None},
            {**windows(cross_replace_steps={"default_": [0, 0.8], "red": [0, 0.3]}), "cross_replace_steps": None},
            {**windows(k=None), "k": None},
        ]
    )
    table = summary_table(summary).set_index("config_id")
    assert set(table["cross"]) == {"0.2-0.8", "0.8, red 0.3", "0.8"}
    assert set(table["k"]) == {"0.3", "none"}
    assert "0.8, red 0.3" in terminal_table(summary)


def test_other_settings_that_differ_become_columns():
    inject = {"layers": "both", "tokens": "aligned", "weight": 1.0}
    summary = frame(
        [
            row(v=0.4, config_id="self"),
            {**windows(v_inject=inject, v_inject_steps=[0, 0.4]), "v_inject_steps": 0.4, "config_id": "both"},
            row(v=0.4, config_id="fewer steps", num_inference_steps=10),
        ]
    )
    table = summary_table(summary).set_index("config_id")
    assert table["v_inject.layers"].to_dict() == {"self": "self", "both": "both", "fewer steps": "self"}
    assert table["num_inference_steps"].to_dict() == {"self": "20", "both": "20", "fewer steps": "10"}
    assert "v_inject.weight" not in table
    assert "configuration" not in table


def test_configurations_that_nothing_tells_apart_show_their_ids():
    table = summary_table(frame([row(config_id="0123456789ab"), row(config_id="fedcba987654")]))
    assert table["configuration"].to_list() == ["01234567", "fedcba98"]


def test_large_grids_show_the_telling_rows():
    rows = [row(k, 0.2, 0.1, v / 100, clip_score=20 + v / 100) for k in (0.0, 0.3) for v in range(30)]
    text = terminal_table(frame([*rows, row(clip_score=20.0)]))
    assert len(text.splitlines()) == 1 + 3 + 1
    assert "58 more configurations are in tables/summary.md" in text


def test_summary_read_from_parquet_gives_the_same_tables(summary):
    buffer = io.BytesIO()
    summary.to_parquet(buffer, index=False)
    assert terminal_table(pd.read_parquet(buffer)) == terminal_table(summary)


def test_a_terminal_with_too_many_metrics_names_those_that_it_leaves_to_the_files():
    scores = dict.fromkeys(METRICS, 0.5)
    lines = terminal_table(frame([row(**known, **scores) for known in ({}, {"k": 0.0})])).splitlines()
    assert lines[-1].endswith(": in tables/summary.md")
    assert lines[-1].startswith("mse, background_mse, cycle_mse, ")
    assert max(map(len, lines)) <= 110
