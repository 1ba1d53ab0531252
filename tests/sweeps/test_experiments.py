"""Every experiment is one command on any model: its cells are checked with the embedded model and with a pipeline."""

from collections import defaultdict
from pathlib import Path

import pytest
import torch

from p2p.plan import plan_streams
from p2p.sampling import decode_latents, denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream
from sweeps.groups import plan_group
from sweeps.run import draw_group

COUNTS = {
    "quickstart": 32,
    "grid": 4320,
    "oat": 608,
    "reweight": 320,
    "cycle": 224,
    "cycle-invert": 32,
    "generation": 32,
}
"""Cells a category."""
SAMPLES = {"oat": 17920, "reweight": 12800, "cycle": 19968, "cycle-invert": 5120, "generation": 2560}
"""UNet samples for the category interiors, where no two pairs share a source prompt."""


@pytest.fixture
def on_tiny(cells_of, tiny_pipeline):
    """The checked cells of arguments on a small pipeline in the place of Stable Diffusion 1.4."""
    return lambda *arguments: cells_of(
        *arguments, "model=sd14", f"model.path={tiny_pipeline}", "model.revision=null", "metrics=pixel"
    )


def test_every_experiment_is_tested():
    files = (Path(__file__).parents[2] / "conf/experiment").glob("*.yaml")
    assert {file.stem for file in files} == set(COUNTS)


@pytest.mark.parametrize("experiment", COUNTS)
def test_an_experiment_s_cells_are_all_right_on_the_embedded_model(cells_of, experiment):
    cells = [one.cell for one in cells_of(f"+experiment={experiment}", "category=interiors")]
    assert len({cell.cell_id for cell in cells}) == len(cells) == COUNTS[experiment]


@pytest.mark.parametrize("experiment", SAMPLES)
def test_what_an_experiment_of_the_study_takes(cells_of, experiment):
    groups = defaultdict(list)
    for one in cells_of(f"+experiment={experiment}", "category=interiors", "seed=0"):
        groups[one.cell.group_id].append(one.cell)
    seeds = 2 if experiment == "cycle-invert" else 4
    assert seeds * sum(plan_group(cells).unet_samples for cells in groups.values()) == SAMPLES[experiment]


@pytest.mark.parametrize("experiment", COUNTS)
def test_an_experiment_is_the_same_command_for_stable_diffusion(on_tiny, experiment):
    cells = [one.cell for one in on_tiny(f"+experiment={experiment}", "category=faces", "pair=0,1", "seed=0")]
    assert len(cells) > 1
    assert {cell.model.name for cell in cells} == {"sd14"}


@pytest.mark.parametrize("experiment", ["oat", "cycle", "generation", "reweight"])
def test_an_experiment_of_the_study_has_eight_pairs_and_four_seeds(cells_of, experiment):
    pairs, seeds = defaultdict(set), set()
    for one in cells_of(f"+experiment={experiment}"):
        pairs[one.cell.category].add(one.cell.pair)
        seeds.add(one.cell.seed)
    assert len(pairs) == 5
    assert {len(own) for own in pairs.values()} == {8}
    assert seeds == {0, 1, 2, 3}


def test_re_weighting_sweeps_one_word_a_pair_and_four_re_weightings_a_category(cells_of):
    cells = [one.cell for one in cells_of("+experiment=reweight", "seed=0")]
    scales = defaultdict(set)
    for cell in cells:
        (scale,) = cell.edit.equalizer.values()
        scales[cell.category, cell.pair, cell.edit.kind == "reweight", cell.edit.k].add(scale)
    assert set(map(frozenset, scales.values())) == {frozenset({-2.0, -1.0, 0.0, 1.0, 2.0})}
    reweighted = [(category, pair) for category, pair, is_reweight, k in scales if is_reweight and k == 0.3]
    assert len(reweighted) == 5 * 4
    assert len({cell.config_id for cell in cells}) == 2 * 5
    red = next(cell for cell in cells if cell.pair == "blond_to_red_hair")
    assert set(red.edit.equalizer) == {"red"}


