import itertools

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.stats.anova import anova_lm

from scripts.report.analysis import analyse
from scripts.report.effects import anova
from scripts.report.grids import factorial, members
from scripts.report.statistics import ALL
from tests.scripts.report.synthetic import synthetic_results

QUIET = {"pair_sd": 0.05, "seed_sd": 0.02, "noise_sd": 0.0}


def star():
    """One hyperparameter at a time around both known configurations."""
    values = (None, 0.0, 0.3, 0.6), (0.0, 0.2, 0.5, 0.8), (0.2, 0.4, 0.6, 0.8), (0.0, 0.2, 0.4)
    centres = (0.3, 0.8, 0.2, 0.0), (0.0, 0.2, 0.8, 0.0)
    found = [(*centre[:at], value, *centre[at + 1 :]) for centre in centres for at in range(4) for value in values[at]]
    return list(dict.fromkeys(found))


def test_marginal_curves_and_two_way_means_are_the_truths():
    results = synthetic_results(**QUIET, truth={"lpips": lambda t: t.cross_replace_steps * (1 + t.k)})
    analysis = analyse(results)
    curve = analysis.marginal.query("category == 'faces' and hyperparameter == 'cross_replace_steps'")
    assert curve["value"].tolist() == [0.2, 0.8]
    assert np.diff(curve["mean"])[0] == pytest.approx(0.6 * 1.15)
    assert (curve["n"] == 8 * 4 * 2).all()
    assert ((curve["low"] < curve["mean"]) & (curve["mean"] < curve["high"])).all()
    cells = analysis.two_way.query("category == 'all' and first == 'k' and second == 'cross_replace_steps'")
    means = cells.set_index(["first_value", "second_value"])["mean"]
    assert means[0.3, 0.8] - means[0.3, 0.2] - means[0.0, 0.8] + means[0.0, 0.2] == pytest.approx(0.6 * 0.3)
    assert set(analysis.two_way["n"]) == {16 * 4 // 4 * 2, 2 * 16 * 4 // 4 * 2}


def test_values_are_compared_over_the_same_cells():
    """Where the harder of two pairs lacks its scores at one value, the curve is that of the other pair."""
    results = synthetic_results(categories=("food",), pairs=2, pair_sd=0, truth={"lpips": lambda t: t.k})
    cells = results.cells
    harder = cells["pair"] == "pair_01"
    cells.loc[harder, "lpips"] += 5
    cells.loc[harder & (cells["cross_replace_steps"] == 0.8), "lpips"] = np.nan
    marginal = analyse(results).marginal
    curve = marginal[marginal["hyperparameter"] == "cross_replace_steps"]
    assert curve["n"].tolist() == [16, 16]
    assert np.diff(curve["mean"])[0] == pytest.approx(0, abs=0.05)


def test_with_one_hyperparameter_at_a_time_curves_are_those_at_the_centres():
    results = synthetic_results(
        **QUIET, configurations=star(), truth={"ssim": lambda t: t.k.fillna(1) + t.cross_replace_steps}
    )
    analysis = analyse(results)
    curve = analysis.marginal.query("category == 'all' and hyperparameter == 'k'").set_index("text")["mean"]
    assert curve.index.tolist() == ["none", "0", "0.3", "0.6"]
    assert (curve - curve["0"]).tolist() == pytest.approx([1.0, 0.0, 0.3, 0.6])
    assert analysis.shares.empty
    assert analysis.two_way.empty
    assert any("no complete grid" in note for note in analysis.notes)


def test_shares_are_those_of_a_textbook_analysis_of_variance():
    array = np.random.default_rng(0).normal(size=(3, 4, 2))
    places = pd.DataFrame(list(itertools.product(range(3), range(4), range(2))), columns=["a", "b", "c"])
    twice = pd.concat([places.assign(y=array.ravel() + noise) for noise in (-0.5, 0.5)])
    table = anova_lm(smf.ols("y ~ C(a) * C(b) * C(c)", twice).fit(), typ=2)
    expected = (table["sum_sq"] / len(twice) / array.var()).drop("Residual")
    found = dict(anova(array))
    terms = [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)]
    np.testing.assert_allclose([found[term] for term in terms], expected.to_numpy())
    assert sum(found.values()) == pytest.approx(1)


