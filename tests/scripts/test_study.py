"""The study in one command: its sweeps one after the other, resumed, then the report."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from scripts import study


@pytest.fixture
def run(monkeypatch, capfd):
    """Run the study with arguments; (exit status, stdout, stderr)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["study", *arguments])
        with pytest.raises(SystemExit) as stop:
            study.main()
        return stop.value.code, *capfd.readouterr()

    return run


@pytest.fixture
def called(monkeypatch):
    """The commands that the study runs, which end with the statuses of `called.statuses` by experiment."""
    found = SimpleNamespace(commands=[], statuses={})

    def fake(command, check):
        found.commands.append(command[2:])
        name = next((part.removeprefix("+experiment=") for part in command if part.startswith("+experiment=")), "")
        return SimpleNamespace(returncode=found.statuses.get(name, 0))

    monkeypatch.setattr(study.subprocess, "run", fake)
    return found


def test_every_sweep_of_the_study_is_an_experiment():
    folder = Path(__file__).parents[2] / "conf/experiment"
    assert {file.stem for file in folder.glob("*.yaml")} == {*study.EXPERIMENTS, "quickstart"}


def test_sweeps_run_one_after_the_other_and_then_the_report(run, called):
    status, out, _ = run("--results", "here", "--workers", "3", "sampler.num_inference_steps=50")
    assert status == 0
    assert [command[2] for command in called.commands[:-2]] == [f"+experiment={name}" for name in study.EXPERIMENTS]
    for command in called.commands[:-2]:
        assert command[:2] == ["scripts.sweep", "-m"]
        assert {"launcher.workers=3", "results_dir=here", "sampler.num_inference_steps=50"} <= set(command)
    assert called.commands[-1] == ["scripts.report.command", "suggest", "here/oat"]
    grid, *others = (f"here/{name}" for name in study.EXPERIMENTS)
    assert called.commands[-2][1:] == [
        grid,
        "--evidence",
        *others,
        "--out",
        "results/world",
        "--publish",
        str(study.PICTURES_MB),
    ]
    assert out.count("$ python -m ") == len(called.commands)


def test_cells_that_failed_do_not_stop_it_and_a_refused_sweep_does(run, called):
    called.statuses = {"oat": 1}
    status, _, _ = run()
    assert (status, len(called.commands)) == (1, len(study.EXPERIMENTS) + 2)
    called.commands.clear()
    called.statuses = {"reweight": 2}
    status, _, err = run()
    assert (status, len(called.commands)) == (2, 2)
    assert "stopped with status 2; the same command goes on" in err
    called.statuses = {"reweight": -9}
    assert run()[0] == 137


def test_a_dry_run_runs_nothing(run, called):
    status, out, _ = run("--dry-run")
    assert status == 0
    assert not called.commands
    assert "+experiment=grid" in out


def test_what_is_no_override_is_refused(run, called):
    status, _, err = run("--worker=2")
    assert status == 2
    assert "overrides of the sweeps, as model=sd14, got --worker=2" in err
    assert not called.commands


def test_the_study_goes_on_where_it_stopped(run, monkeypatch, tiny_pipeline, tmp_path):
    monkeypatch.setattr(study, "EXPERIMENTS", ("generation",))
    monkeypatch.setattr(study, "report_commands", lambda results, out: [])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    model = ["model=sd14", f"model.path={tiny_pipeline}", "model.revision=null", "model.dtype=float32"]
    small = [*model, "model.device=cpu", "metrics=pixel", "sampler.num_inference_steps=1", "category=food"]
    command = ["--results", str(tmp_path), "--workers", "1", *small]
    status, _, err = run(*command, "pair=0", "seed=0")
    assert status == 0, err
    status, out, err = run(*command, "pair=0,1", "seed=0")
    assert status == 0, err
    assert "2 cells, 1 stored, 1 to draw" in out
    summary = pd.read_parquet(tmp_path / "generation/summary.parquet")
    assert set(summary["status"]) == {"ok"}
    assert set(summary["pair"]) == {"cake_to_pizza", "add_blueberries"}
