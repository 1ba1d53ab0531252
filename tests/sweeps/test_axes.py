import pytest

from sweeps.axes import parse_grid

GROUPS = {"category": ["animals", "faces", "food"], "edit": ["literature", "proposed"]}
DIAGONAL = {"edit.cross_replace_steps": "0.2,0.8", "edit.self_replace_steps": "0.8,0.2"}


def parse(*arguments, **sweeper):
    return parse_grid(arguments, lambda key: GROUPS.get(key, []), **sweeper)


def keys(part):
    return [[axis.key for axis in dimension] for dimension in part]


def test_ranges_step_in_exact_decimals():
    [[axis]] = parse("edit.self_replace_steps=range(0,1,0.1)").parts[0]
    assert axis.values() == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def test_ranges_count_down_and_keep_whole_numbers():
    [[axis]] = parse("seed=range(3,0,-1)").parts[0]
    assert axis.values() == [3, 2, 1]
    assert all(isinstance(value, int) for value in axis.values())


def test_values_may_be_null_lists_and_mappings():
    [[axis]] = parse("edit.cross_replace_steps=0.8,[0.1,0.5],{default_:0.8,car:[0,0.4]},null,1e-1").parts[0]
    assert axis.values() == [0.8, [0.1, 0.5], {"default_": 0.8, "car": [0, 0.4]}, None, 0.1]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("glob(*)", ("animals", "faces", "food")),
        ("glob(f*)", ("faces", "food")),
        ("choice(food,faces)", ("food", "faces")),
    ],
)
def test_a_config_group_s_options_can_be_globbed(pattern, found):
    [[axis]] = parse(f"category={pattern}").parts[0]
    assert axis.texts == found
    assert axis.is_group


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("category=glob(x*)", r"category=glob\(x\*\) has no values; its options are animals, faces, food"),
        ("edit.k=glob(*)", "edit.k: glob chooses among the options of a config group"),
        ("edit.k=interval(0,1)", "edit.k: an interval has no points"),
        ("seed=range(3,0)", r"seed=range\(3,0\) has no values"),
        ("seed=range(0,3,0)", "seed: a range needs a step other than 0"),
        ("sweep.batch_size=1,2", "sweep.batch_size cannot be swept; can be: model, category"),
        ("metrics=world,pixel", "metrics cannot be swept"),
    ],
)
def test_what_is_no_axis_is_refused(argument, message):
    with pytest.raises(ValueError, match=message):
        parse(argument)


def test_zipped_axes_advance_together():
    grid = parse(params={"category": "faces,food"}, zips=[DIAGONAL])
    assert len(grid) == 4
    assert keys(grid.parts[0]) == [["category"], [*DIAGONAL]]


def test_zipped_values_may_repeat():
    grid = parse(zips=[{"edit.k": "0.0,0.3,0.3", "edit.self_replace_steps": "0.2,0.2,0.8"}])
    assert len(grid) == 3


def test_zipped_axes_of_unequal_lengths_are_refused():
    message = "zip\\[0\\]: keys that advance together need equally many values; edit.k has 2, seed has 3"
    with pytest.raises(ValueError, match=message):
        parse(zips=[{"edit.k": "0,0.3", "seed": "range(3)"}])


def test_a_union_adds_its_parts_and_params_hold_in_all_of_them():
    grid = parse(
        "pair=0,1",
        params={"seed": "range(3)", "tracking": "none"},
        zips=[DIAGONAL],
        union=[{"edit.k": "null,0.0"}, {"edit.v_inject_steps": 0.4, "zip": [{"sampler.width": "64,96"}]}, {}],
    )
    common = [["seed"], [*DIAGONAL]]
    assert [keys(part) for part in grid.parts] == [
        [*common, ["edit.k"], ["pair"]],
        [*common, ["edit.v_inject_steps"], ["sampler.width"], ["pair"]],
        [*common, ["pair"]],
    ]
    assert len(grid) == 3 * 2 * 2 * (2 + 2 + 1)
    assert grid.fixed == ("tracking=none",)


def test_values_of_yaml_are_read_as_what_they_are():
    part = parse(union=[{"edit.k": None, "edit.cross_replace_steps": [0, 0.5], "edit.equalizer": {"red": 2.0}}]).parts[
        0
    ]
    assert [axis.values() for [axis] in part] == [[None], [[0, 0.5]], [{"red": 2.0}]]


@pytest.mark.parametrize("given", ["edit.k=0.1", "edit.k=0.1,0.2"])
def test_the_command_line_replaces_an_experiment_s_axis_wherever_it_stands(given):
    sweeper = {"params": {"seed": "0,1"}, "union": [{"edit.k": "0.0,0.3"}, {"edit.self_replace_steps": "0.2,0.8"}]}
    first, second = parse(given, **sweeper).parts
    own = [["edit.k"]] if "," in given else []
    assert keys(first) == [["seed"], *own]
    assert keys(second) == [["seed"], ["edit.self_replace_steps"], *own]
    assert parse(given, params={"edit.k": "0.0,0.3"}).fixed == (() if own else (given,))


def test_the_command_line_replaces_a_zip_whole_or_not_at_all():
    fixed = [f"{key}=0.5" for key in DIAGONAL]
    assert parse(*fixed, zips=[DIAGONAL]).parts == ((),)
    message = (
        "edit.self_replace_steps advances together with edit.cross_replace_steps in hydra.sweeper.zip\\[0\\]; "
        "give all of them on the command line, or none"
    )
    with pytest.raises(ValueError, match=message):
        parse("edit.self_replace_steps=0.5", zips=[DIAGONAL])


@pytest.mark.parametrize(
    ("arguments", "sweeper", "message"),
    [
        (["seed=1,2", "seed=3,4"], {}, "given twice: seed, in the command line"),
        (["seed=1", "seed=3,4"], {}, "given twice: seed, in the command line"),
        ([], {"params": {"seed": "0,1"}, "union": [{}, {"seed": "2,3"}]}, r"seed, in .*params and .*union\[1\]"),
        ([], {"params": {"seed": 1}, "union": [{"seed": "2,3"}]}, r"seed, in .*params and .*union\[0\]"),
        ([], {"zips": [DIAGONAL, {"edit.self_replace_steps": "0,1"}]}, r"in hydra.sweeper.zip\[0\] and .*zip\[1\]"),
        ([], {"union": [{"edit.k": "0,0.3", "zip": [{"edit.k": "0,0.3"}]}]}, r"union\[0\] and .*union\[0\].zip\[0\]"),
    ],
)
def test_an_axis_given_twice_is_refused(arguments, sweeper, message):
    with pytest.raises(ValueError, match=message):
        parse(*arguments, **sweeper)


@pytest.mark.parametrize(
    ("sweeper", "message"),
    [
        ({"zips": DIAGONAL}, "hydra.sweeper.zip must be a list of mappings"),
        ({"union": "edit.k"}, "hydra.sweeper.union must be a list of mappings"),
        ({"union": ["edit.k"]}, r"hydra.sweeper.union\[0\] must be a mapping"),
        ({"union": [{"zip": ["edit.k"]}]}, r"hydra.sweeper.union\[0\].zip\[0\] must be a mapping"),
        ({"union": [{"metrics": "pixel"}]}, "metrics cannot be swept"),
        ({"params": ["edit.k"]}, "hydra.sweeper.params must be a mapping"),
    ],
)
def test_an_experiment_of_another_shape_is_refused(sweeper, message):
    with pytest.raises(ValueError, match=message):
        parse(**sweeper)
