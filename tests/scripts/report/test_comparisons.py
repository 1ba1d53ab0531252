import dataclasses

import numpy as np
import pytest

from metrics.registry import METRICS
from scripts.report.analysis import analyse
from scripts.report.comparisons import scores_table
from scripts.report.statistics import ALL, Panel
from tests.scripts.report.synthetic import synthetic_results

TRUTH = {"ssim": lambda t: 0.5 + 0.0 * t.cross_replace_steps, "lpips": lambda t: 0.3 + 0.2 * t.cross_replace_steps}


def panel(values) -> Panel:
    """A panel of one category of values (metrics, configurations, pairs, seeds)."""
    metrics, configurations, pairs, seeds = values.shape
    counts = np.full(configurations, pairs * seeds)
    names = tuple(map(str, range(pairs)))
    return Panel(
        "food",
        names,
        names,
        tuple(range(seeds)),
        values,
        np.isfinite(values).any(0),
        counts,
        0 * counts,
        np.zeros((metrics, configurations), int),
    )


def tied(values):
    """`tied` of category food, (metrics, configurations)."""
    metrics = [dataclasses.replace(METRICS["ssim"], name=str(at), range="") for at in range(len(values))]
    table = scores_table([panel(values)], metrics, [str(at) for at in range(values.shape[1])])
    table = table[table["category"] == "food"]
    return table["tied"].to_numpy().reshape(values.shape[:2])


@pytest.mark.parametrize(("pairs", "configurations"), [(4, 20), (12, 60)])
def test_the_truly_best_is_lost_in_at_most_one_case_in_twenty(pairs, configurations):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(150, configurations, pairs, 2)) + rng.normal(size=(150, 1, pairs, 1))
    truth = np.zeros(configurations)
    assert tied(noise + truth[:, None, None])[:, 0].mean() >= 0.95
    truth[configurations // 2 :] = -100.0
    found = tied(noise + truth[:, None, None])
    assert found[:, 0].mean() >= 0.95
    if pairs == 12:
        assert found[:, configurations // 2 :].mean() < 0.01


def test_a_clear_difference_is_seen_though_pairs_differ_more():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 5.0, (20, 1, 8, 1)) + rng.normal(0, 0.1, (20, 3, 8, 2))
    values[:, 1:] -= 1.0
    assert tied(values).tolist() == [[True, False, False]] * 20


def test_equal_configurations_are_all_best_and_a_metric_without_direction_has_none():
    values = np.zeros((1, 3, 4, 2))
    assert tied(values).all()
    neither = dataclasses.replace(METRICS["ssim"], higher_is_better=None)
    table = scores_table([panel(values)], [neither], list("abc"))
    assert not table["best"].any()
    assert not table["tied"].any()


def test_best_is_sought_among_configurations_with_all_pairs():
    values = np.random.default_rng(2).normal(0, 0.1, (1, 3, 4, 2))
    values[0, 2, :3] = np.nan
    values[0, 2, 3] += 9.0
    table = scores_table([panel(values)], [METRICS["ssim"]], list("abc"))
    assert not table.query("config_id == 'c'")["best"].any()


def test_comparison_finds_the_difference_in_every_category_and_over_all():
    found = analyse(synthetic_results(truth=TRUTH, pairs=8)).comparison.set_index(["category", "metric"])
    lpips = found.loc[(slice(None), "lpips"), :]
    assert set(lpips.index.get_level_values(0)) == {"animals", "faces", ALL}
    assert lpips["difference"].to_numpy() == pytest.approx(-0.12, abs=0.01)
    assert ((lpips["low"] < lpips["difference"]) & (lpips["difference"] < lpips["high"])).all()
    assert ((lpips["high"] < 0) & (lpips["p_corrected"] < 0.05)).all()
    assert (lpips["effect_size"] < -5).all()
    assert (found.loc[(slice(None), "ssim"), "p_corrected"] > 0.05).all()
    assert found.loc[(ALL, "lpips"), ["pairs", "seeds"]].tolist() == [16, 2]


def test_a_sweep_without_one_of_the_known_configurations_compares_nothing():
    found = analyse(synthetic_results(grid={"k": (0.3,), "cross": (0.8, 0.4), "self_": (0.2,), "v": (0.0,)}))
    assert found.comparison.empty


def test_nulls_and_failures_are_counted_and_in_no_mean():
    results = synthetic_results(categories=("faces",), truth={"ssim": lambda t: 0.5 + 0 * t.k})
    cells = results.cells
    config_id = cells["config_id"].iloc[0]
    first, second = cells.index[cells["config_id"] == config_id][:2]
    cells.loc[first, "ssim"] = np.nan
    cells.loc[second, ["ssim", "status"]] = [np.nan, "failed"]
    row = analyse(results).scores.query("category == 'faces' and config_id == @config_id").iloc[0]
    assert (row["n"], row["nulls"], row["failed"]) == (6, 1, 1)
    assert row["mean"] == pytest.approx(0.5, abs=0.15)


def test_robustness_is_the_spread_over_seeds():
    found = analyse(synthetic_results(seeds=30, pairs=6, seed_sd=0.2, noise_sd=0.0)).robustness
    values = found[(found["category"] == ALL) & (found["metric"] == "ssim")]["value"]
    assert values.to_numpy() == pytest.approx(0.2, abs=0.03)
    assert analyse(synthetic_results(seeds=1)).robustness.empty
