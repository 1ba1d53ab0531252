import itertools
import json
import sys

import pytest
from omegaconf import OmegaConf

from scripts.report import command
from scripts.report.results import read_results
from scripts.report.suggest import judge, write_suggestion
from tests.scripts.report.synthetic import TRUTH, synthetic_cells, synthetic_results, write_summary

CENTRES = (0.3, 0.8, 0.2, 0.0), (0.0, 0.2, 0.8, 0.0)
VALUES = (
    (None, 0.0, 0.15, 0.3, 0.6),
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
    (0.0, 0.2, 0.4, 0.6, 0.8),
)
STAR = list(
    dict.fromkeys(
        (*centre[:at], value, *centre[at + 1 :]) for centre in CENTRES for at in range(4) for value in VALUES[at]
    )
)
STEPPED = {
    "clip_directional": lambda t: 0.3 * (t.cross_replace_steps > 0.5) + 0.2 * (t.self_replace_steps > 0.7),
    "lpips": lambda t: 0.2 - 0.1 * (t.self_replace_steps > 0.3) + 0.001 * (t.v_inject_steps > 0.5),
}
OAT = {"configurations": STAR, "truth": STEPPED, "dead": ("k",), "noise_sd": 0.0002}


def test_values_are_kept_where_scores_move_and_the_rest_is_dropped():
    knobs = {knob.name: knob for knob in judge(synthetic_results(**OAT))}
    assert knobs["k"].dead
    assert not knobs["k"].kept
    assert knobs["cross_replace_steps"].kept == ("0", "0.6")
    assert knobs["self_replace_steps"].kept == ("0", "0.4", "0.8")
    assert not knobs["v_inject_steps"].dead
    assert not knobs["v_inject_steps"].kept  # by a hundredth of what self_replace_steps does
    told = [step for step in knobs["cross_replace_steps"].steps if step.metric]
    assert [(step.first, step.second, step.metric) for step in told] == [("0", "0.6", "clip_directional")]
    assert told[0].change == pytest.approx(0.3, abs=0.01)
    assert told[0].p < 0.05


def test_a_slow_drift_is_seen_though_no_single_step_is():
    truth = {"lpips": lambda t: 0.02 * t.v_inject_steps, "ssim": lambda t: 0.0 * t.k.fillna(0)}
    (knob,) = [
        knob
        for knob in judge(synthetic_results(configurations=STAR, truth=truth, pairs=6, noise_sd=0.008, seed=1))
        if knob.name == "v_inject_steps"
    ]
    assert len(knob.kept) in (2, 3)
    assert not knob.steps[0].metric


def test_noise_alone_suggests_nothing(tmp_path):
    flat = {"lpips": lambda t: 0.5 + 0 * t.k.fillna(0), "ssim": lambda t: 0.5 + 0 * t.k.fillna(0)}
    folder = write_summary(tmp_path / "oat", synthetic_cells(configurations=STAR, truth=flat))
    with pytest.raises(ValueError, match="no score of .* moves beyond its interval along any of its 4 hyperparameters"):
        write_suggestion(folder)


def test_the_experiment_keeps_the_sweeps_pairs_seeds_and_settings(tmp_path):
    folder = write_summary(tmp_path / "oat", synthetic_cells(**OAT))
    config = {
        "sampler": {"scheduler": "euler", "num_inference_steps": 20, "guidance_scale": 5.0, "height": None},
        "category": {"name": "faces", "file": None},
        "edit": {"k": 0.3, "local_blend": {"start_blend": 0.4}, "v_inject": {"layers": "self"}},
        "model": {"name": "world", "device": "cpu", "path": "elsewhere"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    said = write_suggestion(folder)
    path = folder / "experiment" / "oat_grid.yaml"
    assert "edit.k: dropped, it changes no picture (byte for byte)" in said
    assert f"p2p-sweep --config-dir {folder} -m +experiment=oat_grid" in said
    text = path.read_text()
    assert text.startswith("# @package _global_\n# 6 configurations suggested by oat")
    assert "#   0 to 0.6: clip_directional moves by +0.3" in text
    experiment = OmegaConf.to_container(OmegaConf.load(path))
    assert experiment["sampler"] == {"scheduler": "euler", "num_inference_steps": 20, "guidance_scale": 5.0}
    assert experiment["cycle"] == {"mode": "swap"}
    assert experiment["model"] == {"path": "elsewhere"}
    assert experiment["edit"] == {"local_blend": {"start_blend": 0.4}}
    assert experiment["hydra"]["sweeper"]["params"] == {"seed": "0,1"}
    grid, known = experiment["hydra"]["sweeper"]["union"][:2]
    own = {"category": "animals", "pair": "pair_00,pair_01,pair_02,pair_03"}
    dropped = {"edit.k": "0", "edit.v_inject_steps": "0"}  # at the sweep's centre
    assert grid == {**own, **dropped, "edit.cross_replace_steps": "0,0.6", "edit.self_replace_steps": "0,0.4,0.8"}
    assert known == {**own, "edit": "literature,proposed"}


@pytest.mark.parametrize("out", ["experiment/grid.yml", "grid.yaml"])
def test_a_file_where_hydra_does_not_look_is_refused(tmp_path, out):
    with pytest.raises(ValueError, match="--out must be a .yaml file in a folder called experiment"):
        write_suggestion(tmp_path, tmp_path / out)


def test_the_printed_command_runs_the_grid(tmp_path, capsys, monkeypatch):
    """Pairs of conf/category, on a plan alone: the cells are the suggested ones and both known configurations."""
    truth = {"lpips": TRUTH["lpips"], "clip_directional": TRUTH["clip_directional"]}
    cells = synthetic_cells(categories=("faces",), pairs=4, configurations=STAR, truth=truth)
    names = ["blond_to_red_hair", "add_glasses", "woman_to_man", "make_smile"]
    cells["pair"] = cells["pair"].map(dict(zip(sorted(cells["pair"].unique()), names, strict=True)))
    folder = write_summary(tmp_path / "oat", cells)
    monkeypatch.setattr(sys, "argv", ["p2p-report", "suggest", str(folder)])
    command.main()
    line = capsys.readouterr().out.splitlines()[-1].split()
    kept = {knob.name: len(knob.kept) for knob in judge(read_results([folder]))}
    assert line[:2] == ["p2p-sweep", "--config-dir"]
    from scripts import sweep

    monkeypatch.setattr(sys, "argv", [*line, "plan=json", f"results_dir={tmp_path / 'results'}"])
    sweep.main()
    planned = json.loads(capsys.readouterr().out)
    suggested = 1
    for number in kept.values():
        suggested *= number or 1
    assert suggested * 8 <= planned["cells"] <= (suggested + 2) * 8
    assert list(itertools.islice((tmp_path / "results").glob("*/images/*"), 1)) == []
