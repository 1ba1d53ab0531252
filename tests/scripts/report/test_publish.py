import pandas as pd
import pytest

from scripts.report import command, publish
from scripts.report.publish import compress_tables, publish_sweeps
from scripts.report.results import read_results
from tests.scripts.report.synthetic import synthetic_cells, write_summary


@pytest.fixture
def sweep(tmp_path):
    cells = synthetic_cells(pairs=2, seeds=2).assign(source_image="images/source/a.png")
    return write_summary(tmp_path / "small", cells)


def test_a_published_sweep_can_be_reported_on_again_and_refers_to_no_picture(sweep, tmp_path):
    publish_sweeps([sweep], tmp_path / "kept")
    first, again = (read_results([folder]).cells.drop(columns="folder") for folder in (sweep, tmp_path / "kept/small"))
    assert again["source_image"].isna().all()
    pictures = ["source_image", "target_image", "cycle_image"]
    pd.testing.assert_frame_equal(
        first.drop(columns=pictures, errors="ignore"), again.drop(columns=pictures), check_dtype=False
    )


def test_sweeps_of_one_name_are_refused(sweep, tmp_path):
    other = write_summary(tmp_path / "elsewhere" / "small", synthetic_cells())
    with pytest.raises(ValueError, match="two of small, small are alike; rename a folder"):
        publish_sweeps([sweep, other], tmp_path / "kept")


def test_large_tables_are_compressed_and_small_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(publish, "LARGE", 100)
    large = pd.DataFrame({"value": range(100)})
    large.to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "counts.csv").write_text("n\n1\n")
    (tmp_path / "counts.csv.gz").write_bytes(b"of an earlier report")
    compress_tables(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"scores.csv.gz", "counts.csv"}
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "scores.csv.gz"), large)


def test_a_report_that_stands_alone_has_its_sweeps(sweep, tmp_path, capsys):
    others = ("--no-figures", "--no-animations", "--no-page")
    command.report([str(sweep), "--out", str(tmp_path / "kept"), "--publish", "1", *others])
    assert "sweeps" in capsys.readouterr().out
    assert (tmp_path / "kept/sweeps/small/summary.parquet").is_file()
    assert (tmp_path / "kept/tables/scores.csv").is_file()
