import dataclasses
import sys

import pandas as pd
import pytest
import torch

from p2p.blend import word_mask
from p2p.edits import Edit, LocalBlend
from p2p.loading import load_models
from scripts import score as score_command
from scripts import sweep as sweep_command
from sweeps.groups import plan_group
from sweeps.regions import THRESHOLD, region_of_picture, region_picture, region_words, words_of
from sweeps.run import draw_group

ADDED = {"source": "a cat on the grass", "target": "a cat on the grass at night"}


def words(make_cell, edit=None, **prompts) -> tuple[str, ...]:
    return region_words(make_cell(edit=edit, **prompts))


def test_words_are_the_pairs_whatever_the_hyperparameters(make_cell):
    blend = LocalBlend(source_words=("cat", "grass"), target_words=("dog",))
    for k in (None, 0.0, 0.6):
        assert words(make_cell, Edit(k=k, local_blend=blend)) == ("cat", "grass")
        assert words(make_cell, Edit(k=k)) == ("cat",)


def test_an_added_phrase_has_no_words_in_the_source(make_cell):
    assert words(make_cell, **ADDED) == ()
    assert words(make_cell, Edit(k=None, local_blend=LocalBlend(target_words=("night",))), **ADDED) == ()
    assert words(make_cell, Edit(k=None, local_blend=LocalBlend(source_words=()))) == ()


def test_words_that_the_source_lacks_are_left_out(make_cell):
    blend = LocalBlend(source_words=("cat", "zebra"))
    assert words(make_cell, Edit(k=None, local_blend=blend)) == ("cat",)


def test_a_re_weighting_without_blend_words_is_about_those_that_it_weighs(make_cell):
    edit = Edit(kind="reweight", k=None, equalizer={"grass": 3.0, "cat": -1.0})
    assert words(make_cell, edit, target="a cat on the grass") == ("cat", "grass")


def test_a_region_is_a_picture_and_back():
    region = torch.rand(8, 6) > 0.5
    stored = region_picture(region)
    assert (stored.shape, stored.dtype) == ((3, 8, 6), torch.uint8)
    assert torch.equal(region_of_picture(stored), region)
    blurred = (stored.int() - 40).clamp(40, 255).to(torch.uint8)
    assert torch.equal(region_of_picture(blurred), region)


@pytest.fixture
def group(make_cell):
    """Cells with and without blend, of a swap, an addition and other blend words."""
    swaps = [Edit(k=None), Edit(k=0.3), Edit(k=0.3, cross_replace_steps=0.2)]
    both = Edit(k=0.3, local_blend=LocalBlend(source_words=("cat", "grass"), target_words=("dog",)))
    cells = [make_cell(edit=edit) for edit in (*swaps, both)] + [make_cell(**ADDED)]
    return plan_group([dataclasses.replace(cell, cycle_mode="swap") for cell in cells])


def test_regions_change_neither_pixels_nor_what_they_cost(group, tiny_pipeline):
    models = load_models(str(tiny_pipeline), device="cpu")
    plain = draw_group(models, group, 4)
    kept = draw_group(models, dataclasses.replace(group, with_regions=True), 4)
    assert plain.regions == ()
    assert plain.unet_samples == kept.unet_samples
    assert torch.equal(plain.source, kept.source)
    for pictures in ("targets", "cycles"):
        for one, other in zip(getattr(plain, pictures), getattr(kept, pictures), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("watch_words", [False, True])
def test_a_region_is_where_the_plain_source_attends_to_the_words(group, tiny_pipeline, watch_words):
    models = load_models(str(tiny_pipeline), device="cpu")
    found = draw_group(models, dataclasses.replace(group, with_regions=True), 4, watch_words=watch_words).regions
    maps = dict(draw_group(models, group, 4, watch_words=True).word_maps[0])
    cat, both = (word_mask(word_map, THRESHOLD, (64, 64)) for word_map in (maps["cat"], maps["cat"] + maps["grass"]))
    assert cat.any()
    assert [region is None for region in found] == [False, False, False, False, True]
    assert all(torch.equal(region, cat) for region in found[:3])
    assert torch.equal(found[3], both)
    assert found[0] is found[1]
    assert words_of(group.cells) == (("cat",), ("cat", "grass"))


def test_groups_keep_no_regions_unless_asked(make_cell):
    assert not plan_group([make_cell()]).with_regions


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Run a command; its exit status and error stream."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(program, *arguments):
        monkeypatch.setattr(sys, "argv", ["p2p", *arguments])
        try:
            program.main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr().err

    return run


def test_a_sweep_keeps_regions_beside_sources_and_scores_them_again(run, tiny_pipeline, tmp_path):
    grid = ["-m", "category=animals", "pair=range(3)", "edit.k=null,0.3", "sweep.name=one", "tracking=none"]
    model = [f"model.path={tiny_pipeline}", "sampler.num_inference_steps=2"]
    masked = ["metrics=real", "metrics.names=[background_mse,ssim]"]
    status, err = run(sweep_command, *grid, *model, *masked)
    assert status == 0, err
    folder = tmp_path / "results/one"
    first = pd.read_parquet(folder / "summary.parquet")
    kept = first[first["mask_image"].notna()]
    assert len(kept) > 0
    assert all((folder / path).is_file() for path in kept["mask_image"])
    assert (kept.groupby(["source_image", "target_prompt"])["mask_image"].nunique() == 1).all()
    assert (first["background_mse"].notna() <= first["mask_image"].notna()).all()
    assert first["background_mse"].notna().any()
    scores = folder / "scores"
    for part in scores.iterdir():
        part.unlink()
    status, err = run(score_command, str(folder), *masked)
    assert status == 0, err
    again = pd.read_parquet(folder / "summary.parquet")
    pd.testing.assert_series_equal(first["background_mse"], again["background_mse"])
