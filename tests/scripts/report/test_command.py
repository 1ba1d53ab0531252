import sys

import pytest

from scripts.report import command
from tests.scripts.report.synthetic import synthetic_cells, write_summary


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
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
