import sys

import pandas as pd
import pytest

from scripts.report import command
from tests.scripts.report.synthetic import TRUTH, synthetic_cells, write_summary


@pytest.fixture
def sweep(tmp_path):
    return write_summary(tmp_path / "small", synthetic_cells(pairs=4, seeds=2))


@pytest.fixture
def run(monkeypatch, capsys):
    """Run p2p-report; its exit status, output and errors."""

    def run_(*arguments):
        monkeypatch.setattr(sys, "argv", ["p2p-report", *map(str, arguments)])
        status = 0
        try:
            command.main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        said = capsys.readouterr()
        return status, said.out, said.err

    return run_


def test_a_report_is_written_beside_the_sweep_and_told_in_short(run, sweep):
    status, said, _ = run(sweep, "--no-figures", "--no-animations")
    assert status == 0
    assert (sweep / "report" / "index.html").is_file()
    assert list((sweep / "report" / "tables").glob("*.csv"))
    assert not (sweep / "report" / "figures").exists()
    assert "small: 256 cells of 16 configurations" in said
    assert "Recommended (clip_directional against lpips" in said
    assert "Proposed against literature" in said
    assert "note: intervals rest on few prompt pairs: 4 in animals, 4 in faces" in said
    (line,) = [line for line in said.splitlines() if line.startswith("  clip_directional")]
    assert " -> " in line
    assert "nan" not in said


def test_several_sweeps_need_a_folder_for_their_report(run, sweep, tmp_path):
    other = write_summary(tmp_path / "other", synthetic_cells(categories=("food",)))
    status, _, error = run(sweep, other)
    assert status == 2
    assert "--out is needed" in error
    nothing = ("--no-tables", "--no-figures", "--no-animations", "--no-page")
    status, said, _ = run(sweep, other, "--out", tmp_path / "both", *nothing)
    assert status == 0
    assert "small, other: " in said


def test_one_pair_is_told_without_numbers_that_are_not_known(run, tmp_path):
    sweep = write_summary(tmp_path / "one", synthetic_cells(categories=("food",), pairs=1))
    _, said, _ = run(sweep, "--no-tables", "--no-figures", "--no-animations", "--no-page")
    assert ": of one pair alone" in said
    assert "nan" not in said


@pytest.mark.parametrize("lacking", ["words and keep", "scores", "cells", "pictures"])
def test_a_report_is_of_what_there_is(run, tmp_path, lacking):
    """A sweep with SSIM alone, without scores, of which nothing was drawn, or whose pictures were left elsewhere."""
    cells = synthetic_cells(pairs=2, dead=("k",))
    if lacking == "words and keep":
        cells = cells.drop(columns=[name for name in TRUTH if name != "ssim"])
    elif lacking != "pictures":
        cells = cells.drop(columns=list(TRUTH))
    if lacking == "cells":
        cells = cells.assign(status="failed", target_hash=None)
    recorded = [f"images/target/{cell_id}.png" for cell_id in cells["cell_id"]]
    sweep = write_summary(tmp_path / "sweep", cells.assign(target_image=recorded, source_image="images/source/a.png"))
    status, said, error = run(sweep)
    assert (status, error) == (0, "")
    assert "animations  none: no pictures are kept" in said
    assert (sweep / "report/index.html").is_file()
    assert not list((sweep / "report/figures/sheets").iterdir())
    dead = sweep / "report/tables/dead.csv"
    if lacking == "cells":
        assert not dead.exists()
    else:
        assert pd.read_csv(dead).query("dead")["hyperparameter"].unique().tolist() == ["k"]


def test_one_configuration_has_a_report(run, tmp_path):
    cells = synthetic_cells(configurations=[(0.3, 0.8, 0.2, 0.0)])
    status, said, error = run(write_summary(tmp_path / "one", cells), "--no-figures", "--no-animations")
    assert (status, error) == (0, "")
    assert "nan" not in said


def test_a_category_of_one_pair_beside_others_is_told_without_unknown_numbers(run, tmp_path):
    food, faces = synthetic_cells(categories=("food",), pairs=1), synthetic_cells(categories=("faces",))
    cells = pd.concat([food, faces.assign(cell_id="x" + faces["cell_id"])])
    _, said, _ = run(write_summary(tmp_path / "both", cells), "--no-tables", "--no-figures", "--no-animations")
    assert "of one pair alone" in said
    assert "nan" not in said


def test_one_category_is_told_once(run, tmp_path):
    sweep = write_summary(tmp_path / "one", synthetic_cells(categories=("food",)))
    _, said, _ = run(sweep, "--no-tables", "--no-figures", "--no-animations", "--no-page")
    assert len([line for line in said.splitlines() if "of resamples" in line]) == 1
    assert "Proposed against literature, food" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{sweep}", "--publish", "0"], "--publish must be megabytes above 0, as 12, got 0"),
        (["{sweep}", "--publish", "nan"], "--publish must be megabytes above 0, as 12, got nan"),
        (["nowhere"], "nowhere is not the folder of a sweep"),
        (["{sweep}", "--words", "lpip"], "--words: metric 'lpip' is not scored in these sweeps; scored: clip_score"),
        (["suggest", "nowhere"], "nowhere is not the folder of a sweep"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, sweep, arguments, message):
    status, _, error = run(*(argument.format(sweep=sweep) for argument in arguments))
    assert status == 2
    assert message in error
    assert len(error.splitlines()) == 1
