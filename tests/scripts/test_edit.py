"""`p2p-edit` on the tiny pipeline."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

from scripts import edit


@pytest.fixture
def run(run_command, tiny_pipeline):
    """Run p2p-edit on the tiny pipeline."""
    options = ["metrics=pixel", f"model.path={tiny_pipeline}", "sampler.num_inference_steps=2"]
    return lambda *arguments: run_command(edit, *arguments, *options)


def test_own_prompts_give_pictures_scores_and_configuration(run, tmp_path):
    status, out, _ = run(
        "source=a woman's face, with hair", "target=a man's face, with hair", "cycle.mode=swap", "out=o"
    )
    assert status == 0
    names = {path.name for path in Path("o").iterdir()}
    assert names == {"edit.png", "source.png", "target.png", "cycle.png", "edit.json"}
    assert Image.open("o/source.png").size == (64, 64)
    assert Image.open("o/edit.png").width > 3 * 256
    report = json.loads(Path("o/edit.json").read_text())
    (scores,) = report["scores"]
    assert scores["edit"]["local_blend"]["target_words"] == ["man's"]
    assert scores["cycle_mse"] >= 0
    assert report["config"]["sampler"]["num_inference_steps"] == 2
    assert "ssim" in out


def test_the_picture_is_the_one_of_a_sweep(run, tmp_path, monkeypatch):
    from scripts import sweep

    run("category=animals", "out=o", "edit.k=0.2")
    cell_id = json.loads(Path("o/edit.json").read_text())["cell_ids"][0]
    options = [argument for argument in sys.argv[1:] if not argument.startswith("out=")]
    monkeypatch.setattr(sys, "argv", ["p2p-sweep", "tracking=none", "sweep.batch_size=1", *options])
    with pytest.raises(SystemExit, match="0"):
        sweep.main()
    swept = Path("results/custom/images/target") / f"{cell_id}.png"
    assert Image.open(swept).tobytes() == Image.open("o/target.png").tobytes()


def test_attention_is_drawn_for_every_word_of_both_prompts(run):
    status, _, _ = run("source=a cat on grass", "target=a chimpanzee on grass", "attention=true", "out=o")
    assert status == 0
    assert Image.open("o/attention.png").width == 5 * (256 + 8) + 8


def test_a_dialogue_edits_each_edit(run):
    status, _, err = run("dialogue=[a cat on grass,a dog on grass,{prompt: a dog on grass at night,k: null}]", "out=o")
    assert status == 0, err
    report = json.loads(Path("o/edit.json").read_text())
    assert [turn["edit"]["kind"] for turn in report["scores"]] == ["swap", "refine"]
    assert [turn["edit"]["k"] for turn in report["scores"]] == [0.3, None]
    assert {"source.png", "turn1.png", "turn2.png"} <= {path.name for path in Path("o").iterdir()}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["source=a cat"], "an edit has two prompts"),
        (["source=a cat", "target=a dog", "dialogue=[a,b]"], "leave out source and target"),
        (["dialogue=[a cat]"], "an edit has two prompts"),
        (["dialogue=[a cat,{k: 0.1}]"], "a turn is a prompt"),
        (["dialogue=[a cat,{prompt: a dog,kk: 0.1}]"], "unknown key edit.kk"),
        (["dialogue=[a cat,a dog,a cat]", "cycle.mode=swap"], "no cycle score"),
        (["source=a cat", "target=a big dog", "edit.kind=swap"], "use edit.kind=refine"),
        (["atention=true"], "did you mean attention"),
    ],
)
def test_bad_input_is_one_line(run, arguments, message):
    status, _, err = run(*arguments, "out=o")
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1


def test_prompts_need_no_quotes_of_hydra():
    assert edit.quoted("source=a woman's face, 'red'") == "source=\"a woman's face, 'red'\""
    assert edit.quoted("source=null") == "source=null"
    assert edit.quoted("seed=1") == "seed=1"
