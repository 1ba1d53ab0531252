import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from metrics.registry import METRICS
from scripts.report.analysis import ALL, Analysis, analyse
from scripts.report.rendering import Entry, Table, document, latex, markdown
from scripts.report.tables import comparison, counts, leading_terms, recommendations, scores, shares, write_tables
from scripts.report.views import categories_in_order, metrics_in_order, walks
from tests.scripts.report.synthetic import synthetic_results


def entries(table: Table) -> dict[str, list]:
    """A table's columns by the heads' names."""
    names = [head if isinstance(head, str) else head.name for head in table.heads]
    return {name: [row[at] for row in table.rows] for at, name in enumerate(names)}


def changed(analysis: Analysis, where: dict[str, object], **values: object) -> Analysis:
    """The analysis with some of its scores replaced."""
    found = analysis.scores.copy()
    rows = np.logical_and.reduce([found[name] == value for name, value in where.items()])
    for name, value in values.items():
        found.loc[rows, name] = value
    return dataclasses.replace(analysis, scores=found)


def test_scores_show_means_with_intervals_the_best_and_those_as_good(analysis, results):
    first = analysis.scores[(analysis.scores["category"] == "faces") & (analysis.scores["metric"] == "lpips")]
    config_id = first.loc[first["best"], "config_id"].iloc[0]
    other = analysis.configurations.index[analysis.configurations["mark"] == "literature"][0]
    where = {"category": "faces", "metric": "lpips", "config_id": config_id}
    analysis = changed(analysis, where, mean=0.1, low=0.05, high=0.25, n=8, nulls=0)
    where = {**where, "config_id": other}
    analysis = changed(analysis, where, mean=0.5, low=0.4, high=0.6, n=5, nulls=3, tied=True, best=False)
    tables = [table for table in scores(analysis, results)[1] if table.title.startswith("Scores of faces")]
    (lpips,) = [entries(table)["lpips"] for table in tables if "LPIPS" in table.title.split(", ")]
    assert Entry("0.100", "[0.050, 0.250]", best=True, tied=False) in lpips
    assert Entry("0.500", "[0.400, 0.600] (5 of 8)", best=False, tied=True) in lpips
    assert sum(entry.best for entry in lpips) == 1


def test_scores_name_the_known_and_the_recommended_configurations(analysis, results):
    table = next(table for table in scores(analysis, results)[1] if table.title.startswith("Scores of faces"))
    marks = " ".join(row[0] for row in table.rows)
    assert all(marks.count(name) == 1 for name in ("literature", "proposed", "recommended"))
    literature = next(row for row in table.rows if "literature" in row[0])
    assert literature[1:5] == ("0.3", "0.8", "0.2", "0")


def test_the_csv_has_every_category_and_configuration(analysis, results):
    data = scores(analysis, results)[2].set_index(["category", "config_id"])
    assert len(data) == 3 * 16
    own = analysis.scores[analysis.scores["metric"] == "ssim"].set_index(["category", "config_id"])
    pd.testing.assert_series_equal(data["ssim"].astype(float), own["mean"].reindex(data.index), check_names=False)
    assert data.loc["animals", "identity_distance"].isna().all()
    assert (data.loc["animals", "identity_distance_nulls"] == 8).all()


def test_comparison_is_proposed_less_literature(analysis, results):
    tables = comparison(analysis, results)[1]
    assert [table.title.rpartition(", ")[2] for table in tables][:2] == ["animals", "faces"]
    row = next(row for row in tables[1].rows if row[0] == "CLIP ↑")
    assert float(row[3].text) == pytest.approx(float(row[2]) - float(row[1]), abs=0.011)
    assert row[3].text.startswith("+"), "the literature replaces more of the cross-attention, which costs CLIP here"
    assert row[4] == "<0.001"
    assert row[3].best


def test_recommendations_without_intervals_show_none(analysis, results):
    bare = analysis.recommended.assign(words_low=np.nan, words_high=np.nan)
    (table,) = recommendations(dataclasses.replace(analysis, recommended=bare), results)[1]
    assert [row[0] for row in table.rows] == ["animals", "faces", ALL]
    words = entries(table)[analysis.words]
    assert all(entry.small == "" and entry.text != "nan" for entry in words)


def test_shares_of_a_row_are_whole(analysis, results):
    for table in shares(analysis, results)[1]:
        for row in table.rows:
            assert sum(float(text.rstrip("%")) for text in row[1:] if text != "-") == pytest.approx(100, abs=0.5)


def test_leading_terms_are_the_main_effects_then_the_largest_interactions():
    table = pd.DataFrame(
        {"term": ["k x v_inject_steps", "v_inject_steps", "k", "a x b"], "share": [0.3, 0.1, 0.2, 0.4]}
    )
    assert leading_terms(table, 3) == ["k", "v_inject_steps", "a x b"]


def test_counts_tell_failures_and_missing_values(results):
    cells = results.cells.copy()
    cells.loc[cells.index[cells["category"] == "faces"][:3], "status"] = "failed"
    data = counts(None, dataclasses.replace(results, cells=cells))[2].set_index("category")
    assert data.loc["faces", ["ok", "failed", "lpips"]].to_list() == [125, 3, 0]
    assert data.loc["animals", ["ok", "failed", "identity_distance"]].to_list() == [128, 0, 128]


