"""Grids through Hydra's own composition, with the embedded model, up to the cells."""

from hydra import compose, initialize_config_module


def test_an_axis_may_take_every_option_of_a_config_group(cells_of):
    found = cells_of("category=glob(*)", "edit=glob(*)")
    assert [one.cell.category for one in found] == [
        category for category in ("animals", "faces", "food", "interiors", "transportation") for _ in range(3)
    ]
    assert {one.cell.edit.k for one in found} == {0.0, 0.3, None}


def test_one_at_a_time_leaves_all_but_one_setting_at_the_centre(cells_of):
    found = cells_of("+experiment=oat", "category=food", "pair=0", "seed=0", "edit=proposed")
    centre = {
        "k": 0.0,
        "cross_replace_steps": (0.0, 0.2),
        "self_replace_steps": (0.0, 0.8),
        "v_inject_steps": (0.0, 0.0),
    }
    away = [[name for name in centre if getattr(one.cell.edit, name) != centre[name]] for one in found]
    assert sorted(map(len, away)) == [0, *[1] * 18]
    assert {name for names in away for name in names} == set(centre)


def test_the_command_line_replaces_an_axis_of_an_experiment(cells_of):
    found = cells_of("+experiment=oat", "category=food", "pair=0", "seed=0", "edit=proposed", "edit.k=0.3")
    assert {one.cell.edit.k for one in found} == {0.3}
    assert len(found) == 1 + 5 + 5 + 4


def test_zips_and_unions_may_be_given_on_the_command_line(cells_of):
    zipped = "hydra.sweeper.zip=[{edit.cross_replace_steps:'0.2,0.8',edit.self_replace_steps:'0.8,0.2'}]"
    union = "hydra.sweeper.union=[{edit.k:'null,0.3'},{edit.v_inject_steps:0.4}]"
    found = cells_of(zipped, union, "seed=0,1")
    assert len(found) == 2 * 3 * 2
    assert {one.cell.edit.cross_replace_steps[1] + one.cell.edit.self_replace_steps[1] for one in found} == {1.0}


def test_cells_of_a_sweep_share_what_is_loaded_for_them(cells_of):
    found = cells_of("category=faces,food", "seed=0,1", "edit.k=null,0.3", "cycle.mode=swap")
    assert len({id(one.model) for one in found}) == len({id(one.metrics) for one in found}) == 1
    assert len({id(one.cell.sampler) for one in found}) == len({id(one.cell.model) for one in found}) == 1
    assert len({id(one.cell.edit) for one in found}) == len({id(one.cell.reverse) for one in found}) == 4


def test_a_sweep_s_cells_are_those_of_single_commands(cells_of):
    from omegaconf import OmegaConf

    from sweeps.config import build_cell

    axes = ("category=food,faces", "pair=1,2", "edit.cross_replace_steps={default_:0.8,a:0.4},[0.1,0.5]")
    found = cells_of(*axes, "seed=3", "edit.v_inject_steps=0.2")
    expected = []
    with initialize_config_module("conf", version_base="1.3"):
        for category in ("food", "faces"):
            for pair in (1, 2):
                for window in ("{default_:0.8,a:0.4}", "[0.1,0.5]"):
                    own = [f"category={category}", f"pair={pair}", f"edit.cross_replace_steps={window}"]
                    config = compose("config", overrides=[*own, "seed=3", "edit.v_inject_steps=0.2"])
                    expected.append(build_cell(OmegaConf.to_container(config, resolve=True)).cell)
    assert [one.cell.cell_id for one in found] == [cell.cell_id for cell in expected]
    assert [one.cell.config_id for one in found] == [cell.config_id for cell in expected]
