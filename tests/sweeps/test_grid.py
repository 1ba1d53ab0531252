import pytest

from p2p.edits import Edit
from sweeps.axes import parse_grid
from sweeps.config import PlannedCell
from sweeps.grid import axis_values, build_cells, configurations

GROUPS = {"category": ["faces", "food"]}


def grid(*arguments, **sweeper):
    return parse_grid(arguments, lambda key: GROUPS.get(key, []), **sweeper)


def compose(overrides):
    """A stand-in for Hydra: a dictionary with the plain overrides put in."""
    edit = {"k": 0.3, "self_replace_steps": 0.2, "equalizer": None}
    config = {"category": {"name": "faces"}, "edit": edit, "seed": 0, "sampler": {"height": 64}}
    for override in overrides:
        key, value = override.split("=")
        if key == "category":
            config["category"] = {"name": value}
    return config


def configs(*arguments, **sweeper):
    return [config for _, config in configurations(grid(*arguments, **sweeper), compose)]


@pytest.fixture
def build(make_cell):
    """Cells of the axes that the tests sweep."""

    def build(config):
        edit = Edit(k=config["edit"]["k"], self_replace_steps=config["edit"]["self_replace_steps"])
        return PlannedCell(make_cell(edit=edit, seed=config["seed"]), model=None, metrics=None)

    return build


def test_axes_multiply_and_keep_their_order():
    found = list(configurations(grid("category=faces,food", "edit.k=0.0,0.3", "seed=range(3)"), compose))
    assert len(found) == 12
    assert [config["category"]["name"] for _, config in found] == ["faces"] * 6 + ["food"] * 6
    assert [config["seed"] for _, config in found[:3]] == [0, 1, 2]
    assert axis_values(found[0][0]) == {"category": "faces", "edit.k": 0.0, "seed": 0}


def test_zipped_axes_take_their_values_in_step_across_sections_and_groups():
    found = configs("edit.k=0.0,0.1", zips=[{"category": "food,faces", "seed": "5,6", "sampler.height": "8,16"}])
    values = [(c["category"]["name"], c["seed"], c["sampler"]["height"], c["edit"]["k"]) for c in found]
    assert values == [("food", 5, 8, 0.0), ("food", 5, 8, 0.1), ("faces", 6, 16, 0.0), ("faces", 6, 16, 0.1)]


def test_each_part_of_a_union_leaves_the_axes_of_the_others_fixed():
    found = configs(union=[{"edit.k": "0.0,0.1"}, {"edit.self_replace_steps": "0.5,0.8"}, {}])
    edits = [(config["edit"]["k"], config["edit"]["self_replace_steps"]) for config in found]
    assert edits == [(0.0, 0.2), (0.1, 0.2), (0.3, 0.5), (0.3, 0.8), (0.3, 0.2)]


def test_hydra_composes_once_a_choice_of_config_groups():
    calls = []

    def counted(overrides):
        calls.append(overrides)
        return compose(overrides)

    found = grid("seed=range(5)", params={"category": "faces,food"}, union=[{"edit.k": "0,0.3"}, {"edit.k": "0.5"}])
    assert len(list(configurations(found, counted))) == 30
    assert calls == [["category=faces"], ["category=food"]]


def test_configurations_share_equal_sections_and_differ_where_an_axis_does():
    a, b, c, d = configs("category=faces,food", "edit.k=0.0,0.3")
    assert (a["edit"]["k"], b["edit"]["k"]) == (0.0, 0.3)
    assert a["edit"] is c["edit"]
    assert a["sampler"] is d["sampler"]
    assert a["category"] is b["category"]
    assert a["category"] != c["category"]


def test_an_interpolated_setting_follows_the_axis_that_it_names():
    def interpolating(overrides):
        config = compose(overrides)
        config["edit"]["self_replace_steps"] = "${edit.k}"
        return config

    found = [config["edit"] for _, config in configurations(grid("edit.k=0.1,0.4"), interpolating)]
    assert [edit["self_replace_steps"] for edit in found] == [0.1, 0.4]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("edit.kk=1,2", "unknown key edit.kk; did you mean edit.k\\? Known: edit.k, edit.self_replace_steps"),
        ("seed.first=1,2", "unknown key seed.first: seed is 0"),
        ("edit.equalizer.red=1,2", "edit.equalizer is null; sweep all of it, as edit.equalizer={red: ...}"),
    ],
)
def test_an_unknown_key_is_refused_with_what_is_known(argument, message):
    with pytest.raises(ValueError, match=message):
        build_cells(grid(argument), compose, None)


def test_an_error_names_the_cell(make_cell):
    def build(config):
        if config["edit"]["k"] == 2:
            raise ValueError("edit.k must be in [0, 1), got 2")
        return PlannedCell(make_cell(), model=None, metrics=None)

    with pytest.raises(ValueError, match=r"got 2 \(cell category=food edit.k=2\)"):
        build_cells(grid("category=food,food", "edit.k=2,3"), compose, build)
    with pytest.raises(ValueError, match=r"got 2 \(cell seed=2 edit.k=2\)"):
        build_cells(grid(zips=[{"seed": "1,2", "edit.k": "3,2"}]), compose, build)


def test_cells_that_draw_the_same_pixels_are_one(build):
    cells = build_cells(grid("edit.k=null", "seed=0,1", zips=[{"edit.self_replace_steps": "0.2,0.2"}]), compose, build)
    assert len(cells) == 2


def test_the_centre_of_a_union_is_one_cell_and_cells_keep_their_order(build):
    union = [{"edit.k": "0.0,0.3"}, {"edit.self_replace_steps": "0.2,0.8"}, {}]
    cells = build_cells(grid(union=union), compose, build)
    edits = [(one.cell.edit.k, one.cell.edit.self_replace_steps[1]) for one in cells]
    assert edits == [(0.0, 0.2), (0.3, 0.2), (0.3, 0.8)]
