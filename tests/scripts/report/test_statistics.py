import numpy as np
import pandas as pd
import pytest
from scipy import stats

from scripts.report.pareto import resampled_means
from scripts.report.statistics import clipped, combine, estimate, holm, make_panels, spread_over_seeds

NAN = float("nan")


def draw(rng, trials, pairs, seeds, pair_sd, seed_sd):
    """Values of true mean 0, (trials, pairs, seeds)."""
    return rng.normal(0, pair_sd, (trials, pairs, 1)) + rng.normal(0, seed_sd, (trials, pairs, seeds))


def covers(found) -> float:
    low, high = found.interval()
    return float(((low <= 0) & (high >= 0)).mean())


def test_variance_is_that_of_a_two_level_bootstrap_of_infinitely_many_resamples():
    rng = np.random.default_rng(0)
    values = draw(rng, 1, 5, 3, 1.0, 1.0)
    resamples = resampled_means(values[None], 200_000, rng)[0, :, 0]
    pairs_alone = estimate(values, seeds=False).variance.item()
    whole = estimate(values).variance.item()
    uncorrected = pairs_alone * 4 / 5 + (whole - pairs_alone)
    np.testing.assert_allclose(resamples.var(), uncorrected, rtol=0.02)
    np.testing.assert_allclose(resamples.mean(), estimate(values).mean.item(), atol=0.01)


@pytest.mark.parametrize(("pairs", "seeds"), [(4, 2), (8, 4), (25, 4)])
@pytest.mark.parametrize("seed_sd", [0.1, 1.0])
def test_intervals_hold_the_truth_about_95_times_in_100_and_never_less(pairs, seeds, seed_sd):
    values = draw(np.random.default_rng(1), 4000, pairs, seeds, 1.0, seed_sd)
    assert 0.94 <= covers(estimate(values)) <= 0.985
    assert 0.94 <= covers(estimate(values, seeds=False)) <= 0.96


def test_percentiles_of_four_resampled_pairs_would_be_too_narrow():
    rng = np.random.default_rng(2)
    values = draw(rng, 400, 4, 2, 1.0, 0.1)
    resamples = resampled_means(values[None], 1000, rng)[0]
    low, high = np.percentile(resamples, [2.5, 97.5], axis=0)
    assert ((low <= 0) & (high >= 0)).mean() < 0.88


def test_skewed_scores_between_0_and_1_keep_their_coverage_with_eight_pairs():
    rng = np.random.default_rng(3)
    values = rng.beta(4, 1, (4000, 8, 1)) + rng.normal(0, 0.02, (4000, 8, 3)) - 0.8
    assert 0.92 <= covers(estimate(values)) <= 0.98


@pytest.mark.parametrize("pairs", [2, 4, 20])
def test_under_the_null_a_comparison_is_significant_in_one_case_of_twenty(pairs):
    found = estimate(draw(np.random.default_rng(4), 10_000, pairs, 2, 1.0, 1.0), seeds=False)
    assert 0.04 <= (found.p_values() < 0.05).mean() <= 0.06
    assert 0.04 <= (found.p_values(sides=1) < 0.05).mean() <= 0.06


def test_means_over_categories_keep_their_coverage_though_pairs_are_few_and_unlike():
    rng = np.random.default_rng(5)
    panels = [draw(rng, 4000, pairs, 2, sd, 0.1) for pairs, sd in ((3, 1.0), (4, 0.2), (8, 2.0))]
    assert 0.94 <= covers(combine([estimate(panel) for panel in panels])) <= 0.98


def test_comparison_agrees_with_scipy():
    values = draw(np.random.default_rng(6), 3, 6, 2, 1.0, 0.5)
    expected = stats.ttest_1samp(values.mean(-1), 0, axis=-1)
    found = estimate(values, seeds=False)
    np.testing.assert_allclose(found.p_values(), expected.pvalue)
    np.testing.assert_allclose(
        found.p_values(sides=1), stats.ttest_1samp(values.mean(-1), 0, -1, alternative="greater").pvalue
    )
    np.testing.assert_allclose(found.interval()[0], expected.confidence_interval().low)


def test_combined_variances_have_welchs_degrees_of_freedom():
    first, second = np.random.default_rng(7).normal(size=(2, 5)), None
    second = np.random.default_rng(8).normal(2.0, 3.0, (1, 9))
    found = combine([estimate(2 * first[:1, :, None], False), estimate(-2 * second[:, :, None], False)])
    expected = stats.ttest_ind(first[0], second[0], equal_var=False)
    np.testing.assert_allclose(found.p_values()[0], expected.pvalue)
    np.testing.assert_allclose(found.freedom[0], expected.df)


def test_holm_leaves_unknown_values_out():
    p = np.array([0.01, NAN, 0.04, 0.03, 0.5, 0.01])
    np.testing.assert_allclose(holm(p), [0.05, NAN, 0.09, 0.09, 0.5, 0.05])
    assert np.isnan(holm(np.array([NAN]))).all()


def test_pairs_that_agree_exactly_are_no_certainty():
    found = estimate(np.ones((1, 4, 2)), seeds=False)
    assert found.p_values()[0] == pytest.approx(2**-3)
    assert estimate(np.zeros((1, 4, 2)), seeds=False).p_values()[0] == 1
    assert estimate(np.zeros((1, 4, 2)), seeds=False).p_values(sides=1)[0] >= 0.5


def test_one_pair_has_a_mean_and_no_interval():
    found = estimate(np.array([[[1.0, 3.0]]]))
    assert found.mean[0] == 2
    assert np.isnan(found.interval()).all()
    assert np.isnan(found.p_values()[0])


def test_nulls_are_left_out_and_every_pair_counts_alike():
    found = estimate(np.array([[[1.0, NAN, NAN], [2.0, 3.0, 4.0], [NAN, NAN, NAN]]]))
    assert found.mean[0] == 2
    assert found.freedom[0] == 1
    assert np.isnan(estimate(np.full((1, 2, 2), NAN)).mean[0])


def test_spread_over_seeds_is_within_pairs():
    values = np.array([[1.0, 3.0], [100.0, 104.0], [7.0, NAN]])
    assert spread_over_seeds(values) == pytest.approx((np.std([1, 3], ddof=1) + np.std([100, 104], ddof=1)) / 2)
    assert np.isnan(spread_over_seeds(values[:, :1]))


def test_intervals_end_where_the_metric_ends():
    ends = np.array([-0.2, 0.1]), np.array([0.5, 1.2])
    assert [end.tolist() for end in clipped(ends, "[0, 1]")] == [[0, 0.1], [0.5, 1]]
    assert clipped(ends, "[0, inf)")[1].tolist() == [0.5, 1.2]
    assert clipped(ends, "dB") == ends


def test_cells_of_one_place_are_averaged_and_failed_ones_counted():
    rows = [("a", "p", 0, "ok", 1.0), ("a", "p", 0, "ok", 3.0), ("a", "p", 1, "ok", NAN), ("b", "p", 0, "failed", NAN)]
    cells = pd.DataFrame(rows, columns=["config_id", "pair", "seed", "status", "ssim"]).assign(category="food")
    (panel,) = make_panels(cells, ["ssim"], ["a", "b"])
    np.testing.assert_array_equal(panel.values[0, 0, 0], [2.0, NAN])
    assert (panel.drawn.tolist(), panel.failed.tolist(), panel.nulls.tolist()) == ([3, 0], [0, 1], [[1, 0]])