def test_shares_sum_to_one_and_an_additive_score_has_no_interactions():
    truth = {"ssim": lambda t: 3 * t.cross_replace_steps + t.k, "lpips": lambda t: t.k * t.cross_replace_steps}
    shares = analyse(synthetic_results(**QUIET, truth=truth)).shares
    sums = shares.groupby(["category", "metric"])["share"].sum()
    assert sums.to_numpy() == pytest.approx(np.ones(6))
    ssim = shares.query("metric == 'ssim' and category == 'faces'").set_index("term")["share"]
    k, cross = 0.15**2, (3 * 0.3) ** 2
    assert ssim["cross_replace_steps"] == pytest.approx(cross / (k + cross))
    assert ssim["k x cross_replace_steps"] == pytest.approx(0, abs=1e-9)
    lpips = shares.query("metric == 'lpips' and category == 'faces'").set_index("term")["share"]
    assert lpips["k x cross_replace_steps"] > 0.05


def test_a_pair_without_values_at_some_configurations_does_not_lend_them_its_level():
    results = synthetic_results(pair_sd=5.0, seed_sd=0.0, noise_sd=0.0, truth={"ssim": lambda t: t.cross_replace_steps})
    cells = results.cells
    cells.loc[(cells["pair"] == "pair_00") & (cells["k"] == 0.3), "ssim"] = np.nan
    shares = analyse(results).shares.query("category == 'faces'").set_index("term")["share"]
    assert shares["cross_replace_steps"] > 0.95


def test_a_grid_is_found_inside_a_larger_set_and_a_star_is_none():
    grid = np.array(list(itertools.product(range(3), range(2), range(2))))
    more = np.array([[3, 0, 0], [0, 2, 1]])
    levels = np.concatenate([more, grid])
    found = factorial(levels, np.ones(len(levels), bool))
    assert found is not None
    assert found.points.shape == (3, 2, 2)
    np.testing.assert_array_equal(levels[found.points.reshape(-1)], grid)
    star_ = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [0, 2]])
    assert factorial(star_, np.ones(5, bool)) is None


def test_members_are_the_contexts_that_hold_the_same_levels():
    levels = np.array([[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1], [0, 2]])
    found, points = members(levels, np.ones(7, bool), 0)
    assert found == [0, 1, 2]
    assert sorted(points.ravel().tolist()) == [0, 1, 2, 3, 4, 5]
    assert members(np.array([[0, 0], [1, 1]]), np.ones(2, bool), 0) is None


@pytest.mark.parametrize("dead", [(), ("v_inject_steps",)])
def test_a_hyperparameter_that_changes_no_picture_is_dead(dead):
    analysis = analyse(synthetic_results(dead=dead))
    assert set(analysis.dead.query("dead")["hyperparameter"]) == set(dead)
    assert set(analysis.dead["category"]) == {"animals", "faces", ALL}


def test_a_hyperparameter_that_is_dead_at_half_of_its_places_is_told_as_half():
    results = synthetic_results(dead=("v_inject_steps",))
    cells = results.cells
    moved = (cells["k"] == 0.3) & (cells["v_inject_steps"] == 0.4)
    cells.loc[moved, "cycle_hash"] = cells.loc[moved, "cycle_hash"] + " moved"
    found = analyse(results).dead.query("hyperparameter == 'v_inject_steps'")
    assert found["identical"].tolist() == [0.5] * 3
    assert not found["dead"].any()


def test_cells_without_hashes_tell_nothing_of_dead_hyperparameters():
    results = synthetic_results()
    results.cells["target_hash"] = None
    assert analyse(results).dead.empty


def test_scales_that_belong_to_pairs_are_no_hyperparameter():
    results = synthetic_results()
    cells = results.cells
    own = cells["pair"] == "pair_03"
    cells.loc[own, "edit"] = cells.loc[own, "edit"].str.replace('"equalizer": {}', '"equalizer": {"blond": 2.0}')
    cells.loc[own, "config_id"] += " scaled"
    analysis = analyse(results)
    assert len(analysis.configurations) == 32
    assert set(analysis.marginal["hyperparameter"]) == {
        "k",
        "cross_replace_steps",
        "self_replace_steps",
        "v_inject_steps",
    }
    assert not analysis.shares.empty