def test_a_scale_needs_a_word_and_no_words_beside_it(cells_of, tmp_path):
    own = tmp_path / "mine.yaml"
    own.write_text("pairs: [{name: less, source: a cat on the grass, target: a cat, target_words: []}]")
    with pytest.raises(ValueError, match="edit.equalizer_scale=2: pair less of faces names no word to scale; give"):
        cells_of(f"category.file={own}", "edit.equalizer_scale=2", "edit.k=null")
    with pytest.raises(ValueError, match="edit.equalizer_scale scales the pair's; give one"):
        cells_of("edit.equalizer_scale=2", "edit.equalizer={red: 2.0}")
    with pytest.raises(ValueError, match="edit.equalizer_scale must be a number, or null, got 'high'"):
        cells_of("edit.equalizer_scale=high")


def test_v_injection_without_steps_is_one_configuration_whatever_its_layers(cells_of):
    cells = [one.cell for one in cells_of("+experiment=cycle", "category=food", "pair=0", "seed=0")]
    inject = [(cell.edit.v_inject.layers, cell.edit.v_inject.tokens) for cell in cells if cell.edit.v_inject_steps[1]]
    assert len(cells) == 7
    assert inject[0][0] == "self"
    assert set(inject[1:]) == {(layers, tokens) for layers in ("cross", "both") for tokens in ("aligned", "all")}


def test_a_glob_takes_each_category_s_pairs_that_the_model_draws(cells_of, on_tiny):
    world = [one.cell.pair for one in cells_of("category=faces,food", "pair=glob(*)")]
    assert len(world) == 14 + 12
    assert "more_wavy_hair" not in world
    everything = [one.cell for one in on_tiny("category=faces,food,sd/landscapes", "pair=glob(*)")]
    assert [cell.category for cell in everything] == ["faces"] * 25 + ["food"] * 25 + ["landscapes"] * 25
    some = [one.cell.pair for one in cells_of("category=faces,animals", "pair='glob(more_b*)'", "seed=0,1")]
    assert some == ["more_blond_hair"] * 2 + ["more_black_dog"] * 2


def test_pairs_for_stable_diffusion_are_refused_on_the_embedded_model(cells_of):
    with pytest.raises(ValueError, match="more_long_hair is for Stable Diffusion.*cell pair=14"):
        cells_of("category=faces", "pair=range(25)")
    with pytest.raises(ValueError, match="river_to_street is for Stable Diffusion"):
        cells_of("category=sd/landscapes")


def test_every_pair_is_right_under_both_known_configurations_for_stable_diffusion(on_tiny):
    category = "animals,faces,food,interiors,transportation,sd/landscapes"
    assert len(on_tiny(f"category={category}", "pair=glob(*)", "edit=literature,proposed")) == 6 * 25 * 2


def test_a_plain_edit_has_the_bits_of_the_plain_picture(on_tiny, models):
    cells = [one.cell for one in on_tiny("category=faces", "pair=0", "edit=plain", "sampler.num_inference_steps=3")]
    group = plan_group(cells)
    assert [node.parent for segment in group.plan.segments for node in segment.nodes] == [None, None]
    drawn = draw_group(models, group, batch_size=4)
    sampler, target = cells[0].sampler, cells[0].target
    noise = prepare_latents(models, cells[0].seed, sampler.height, sampler.width)
    plain = denoise(
        models,
        make_scheduler(models, sampler.scheduler, sampler.num_inference_steps),
        plan_streams([Stream(target)], sampler.num_inference_steps),
        *embed_streams(models, [target], ""),
        noise,
        sampler.guidance_scale,
        4,
    )
    assert torch.equal(drawn.targets[0], decode_latents(models, plain.latents)[0].cpu())
    assert not torch.equal(drawn.targets[0], drawn.source)
    assert drawn.unet_samples == 2 * 2 * 3
