import dataclasses
import time

import pytest
import torch

from p2p.edits import Edit
from p2p.loading import load_models
from sweeps.cells import Sampler
from sweeps.groups import plan_group
from sweeps.run import draw_group


def test_a_source_is_one_stream_for_all_its_cells(make_cell):
    group = plan_group([make_cell(edit=Edit(k=k)) for k in (None, 0.1, 0.3)])
    assert len(group.streams) == 4
    assert group.unet_samples == 4 * 4 * 2
    assert group.samples_by_cell() == pytest.approx([8 + 8 / 3] * 3)


def test_cycles_share_the_plain_target_and_undo_each_edit(make_cell):
    cells = [make_cell(edit=Edit(k=k), cycle_mode="swap") for k in (None, 0.3)]
    cells.append(make_cell(target="a bird on the grass", cycle_mode="swap"))
    group = plan_group(cells)
    assert [s.prompt.text for s in group.streams if s.parent is None] == [
        "a cat on the grass",
        "a dog on the grass",
        "a bird on the grass",
    ]
    assert len(group.streams) == 3 + 2 * 3
    first = group.places[0]
    assert group.streams[first.cycle].parent == first.cycle_root
    assert group.streams[first.cycle].prompt == cells[0].source
    assert sum(group.samples_by_cell()) == pytest.approx(group.unet_samples)
    assert group.samples_by_cell()[2] > group.samples_by_cell()[0]


def test_inverted_cycles_start_from_each_edit_and_share_nothing(make_cell):
    cells = [make_cell(edit=Edit(k=k), cycle_mode="invert") for k in (None, 0.3)]
    group = plan_group(cells)
    assert len(group.streams) == 1 + 2
    assert [s.parent for s in group.inverted] == [None, 0, None, 2]
    assert group.unet_samples == (3 + 4) * 8 + 2 * 4
    assert group.samples_by_cell() == pytest.approx([4 + 8 + 2 * 8 + 4] * 2)


def test_a_reweighting_has_no_cycle(make_cell):
    edit = Edit(k=None, equalizer={"cat": 2.0})
    group = plan_group([make_cell(target="a cat on the grass", edit=edit, cycle_mode="swap")])
    assert len(group.streams) == 2
    assert group.places[0].cycle is None


def test_without_guidance_a_stream_costs_one_sample_a_step(make_cell):
    from dataclasses import replace

    cell = make_cell()
    group = plan_group([replace(cell, sampler=replace(cell.sampler, guidance_scale=1.0))])
    assert group.unet_samples == 2 * 4


def test_inverted_cycles_in_batches_are_those_of_each_edit_alone(make_cell, tiny_pipeline):
    """Three edits, two a batch; time and UNet samples are those of all batches."""
    models = load_models(str(tiny_pipeline), device="cpu")
    sampler = Sampler("ddim", 4, 5.0, "", 64, 64)
    cells = [make_cell(edit=Edit(k=None, self_replace_steps=x)) for x in (0.0, 0.5, 1.0)]
    cells = [dataclasses.replace(cell, sampler=sampler, cycle_mode="invert") for cell in cells]
    group, began = plan_group(cells), time.perf_counter()
    drawn = draw_group(models, group, batch_size=2)
    assert 0 < drawn.wall_s <= time.perf_counter() - began
    assert drawn.unet_samples == group.unet_samples
    for cell, target, cycle in zip(cells, drawn.targets, drawn.cycles, strict=True):
        alone = draw_group(models, plan_group([cell]), batch_size=2)
        assert torch.equal(alone.targets[0], target)
        assert torch.equal(alone.cycles[0], cycle)
        assert not torch.equal(cycle, target)