def test_everything_is_written_and_nothing_says_nan(analysis, results, tmp_path):
    written = write_tables(analysis, results, tmp_path)
    assert all(path.stat().st_size for path in written)
    names = {path.name for path in written}
    assert {
        f"{name}.{end}" for name in ("scores", "comparison", "recommended") for end in ("md", "tex", "csv")
    } <= names
    for path in written:
        if path.suffix != ".csv":
            assert not re.search(r"\bnan\b|\binf\b", path.read_text()), path


def test_a_table_with_nothing_to_say_is_not_left_from_an_earlier_report(analysis, results, tmp_path):
    write_tables(analysis, results, tmp_path)
    without = dataclasses.replace(analysis, comparison=analysis.comparison[:0], shares=analysis.shares[:0])
    write_tables(without, results, tmp_path)
    folder = tmp_path / "tables"
    assert not [*folder.glob("comparison.*"), *folder.glob("shares.*")]
    assert r"\input{comparison}" not in (folder / "report.tex").read_text()
    assert r"\input{scores}" in (folder / "report.tex").read_text()


def test_latex_rows_have_as_many_entries_as_columns(analysis, results, tmp_path):
    write_tables(analysis, results, tmp_path)
    for path in (tmp_path / "tables").glob("*.tex"):
        text = path.read_text()
        assert text.count("{") == text.count("}"), path
        for columns, body in re.findall(r"\\begin\{tabular\}\{@\{\}(\w+)@\{\}\}(.*?)\\end\{tabular\}", text, re.DOTALL):
            rows = [line for line in body.splitlines() if line.endswith(r"\\")]
            assert {line.replace(r"\&", "").count("&") for line in rows} == {len(columns) - 1}, path


def test_long_tables_are_split_and_special_characters_escaped():
    rows = tuple((f"50% & {at}", Entry("1.0", "[0, 2]", best=True)) for at in range(70))
    text = latex([Table("a_b", ("#", METRICS["lpips"]), rows, "x < y")])
    assert text.count(r"\begin{tabular}") == 2
    assert r"a\_b, continued" in text
    assert r"50\% \& 69 & \textbf{1.0} {\tiny [0, 2]} \\" in text
    assert r"x \textless{} y" in text
    assert "**1.0** [0, 2]" in markdown("all", [Table("a_b", ("#", METRICS["lpips"]), rows)])


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex; Debian has it in texlive-latex-recommended")
def test_the_document_compiles_as_is(analysis, results, tmp_path):
    write_tables(analysis, results, tmp_path)
    folder = tmp_path / "tables"
    assert r"\documentclass" in document("a", ["b"], ["100% c_d"])
    run = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "report.tex"]
    done = subprocess.run(run, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Overfull" not in done.stdout
    assert (folder / "report.pdf").stat().st_size > 10_000


def test_metrics_begin_with_words_and_keep(analysis, results):
    names = [metric.name for metric in metrics_in_order(analysis, results)]
    assert names[:2] == [analysis.words, analysis.keep]
    assert len(names) == len(set(names)) == len(results.metrics)
    assert categories_in_order(analysis) == ["animals", "faces", ALL]


def test_walks_vary_one_hyperparameter_through_a_centre(analysis):
    found = {walk.hyperparameter: walk for walk in walks(analysis, "faces", ("literature",))}
    assert list(found) == ["k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"]
    walk = found["cross_replace_steps"]
    assert (walk.values, walk.home, walk.others) == (("0.2", "0.8"), 1, "k 0.3, self 0.2, V 0")
    rows = analysis.configurations.loc[list(walk.config_ids)]
    assert rows["cross_replace_steps"].to_list() == [0.2, 0.8]
    assert (rows["k"].astype(float) == 0.3).all()
    assert (rows["self_replace_steps"] == 0.2).all()


def test_the_spreads_over_seeds_have_a_row_a_category_and_configuration(results, analysis, tmp_path):
    write_tables(analysis, results, tmp_path)
    table = pd.read_csv(tmp_path / "tables" / "robustness.csv").set_index(["category", "config_id"])
    assert table.index.is_unique
    for row in analysis.robustness.itertuples():
        assert table.loc[(row.category, row.config_id), row.metric] == pytest.approx(row.value, rel=1e-5)
    one_seed = synthetic_results(seeds=1)
    write_tables(analyse(one_seed), one_seed, tmp_path)
    assert not (tmp_path / "tables" / "robustness.csv").exists()


def test_what_holds_of_a_configuration_as_a_whole_is_shown_where_it_is_known(results, analysis, tmp_path):
    proposed = analysis.configurations.index[analysis.configurations["mark"] == "proposed"][0]
    rows = [
        (proposed, "faces", "face_detection_rate", 0.875, None),
        (proposed, "faces", "realism", None, "too_few"),
        (proposed, "faces", "robustness_lpips", 0.1, None),
    ]
    known = pd.DataFrame(rows, columns=["config_id", "category", "metric", "value", "reason"])
    write_tables(analysis, dataclasses.replace(results, aggregates=known), tmp_path)
    text = (tmp_path / "tables" / "wholes.md").read_text()
    assert "0.875" in text
    assert "KID:" not in text
    assert "too_few" in (tmp_path / "tables" / "wholes.csv").read_text()
    write_tables(analysis, results, tmp_path)
    assert not (tmp_path / "tables" / "wholes.md").exists()
