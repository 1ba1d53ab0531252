"""The whole program from the command line, on a tiny pipeline in SD 1.x's architecture."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from PIL import Image

import p2p.sampling
from scripts import sweep

GRID = ["-m", "category=animals", "pair=0,2", "edit.k=null,0.3", "edit.self_replace_steps=0.0,0.5", "cycle.mode=swap"]


@pytest.fixture
def run(run_command, tiny_pipeline):
    """Run p2p-sweep, on the tiny pipeline where arguments do not say otherwise."""
    options = ["metrics=pixel", "tracking=none", f"model.path={tiny_pipeline}", "sampler.num_inference_steps=2"]

    def run(*arguments, tiny=True):
        given = {argument.split("=")[0] for argument in arguments}
        own = [option for option in options if tiny and option.split("=")[0] not in given]
        return run_command(sweep, *arguments, *own)

    return run


def test_a_grid_is_drawn_scored_tabulated_and_not_drawn_twice(run, tmp_path):
    status, out, _ = run(*GRID, "sweep.name=grid")
    assert status == 0
    folder = tmp_path / "results" / "grid"
    summary = pd.read_parquet(folder / "summary.parquet")
    assert len(summary) == 8
    assert set(summary["status"]) == {"ok"}
    assert summary["ssim"].between(-1, 1).all()
    assert summary["cycle_mse"].notna().all()
    assert sorted(summary["kind"].unique()) == ["refine", "swap"]
    assert (summary.groupby("pair")["created_at"].nunique() == 1).all(), "p2p-status tells the rate by it"
    for column in ("source_image", "target_image", "cycle_image"):
        for path in summary[column]:
            assert Image.open(folder / path).size == (64, 64)
    for name in ("summary.md", "summary.tex", "summary.csv"):
        assert (folder / "tables" / name).stat().st_size > 100
    assert [figure.stem for figure in (folder / "figures").glob("*.png")] == ["animals"]
    assert str(folder.relative_to(tmp_path)) in out
    parts = sorted(folder.rglob("*.parquet"))
    status, out, _ = run(*GRID, "sweep.name=grid")
    assert status == 0
    assert "8 stored, 0 to draw" in out
    assert sorted(folder.rglob("*.parquet")) == parts


def test_a_larger_grid_draws_only_what_is_new(run):
    run(*GRID, "sweep.name=grow")
    _, out, _ = run(*GRID[:-3], "edit.k=null,0.3,0.5", *GRID[-2:], "sweep.name=grow")
    assert "12 cells, 8 stored, 4 to draw" in out


def test_a_new_metric_is_scored_from_the_stored_pictures(run, tmp_path):
    run("category=food", "sweep.name=one", "metrics.names=[ssim]")
    summary = tmp_path / "results" / "one" / "summary.parquet"
    assert "mse" not in pd.read_parquet(summary)
    status, out, _ = run("category=food", "sweep.name=one", "metrics.names=[ssim,psnr]")
    assert status == 0
    assert "0 to draw" in out
    assert pd.read_parquet(summary)["psnr"].notna().all()


def test_a_lost_picture_is_drawn_again(run, tmp_path):
    run("sweep.name=one")
    target = tmp_path / "results/one" / pd.read_parquet(tmp_path / "results/one/summary.parquet")["target_image"][0]
    before = target.read_bytes()
    target.unlink()
    run("sweep.name=one")
    assert target.read_bytes() == before


def test_a_sweep_takes_at_most_what_was_planned(run, tmp_path, monkeypatch):
    _, out, _ = run(*GRID, "sweep.name=cost", "plan=json", "sampler.num_inference_steps=8")
    plan = json.loads(out)
    assert (plan["cells"], plan["groups"], plan["shards"], plan["stored"]) == (8, 2, 1, 0)
    # two groups; cell by cell four streams, shared two plain ones and two a cell, eight steps with guidance
    assert plan["unet_samples"]["cell_by_cell"] == 8 * 4 * 8 * 2
    assert plan["unet_samples"]["shared_source"] == 2 * (2 + 4 + 4) * 8 * 2
    assert plan["unet_samples"]["planned"] < plan["unet_samples"]["shared_source"]
    assert not (tmp_path / "results").exists()
    predict, taken = p2p.sampling._predict, []

    def counted(models, batch, *inputs):
        taken.append(2 * len(set(batch.rows)))
        return predict(models, batch, *inputs)

    monkeypatch.setattr(p2p.sampling, "_predict", counted)
    run(*GRID, "sweep.name=cost", "sampler.num_inference_steps=8")
    summary = pd.read_parquet(tmp_path / "results/cost/summary.parquet")
    assert summary["unet_samples"].sum() == pytest.approx(sum(taken))
    # the first step of a local blend is predicted once for both k: two samples less a group, a way and a window
    assert sum(taken) <= plan["unet_samples"]["planned"] - 2 * 2 * 2 * 2
    assert (summary["wall_s"] > 0).all()
    assert plan["pictures"] == len(list((tmp_path / "results/cost/images").rglob("*.png")))


def test_a_plan_tells_what_is_stored_and_how_fast_it_went(run):
    run(*GRID, "sweep.name=told")
    status, out, _ = run(*GRID[:-3], "edit.k=null,0.3,0.5", *GRID[-2:], "sweep.name=told", "plan=only")
    assert status == 0
    assert "12 in 2 groups; 8 stored" in out
    assert "UNet samples/s as told on cpu" in out
    assert "files" in out


@pytest.mark.parametrize("options", [["images.pack=true"], ["images.format=webp"], ["images.keep=none"]])
def test_how_pictures_are_kept_changes_no_score(run, tmp_path, options):
    run(*GRID, "sweep.name=plain")
    run(*GRID, "sweep.name=other", *options)
    plain, other = (pd.read_parquet(tmp_path / f"results/{name}/summary.parquet") for name in ("plain", "other"))
    same = ["cell_id", "source_hash", "target_hash", "cycle_hash", "ssim", "psnr", "cycle_mse"]
    pd.testing.assert_frame_equal(plain[same], other[same])
    status, out, _ = run(*GRID, "sweep.name=other", *options)
    assert status == 0
    assert "8 stored, 0 to draw" in out


def test_pictures_that_were_not_kept_are_drawn_again_for_a_new_metric(run, tmp_path):
    run("sweep.name=none", "images.keep=none", "metrics.names=[ssim]")
    assert not list((tmp_path / "results/none/images").rglob("*.png"))
    status, _, _ = run("sweep.name=none", "images.keep=none", "metrics.names=[ssim,psnr]")
    assert status == 0
    assert pd.read_parquet(tmp_path / "results/none/summary.parquet")["psnr"].notna().all()


def test_out_of_memory_is_met_with_half_the_batch(run, tmp_path, monkeypatch):
    import sweeps.run

    draw, asked = sweeps.run.draw_group, []

    def hungry(models, group, batch_size, progress):
        asked.append(batch_size)
        if batch_size > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return draw(models, group, batch_size, progress)

    monkeypatch.setattr(sweeps.run, "draw_group", hungry)
    status, _, err = run("-m", "category=animals", "edit.k=null,0.3", "sweep.name=memory", "sweep.batch_size=16")
    assert status == 0
    assert asked == [16, 8, 4]
    assert "a group is drawn again, 4 latents a call" in err
    versions = pd.read_parquet(tmp_path / "results/memory/summary.parquet")["versions"]
    assert {json.loads(text)["batch_size"] for text in versions} == {4}, "bits depend on it"


def test_workers_of_their_own_leave_what_one_process_leaves(run, tmp_path, monkeypatch):
    import sweeps.local

    monkeypatch.setattr(sweeps.local, "processors", lambda: 2 * torch.get_num_threads())  # bits depend on threads
    run(*GRID, "sweep.name=alone")
    status, out, _ = run(*GRID, "sweep.name=workers", "launcher=local", "launcher.workers=2")
    assert status == 0
    assert "8 cells, 0 stored, 8 to draw" in out
    alone, workers = (pd.read_parquet(tmp_path / f"results/{name}/summary.parquet") for name in ("alone", "workers"))
    same = ["cell_id", "target_hash", "cycle_hash", "ssim", "psnr", "cycle_mse"]
    pd.testing.assert_frame_equal(alone[same], workers[same])
    assert not list((tmp_path / "results/workers/claims").rglob("*.*"))


def test_workers_that_cannot_start_are_told_of(run, monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    run("sweep.name=lost", "metrics=none", "plan=only")
    (tmp_path / "torch.py").write_text("raise ImportError('no torch here')")
    status, _, err = run("sweep.name=lost", "launcher=local", "launcher.workers=1")
    assert status == 2
    assert "no worker could go on" in err


def test_a_failed_cell_is_a_row_and_does_not_stop_the_others(run, tmp_path, monkeypatch):
    import sweeps.run

    draw = sweeps.run.draw_group

    def failing(models, group, batch_size, progress):
        if any(cell.edit.k == 0.3 for cell in group.cells):
            raise RuntimeError("out of luck")
        return draw(models, group, batch_size, progress)

    monkeypatch.setattr(sweeps.run, "draw_group", failing)
    status, _, err = run("-m", "category=animals,food", "edit.k=0.1,0.3", "sweep.name=fail")
    assert status == 1
    assert "2 of 4 cells failed" in err
    assert "out of luck" in err
    summary = pd.read_parquet(tmp_path / "results/fail/summary.parquet")
    assert summary.groupby("k")["status"].unique().map(list).to_dict() == {0.1: ["ok"], 0.3: ["failed"]}
    assert summary.loc[summary["k"] == 0.3, "ssim"].isna().all()
    monkeypatch.setattr(sweeps.run, "draw_group", draw)
    status, out, _ = run("-m", "category=animals,food", "edit.k=0.1,0.3", "sweep.name=fail")
    assert status == 0
    assert "2 stored, 2 to draw" in out


def test_a_device_that_no_longer_computes_fails_no_cells(run, tmp_path, monkeypatch):
    import sweeps.run

    with pytest.raises(OSError, match="cuda:99 no longer computes"):
        sweeps.run.check_computes(torch.device("cuda:99"))
    draw, check, drawn = sweeps.run.draw_group, sweeps.run.check_computes, []

    def breaking(models, group, batch_size, progress):
        drawn.append(group)
        if len(drawn) > 1:
            raise RuntimeError("an illegal memory access was encountered")
        return draw(models, group, batch_size, progress)

    monkeypatch.setattr(sweeps.run, "draw_group", breaking)
    monkeypatch.setattr(sweeps.run, "check_computes", lambda device: check(torch.device("cuda:99")))
    status, _, err = run("-m", "category=animals,food,faces", "sweep.name=broken")
    assert (status, len(drawn)) == (2, 2)
    assert "no longer computes" in err
    assert "the same command goes on where it stopped" in err
    monkeypatch.setattr(sweeps.run, "draw_group", draw)
    status, out, _ = run("-m", "category=animals,food,faces", "sweep.name=broken")
    assert status == 0
    assert "3 cells, 1 stored, 2 to draw" in out


def test_latents_that_are_not_finite_fail_their_cell(run, tmp_path):
    status, _, err = run("-m", "edit.equalizer={},{red:1e38}", "sweep.name=nan")
    assert status == 1
    assert "not finite" in err
    assert sorted(pd.read_parquet(tmp_path / "results/nan/summary.parquet")["status"]) == ["failed", "ok"]


def test_two_models_in_one_sweep_are_each_scored_by_what_can_judge_them(run, tmp_path, tiny_pipeline):
    paths = f"model.path=pkg://p2p.world/weights,{tiny_pipeline}"
    status, out, err = run("-m", paths, "category=animals", "metrics=world", "metrics.names=[ssim,clip_score]")
    assert status == 0, err
    assert "not scored, since their networks know only model=world: clip_score" in out
    summary = pd.read_parquet(tmp_path / "results/custom/summary.parquet")
    assert summary["ssim"].notna().all()
    assert summary["clip_score"].notna().sum() == 1


def test_a_user_s_own_pairs(run, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("pairs:\n  - {name: day, source: a dog on mars, target: a robot on mars, source_words: [dog]}\n")
    status, _, _ = run(f"category.file={own}", "sweep.name=own")
    assert status == 0
    row = pd.read_parquet(tmp_path / "results/own/summary.parquet").iloc[0]
    assert (row["pair"], row["kind"]) == ("day", "swap")
    assert json.loads(row["edit"])["local_blend"]["source_words"] == ["dog"]


BAD = {
    "an unknown key": (["edit.kk=1"], "unknown key edit.kk; did you mean edit.k"),
    "an unknown key as an axis": (["-m", "edit.kk=1,2"], "unknown key edit.kk"),
    "an unknown category": (["category=fces"], "unknown category 'fces'; known: animals, faces"),
    "an unknown pair": (["pair=blond_to_red"], "did you mean blond_to_red_hair?"),
    "a pair out of range": (["pair=99"], "has pairs 0 to 24"),
    "a window of 1.5": (["edit.self_replace_steps=1.5"], "edit.self_replace_steps must be in [0, 1], got 1.5"),
    "a window of 1.5 on an axis": (["-m", "edit.k=null,0.3", "edit.self_replace_steps=0.2,1.5"], "(cell "),
    "a word that is not there": (["edit.local_blend.target_words=[green]"], "'green' is not in the prompt"),
    "a missing model": (["model.path=/no/such/folder"], "the folder does not exist"),
    "a name with slashes": (["sweep.name=a/b"], "sweep.name must be a plain folder name"),
    "an unwritable folder": (["results_dir=/proc/none"], "cannot write to /proc/none"),
    "an unknown metric": (["metrics.names=[sim]"], "ssim"),
    "unknown tracking": (["tracking=wandb"], "unknown tracking 'wandb'; known: none, offline, online"),
    "an unknown dtype": (["model.dtype=int8"], "model.dtype must be one of"),
    "a batch size of zero": (["sweep.batch_size=0"], "sweep.batch_size must be"),
    "an odd height": (["sampler.height=100"], "multiples of 8"),
    "no steps": (["sampler.num_inference_steps=0"], "at least 1"),
    "a missing file of pairs": (["category.file=none.yaml"], "there is no such file"),
    "an unknown plan": (["plan=all"], "plan must be only, json or null"),
    "an unknown launcher": (["launcher=cluster"], "unknown launcher 'cluster'; known: local, process, slurm"),
    "a setting of another launcher": (["+launcher.workers=2"], "launcher=process has no settings, got workers"),
    "no workers": (["launcher=local", "launcher.workers=0"], "launcher.workers must be a number of processes"),
    "an unknown format of pictures": (["images.format=tiff"], "images.format must be one of png, webp, jpeg"),
    "a number for waiting": (["sweep.wait=5"], "sweep.wait must be true, false or null"),
    "a cycle that does not exist": (["cycle.mode=invers"], "cycle.mode must be one of none, swap"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused_in_one_line_before_any_work(run, tmp_path, monkeypatch, name):
    import sweeps.worker

    def unwanted(*arguments, **options):
        raise AssertionError("work began")

    monkeypatch.setattr(sweeps.worker, "load_model", unwanted)
    arguments, message = BAD[name]
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_words_that_the_embedded_model_does_not_know_are_named(run, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("pairs:\n  - {name: x, source: a zebra on the grass, target: a cat on the grass}\n")
    status, _, err = run(f"category.file={own}", tiny=False)
    assert status == 2
    assert "does not know 'zebra' in the prompt 'a zebra on the grass'" in err


def test_the_program_runs_as_a_process_from_any_folder(tiny_pipeline, tmp_path):
    command = [sys.executable, "-m", "scripts.sweep", "metrics=pixel", "tracking=none", "sweep.name=process"]
    command += [f"model.path={tiny_pipeline}", "sampler.num_inference_steps=1"]
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": str(Path.cwd())}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "results/process/summary.parquet").is_file()
    assert not (tmp_path / "outputs").exists()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "override",
    [
        "edit.equalizer={red: 2.0}",
        "edit.cross_replace_steps={default_: 0.8, red: [0.0, 0.4]}",
        "edit.cross_replace_steps=[0.1, 0.5]",
        "edit.local_blend.target_words=[red, hair]",
        "edit.v_inject.layers=both",
        "edit=proposed",
    ],
)
def test_every_form_of_an_edit_s_settings_can_be_given_on_the_command_line(override):
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from sweeps.config import build_cell

    with initialize_config_module("conf", version_base="1.3"):
        plain, given = (
            build_cell(OmegaConf.to_container(compose("config", overrides=overrides))).cell
            for overrides in ([], [override])
        )
    if override != "edit.v_inject.layers=both":  # without a window it changes nothing
        assert given.cell_id != plain.cell_id
    assert given.category == "faces"


@pytest.mark.parametrize("model", ["sd14", "sd15", "sd21-base", "sd21", "sdxl"])
def test_a_model_for_photographs_brings_its_metrics(model):
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        config = compose("config", overrides=[f"model={model}", "+experiment=quickstart"])
        assert config.metrics.networks.clip.model == "ViT-L-14"
        assert compose("config", overrides=[f"model={model}", "metrics=none"]).metrics.names == []


def test_every_pair_of_every_category_is_an_edit_of_its_kind():
    from hydra import compose, initialize_config_module
    from omegaconf import OmegaConf

    from sweeps.config import build_cell

    with initialize_config_module("conf", version_base="1.3"):
        for category in ("faces", "interiors", "animals", "food", "transportation"):
            pairs = compose("config", overrides=[f"category={category}"]).category.pairs
            assert len(pairs) >= 6
            assert pairs[0].kind == "swap"
            assert pairs[0].source_words
            for i, pair in enumerate(pairs):
                if pair.get("models") == "sd":
                    continue
                config = compose("config", overrides=[f"category={category}", f"pair={i}"])
                assert build_cell(OmegaConf.to_container(config)).cell.edit.kind == pair.kind
