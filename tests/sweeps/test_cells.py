import dataclasses

import pytest

from p2p.edits import Edit, LocalBlend, VInject
from sweeps.cells import ModelId, Sampler


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


FROZEN = {
    "refinement": (
        {"target": "a cat on the green grass"},
        ("136bdda8509f8c53", "5216a068a61f0dcb", "fec33bb906b1e8fd"),
    ),
    "re-weighting": (
        {"target": "a cat on the grass", "edit": Edit(k=None, equalizer={"Grass": 2, "cat": 0.5})},
        ("96bf0283c04da1cf", "5216a068a61f0dcb", "cdbe3d67f24f2fdc"),
    ),
    "a swap with a scale": (
        {"edit": Edit(equalizer={"dog": 3.0}, k=0)},
        ("5c1d068318a11d6d", "5216a068a61f0dcb", "d245fa2bda90fee4"),
    ),
    "windows by word": (
        {"edit": Edit(cross_replace_steps={"default_": 0.8, "dog": [0.1, 0.5]})},
        ("01a0f608b05e9fc9", "5216a068a61f0dcb", "52939fcdb723db64"),
    ),
    "pairs of fractions": (
        {"edit": Edit(cross_replace_steps=[0.2, 0.6], self_replace_steps=[0.1, 1])},
        ("687b05e4b5232521", "5216a068a61f0dcb", "2366275c1eb818d6"),
    ),
    "empty windows": (
        {"edit": Edit(cross_replace_steps=0, self_replace_steps=[0.5, 0.5])},
        ("e9fd10638eb86d38", "5216a068a61f0dcb", "c6f2e9e2789bb225"),
    ),
    "V-injection": (
        {"edit": Edit(v_inject_steps=[0, 0.7], v_inject=VInject("both", "all", 0.5))},
        ("9b5994b7a5482e90", "5216a068a61f0dcb", "791f62d9c3d85a00"),
    ),
    "blend words": (
        {"edit": Edit(k=0.15, local_blend=LocalBlend(["cat", "grass"], ["dog"], (), "grass", 0.4))},
        ("5ae4cdc2c42b939c", "5216a068a61f0dcb", "ba1368fbf04bf6f2"),
    ),
    "the target's mask alone": (
        {"edit": Edit(k=0.3, local_blend=LocalBlend(target_words=["dog"]))},
        ("659404b3cb13d301", "5216a068a61f0dcb", "fec33bb906b1e8fd"),
    ),
    "self-attention of few pixels": (
        {"edit": Edit(self_replace_max_pixels=256)},
        ("c8da64c95a6a860c", "5216a068a61f0dcb", "e474f7b19b74a029"),
    ),
    "no control": (
        {"edit": Edit(k=None, cross_replace_steps=0, self_replace_steps=0.0)},
        ("a5aa5b432a2fb11a", "5216a068a61f0dcb", "57004286862105d8"),
    ),
    "another sampler": (
        {"sampler": Sampler("dpm++", 50, 7.5, 'a "blurry" picture', 512, 768), "cycle_mode": "invert"},
        ("d62668e7a5be264b", "6edf94768053c8e0", "0db6d4e5b4e64e29"),
    ),
    "another model": (
        {"model": ModelId("other", "fedcba9876543210", "bfloat16", 16), "seed": 41, "cycle_mode": "swap"},
        ("6b7b21872978a8c8", "19ae3e32f2b541aa", "f93a3527a017eb1e"),
    ),
    "letters beyond ASCII": (
        {"source": "a café in the snow", "target": "a bar in the snow"},
        ("dc686a7b3bea05fd", "5c7c52b33c6f23b4", "fec33bb906b1e8fd"),
    ),
}


@pytest.mark.parametrize("name", FROZEN)
def test_identities_of_every_kind_of_edit_are_frozen(make_cell, name):
    """Like `PINNED`: cell_id, group_id and config_id as `json.dumps` of all values made them in version 1."""
    fields, ids = FROZEN[name]
    cell = make_cell(**fields)
    assert (cell.cell_id, cell.group_id, cell.config_id) == ids


def test_cells_of_one_edit_share_its_reverse(make_cell):
    cell = make_cell(cycle_mode="swap")
    again = dataclasses.replace(cell, seed=1)
    assert again.reverse is cell.reverse
    assert cell.reverse.local_blend.source_words == ("dog",)


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


def test_settings_are_the_same_under_other_weights(make_cell):
    cell = make_cell()
    other = dataclasses.replace(cell, model=dataclasses.replace(cell.model, digest="other"))
    assert other.cell_id != cell.cell_id
    assert other.settings_id == cell.settings_id
    assert make_cell(seed=1).settings_id != cell.settings_id
