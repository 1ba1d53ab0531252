import pytest

from p2p.edits import Edit
from sweeps.config import PlannedCell
from sweeps.grid import build_cells, configurations, parse_grid

GROUPS = {"category", "model"}


def grid(*arguments, params=None):
    return parse_grid(arguments, params, GROUPS.__contains__)


def compose(overrides):
    """A stand-in for Hydra: a dictionary with the plain overrides put in."""
    config = {"category": {"name": "faces"}, "edit": {"k": 0.3, "self_replace_steps": 0.2}, "seed": 0}
    for override in overrides:
        key, value = override.split("=")
        if key == "category":
            config["category"] = {"name": value}
    return config


def test_axes_multiply_and_keep_their_order():
    found = list(configurations(grid("category=faces,food", "edit.k=0.0,0.3", "seed=range(3)"), compose))
    assert len(found) == 12
    assert [config["category"]["name"] for _, config in found] == ["faces"] * 6 + ["food"] * 6
    assert [config["seed"] for _, config in found[:3]] == [0, 1, 2]
    assert found[0][0] == {"category": "faces", "edit.k": 0.0, "seed": 0}


def test_ranges_step_in_exact_decimals():
    axis = grid("edit.self_replace_steps=range(0,1,0.1)").axes[0]
    assert axis.values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_values_may_be_null_lists_and_mappings():
    axis = grid("edit.cross_replace_steps=0.8,[0.1,0.5],{default_:0.8,car:[0,0.4]},null").axes[0]
    assert axis.values() == [0.8, [0.1, 0.5], {"default_": 0.8, "car": [0, 0.4]}, None]


def test_the_command_line_replaces_an_experiment_s_axis():
    found = grid("edit.k=0.1", params={"edit.k": "0.0,0.3", "seed": "0,1"})
    assert [axis.key for axis in found.axes] == ["seed"]
    assert found.fixed == ("edit.k=0.1",)
    assert len(found) == 2


def test_an_axis_given_twice_is_refused():
    with pytest.raises(ValueError, match="swept twice: seed"):
        grid("seed=1,2", "seed=3,4")


def test_what_is_no_part_of_a_cell_cannot_be_an_axis():
    with pytest.raises(ValueError, match="sweep.batch_size cannot be swept"):
        grid("sweep.batch_size=1,2")


def test_an_interval_is_refused():
    with pytest.raises(ValueError, match="no points"):
        grid("edit.k=interval(0,1)")


def test_cells_do_not_share_mutable_values():
    (_, a), (_, b) = configurations(grid("edit.k=0.0,0.3"), compose)
    assert (a["edit"]["k"], b["edit"]["k"]) == (0.0, 0.3)


def test_an_error_names_the_cell():
    def build(config):
        raise ValueError("edit.k must be in [0, 1), got 2")

    with pytest.raises(ValueError, match=r"got 2 \(cell category=food edit.k=2\)"):
        build_cells(grid("category=food,food", "edit.k=2,3"), compose, build)


def test_cells_that_draw_the_same_pixels_are_one(make_cell):
    def build(config):
        cell = make_cell(edit=Edit(self_replace_steps=config["edit"]["self_replace_steps"]))
        return PlannedCell(cell, model=None, metrics=None)

    cells = build_cells(grid("edit.k=0.0,0.3", "edit.self_replace_steps=0.2,0.8"), compose, build)
    assert len(cells) == 2
