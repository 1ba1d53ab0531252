import dataclasses

import pytest

from p2p.edits import Edit, LocalBlend, VInject
from sweeps.cells import Sampler


def test_identities_are_pinned(make_cell):
    """A change here means that stored results are no longer found: raise a version in sweeps/cells.py on purpose."""
    cells = [
        make_cell(),
        make_cell(seed=1),
        make_cell(edit=Edit(k=None, self_replace_steps=0.8, v_inject_steps=0.4)),
        make_cell(cycle_mode="swap"),
    ]
    assert [cell.cell_id for cell in cells] == PINNED


PINNED = ["49513fa243ad0936", "473ea896b4674c33", "f3414383720db37c", "dfed37df36a89d4c"]


@pytest.mark.parametrize(
    "same",
    [
        {"edit": Edit(cross_replace_steps=[0, 0.8])},
        {"edit": Edit(v_inject=VInject(weight=0.5))},
        {"category": "other", "pair": "name"},
    ],
)
def test_what_does_not_decide_pixels_is_not_in_the_identity(make_cell, same):
    assert make_cell(**same).cell_id == make_cell().cell_id


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 1},
        {"target": "a bird on the grass"},
        {"source": "a horse on the grass"},
        {"sampler": Sampler("ddim", 5, 5.0, "", 64, 64)},
        {"sampler": Sampler("ddim", 4, 5.0, "blurry", 64, 64)},
        {"edit": Edit(k=0.2)},
        {"edit": Edit(local_blend=LocalBlend(start_blend=0.5))},
        {"edit": Edit(self_replace_max_pixels=256)},
        {"edit": Edit(equalizer={"dog": 2.0})},
        {"cycle_mode": "swap"},
    ],
)
def test_what_decides_pixels_is_in_the_identity(make_cell, other):
    assert make_cell(**other).cell_id != make_cell().cell_id


def test_the_weights_and_dtype_are_in_the_identity_and_the_model_s_name_is_not(make_cell):
    cell = make_cell()

    def changed(**values):
        return dataclasses.replace(cell, model=dataclasses.replace(cell.model, **values))

    assert changed(name="mine").cell_id == cell.cell_id
    assert changed(digest="f" * 16).cell_id != cell.cell_id
    assert changed(dtype="float16").cell_id != cell.cell_id


def test_a_configuration_is_the_cell_without_prompts_words_and_seed(make_cell):
    a = make_cell(edit=Edit(cross_replace_steps={"default_": 0.8, "dog": 0.4}))
    b = make_cell(target="a bird on the grass", seed=3, edit=Edit(cross_replace_steps={"default_": 0.8, "bird": 0.4}))
    assert a.config_id == b.config_id
    assert a.cell_id != b.cell_id
    refined = make_cell(target="a cat on the green grass")
    assert refined.config_id == make_cell().config_id
    assert make_cell(edit=Edit(k=0.1)).config_id != make_cell().config_id


def test_cells_of_one_source_and_seed_are_one_group(make_cell):
    assert make_cell().group_id == make_cell(target="a bird on the grass", edit=Edit(k=None)).group_id
    assert make_cell().group_id != make_cell(seed=1).group_id
