"""p2p-score on sweeps' folders and on PIE-Bench's."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metrics import registry, score
from scripts import prefetch, sweep
from scripts import score as command

GRID = ["-m", "category=animals", "pair=0,2", "edit.k=null,0.3"]


@pytest.fixture
def run(run_command, tiny_pipeline):
    """Run p2p-score, or p2p-sweep on a tiny pipeline."""
    options = ["metrics=pixel", "metrics.names=[ssim,psnr]", "tracking=none", f"model.path={tiny_pipeline}"]
    options.append("sampler.num_inference_steps=2")
    return lambda program, *arguments: run_command(program, *arguments, *(options if program is sweep else ()))


def scores(folder) -> pd.DataFrame:
    return pd.concat([pd.read_parquet(part) for part in sorted((folder / "scores").glob("*.parquet"))])


def test_scores_are_added_once_from_the_folder_alone(run, tmp_path):
    run(sweep, *GRID, "sweep.name=one")
    moved = (tmp_path / "results/one").rename(tmp_path / "moved")
    before = {path: path.read_bytes() for path in moved.rglob("*") if path.is_file()}
    status, out, err = run(command, "moved", "metrics.names=[ssim,mse]")
    assert (status, "4 cells scored" in out) == (0, True), err
    summary = pd.read_parquet(moved / "summary.parquet")
    assert summary["mse"].notna().all()
    assert "MSE" in (moved / "tables/summary.md").read_text()
    kept = [path for path in before if path.parent.name in ("edits", "scores") or path.suffix == ".png"]
    assert all(path.read_bytes() == before[path] for path in kept if "figures" not in path.parts)
    assert (scores(moved).groupby("metric").size()[["ssim", "mse"]] == 4).all()
    assert len(scores(moved).query("metric == 'mse'")) == 4
    parts = set((moved / "scores").iterdir())
    status, out, _ = run(command, "moved", "metrics.names=[ssim,mse]")
    assert (status, "0 cells scored, 4 had these scores" in out) == (0, True)
    assert set((moved / "scores").iterdir()) == parts


def test_an_interrupted_scoring_goes_on_where_it_stopped(run, tmp_path):
    run(sweep, *GRID, "sweep.name=one")
    folder = tmp_path / "results/one"
    run(command, str(folder), "metrics.names=[mse]")
    newest = sorted((folder / "scores").iterdir())[-1]
    lost = len(pd.read_parquet(newest))
    newest.unlink()
    _, out, _ = run(command, str(folder), "metrics.names=[mse]")
    assert f"{lost} cells scored, {4 - lost} had these scores" in out


def test_an_upgraded_metric_adds_and_tables_say_that_they_use_the_newest(run, tmp_path, monkeypatch):
    run(sweep, *GRID, "sweep.name=one")
    folder = tmp_path / "results/one"
    newer = replace(registry.METRICS["ssim"], version=2)
    monkeypatch.setattr(registry, "METRICS", {**registry.METRICS, "ssim": newer})
    monkeypatch.setattr(score, "_MEASURES", {**score._MEASURES, "ssim": lambda facts: [0.25] * len(facts.edits)})
    status, _, err = run(command, "results/one", "metrics=pixel")
    line = "scores of ssim are the newest: version 2 by none (4 cells); 4 older scores are kept and not used"
    assert (status, line in err) == (0, True)
    assert line in (folder / "tables/summary.md").read_text()
    assert sorted(scores(folder).query("metric == 'ssim'")["metric_version"]) == [1] * 4 + [2] * 4
    assert (pd.read_parquet(folder / "summary.parquet")["ssim"] == 0.25).all()


def test_pictures_not_kept_are_counted_and_named(run, tmp_path):
    run(sweep, *GRID, "sweep.name=none", "images.keep=none")
    status, out, err = run(command, "results/none", "metrics.names=[mse]")
    cell = pd.read_parquet(tmp_path / "results/none/summary.parquet")["cell_id"][0]
    assert (status, "0 cells scored" in out) == (0, True)
    assert "4 cells: pictures not kept, not scorable" in err
    assert cell in err


def test_a_lost_picture_does_not_stop_the_others(run, tmp_path):
    run(sweep, *GRID, "sweep.name=one")
    folder = tmp_path / "results/one"
    (folder / pd.read_parquet(folder / "summary.parquet")["target_image"][0]).unlink()
    status, out, err = run(command, "results/one", "metrics.names=[mse]")
    assert (status, "3 cells scored" in out, "1 cells: pictures unreadable" in err) == (1, True, True)


def test_networks_of_the_world_judge_only_its_pictures(run):
    run(sweep, *GRID, "sweep.name=one")
    status, _, err = run(command, "results/one", "metrics=world", "metrics.names=[mse,attribute_kept]")
    assert (status, "attribute_kept: not for 4 cells" in err) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere is not the folder of a sweep"),
        ([], "give a sweep's folder"),
        (["results", "out=a.csv"], "exclude each other"),
        (["pie.data=nowhere", "pie.edited=."], "pie.data=nowhere: there is no such folder"),
        (["pie.data=."], "pie.edited must be"),
        (["pie.data=.", "pie.edited=."], "mapping_file.json: there is no such file"),
        (["metrics=pai"], "unknown metrics 'pai'; known: "),
        (["pie.dada=."], "unknown key pie.dada"),
    ],
)
def test_bad_input_is_one_line_and_status_2(run, arguments, message):
    status, out, err = run(command, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert message in err


@pytest.fixture
def bench(tmp_path):
    """Two pictures of PIE-Bench, the second with everything to be edited."""
    numbers = np.random.default_rng(0)
    entries = {}
    for name, mask in (("000", [1000, 5000]), ("001", [0, 512 * 512])):
        for folder in ("data/annotation_images", "edited"):
            path = tmp_path / folder / "0_random" / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(numbers.integers(0, 256, (512, 512, 3), dtype=np.uint8)).save(path)
        entries[name] = {
            "image_path": f"0_random/{name}.png",
            "original_prompt": "a [cat]",
            "editing_prompt": "a [dog]",
            "editing_type_id": "1",
            "blended_word": "cat dog",
            "mask": mask,
        }
    (tmp_path / "data/mapping_file.json").write_text(json.dumps(entries))
    return tmp_path


PIE = ["pie.data=data", "pie.edited=edited", "metrics=pie_pixel"]


def test_pie_writes_a_row_a_picture_and_prints_the_table(run, bench):
    status, out, err = run(command, *PIE, "out=new/pie.csv")
    assert status == 0, err
    lines = (bench / "new/pie.csv").read_text().splitlines()
    assert lines[0] == "file_id,editing_type_id,pie_psnr,pie_mse,pie_ssim"
    assert lines[2] == "001,1,,,"
    first = pd.read_csv(bench / "new/pie.csv", dtype={"file_id": str}).iloc[0]
    scaled = f"{first['pie_mse'] * 1e4:.2f} (-1)"
    assert scaled in out
    assert out.index("PSNR") < out.index("MSE x10^4") < out.index("SSIM x10^2")
    assert "1 change object" in out


def test_missing_edits_are_listed_or_left_out(run, bench):
    (bench / "edited/0_random/001.png").unlink()
    status, _, err = run(command, *PIE)
    assert (status, "1 of 2 edited pictures are missing: 001 (0_random/001.png)" in err) == (2, True)
    status, out, err = run(command, *PIE, "pie.allow_missing=true")
    assert (status, "1 of 2 pictures are not there" in err) == (0, True)
    assert out.splitlines()[1].split()[:2] == ["all", "1"]


def test_pie_without_weights_names_them_and_the_remedy(run, bench):
    options = ["metrics=pie", "metrics.networks.structure.path=nowhere", "metrics.names=[pie_structure_distance]"]
    status, _, err = run(command, *PIE[:2], *options)
    assert (status, err.count("\n")) == (2, 1)
    assert "metrics.networks.structure: " in err
    assert "p2p-prefetch metrics=pie" in err


def test_prefetch_leaves_out_what_needs_a_library_that_is_not_there_and_says_so(run, monkeypatch):
    monkeypatch.setattr("metrics.loading.is_installed", lambda: False)
    names = "[ssim,identity_distance]"
    status, out, err = run(prefetch, "metrics=real", f"metrics.names={names}")
    assert status == 0
    assert "metrics: ssim" in out
    assert "not fetched: identity_distance; " in err
    assert "p2p-sweep[faces]" in err


def test_prefetch_takes_the_metrics_of_pie(run):
    status, out, err = run(prefetch, "metrics=pie_pixel")
    assert (status, out.splitlines()[-1]) == (0, "metrics: pie_psnr, pie_mse, pie_ssim"), err
    status, _, err = run(prefetch, "metrics=pie", "metrics.networks.lpips.path=a.pth", "metrics.networks.clip.path=a")
    assert status == 2
