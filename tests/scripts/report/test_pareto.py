import dataclasses

import numpy as np
import pandas as pd
import pytest

from scripts.report.analysis import analyse
from scripts.report.pareto import nearest_ideal, pareto_front, resampled_means
from scripts.report.statistics import ALL, estimate
from tests.scripts.report.synthetic import SMALL, synthetic_results

NAN = float("nan")


def test_front_is_what_no_other_beats():
    scores = np.array([[1.0, 2.0, 3.0, 2.0, 3.0, NAN, 2.0], [3.0, 2.0, 1.0, 1.0, 0.5, 9.0, 2.0]])
    assert sorted(pareto_front(scores)) == [0, 1, 2, 6]


def test_front_agrees_with_comparing_every_two():
    scores = np.random.default_rng(0).integers(0, 12, (2, 200)).astype(float)
    beaten = [
        any((scores[:, other] >= own).all() and (scores[:, other] > own).any() for other in range(200))
        for own in scores.T
    ]
    assert sorted(pareto_front(scores)) == np.flatnonzero(~np.array(beaten)).tolist()


def test_recommended_is_the_knee_of_the_front_in_whatever_units():
    front = np.array([[0.0, 0.8, 1.0, 0.5], [1.0, 0.7, 0.0, 0.5]])
    assert nearest_ideal(front[:, None]).tolist() == [1]
    assert nearest_ideal(front[:, None] * np.array([1000.0, 0.01])[:, None, None] - 5).tolist() == [1]
    assert nearest_ideal(np.array([[[NAN, 1.0]], [[2.0, NAN]]])).tolist() == [-1]


def test_recommended_is_always_on_the_front():
    scores = np.random.default_rng(1).normal(size=(2, 300, 40))
    for at, place in enumerate(nearest_ideal(scores)):
        assert place in pareto_front(scores[:, at])


def test_where_one_configuration_is_best_in_both_it_is_recommended():
    assert nearest_ideal(np.array([[[1.0, 3.0, 3.0]], [[0.0, 5.0, 4.0]]])).tolist() == [1]


def test_resamples_draw_pairs_then_seeds_and_leave_nulls_out():
    rng = np.random.default_rng(2)
    values = rng.normal(size=(2, 3, 5, 4))
    values[:, 1, 2] = NAN
    means = resampled_means(values, 4000, rng)
    assert means.shape == (2, 4000, 3)
    assert np.isfinite(means[:, :, [0, 2]]).all()
    np.testing.assert_allclose(np.nanmean(means, axis=1), estimate(values).mean, atol=0.06)
    constant = np.broadcast_to(np.arange(5.0)[:, None], (1, 1, 5, 4))
    drawn = resampled_means(np.array(constant), 100, rng) * 5
    np.testing.assert_allclose(drawn, np.round(drawn), atol=1e-9)


def test_scores_of_the_recommended_are_of_pairs_that_did_not_choose_it():
    """With noise alone, the best of 256 looks better than it is on the pairs that chose it, and not on the others."""
    flat = {"clip_directional": lambda t: 0.5 + 0 * t.k, "lpips": lambda t: 0.5 + 0 * t.k}
    grid = {**SMALL, "cross": np.linspace(0, 1, 8), "self_": np.linspace(0, 1, 8)}
    gaps = []
    for seed in range(8):
        results = synthetic_results(
            categories=("faces",), truth=flat, grid=grid, pairs=6, pair_noise_sd=0.2, pair_sd=0, seed=seed
        )
        analysis = analyse(results)
        row = analysis.recommended.iloc[0]
        assert (row["pairs"], row["pairs_held_out"]) == (3, 3)
        cells = results.cells[results.cells["config_id"] == row["config_id"]]
        chose = cells[cells["pair"].isin(["pair_00", "pair_02", "pair_04"])]
        others = cells[~cells.index.isin(chose.index)].groupby("pair")[["clip_directional", "lpips"]].mean().mean()
        assert row[["words", "keep"]].tolist() == pytest.approx(others.tolist())
        gaps.append((chose["clip_directional"].mean() - 0.5 + 0.5 - chose["lpips"].mean(), row["words"] - row["keep"]))
    flattered, held_out = np.mean(gaps, axis=0)
    assert flattered > 0.15
    assert abs(held_out) < 0.15
    assert analysis.recommended["confidence"].max() < 0.5


def test_a_clear_choice_is_made_surely_in_every_category_and_over_all():
    truth = {
        "clip_directional": lambda t: 1.0 * (t.self_replace_steps == 0.8) + 0.3 * (t.k == 0),
        "lpips": lambda t: 1.0 * (t.cross_replace_steps == 0.2) + 1.0 * t.v_inject_steps,
    }
    analysis = analyse(synthetic_results(truth=truth))
    found = analysis.recommended.set_index("category")
    assert set(found.index) == {"animals", "faces", ALL}
    chosen = analysis.configurations.loc[found["config_id"]]
    assert (
        chosen[["k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"]].to_numpy().tolist()
        == [[0.0, 0.8, 0.8, 0.0]] * 3
    )
    assert (found["confidence"] > 0.9).all()
    assert (found["self_replace_steps_confidence"] > 0.9).all()
    assert (found["words"] > found["words_literature"] + 0.5).all()


def test_one_pair_alone_has_neither_scores_nor_confidence():
    found = analyse(synthetic_results(pairs=1)).recommended
    assert found["config_id"].notna().all()
    assert found[["confidence", "words", "keep_low", "k_confidence"]].isna().all().all()


def test_metrics_of_the_front_are_chosen_or_refused():
    results = synthetic_results(
        truth={name: lambda t: t.k + t.cross_replace_steps for name in ("clip_score", "ssim", "psnr")}
    )
    analysis = analyse(results)
    assert (analysis.words, analysis.keep) == ("clip_score", "ssim")
    assert analyse(results, keep="psnr").keep == "psnr"
    with pytest.raises(ValueError, match="--keep: metric 'lpips' is not scored in these sweeps; scored: clip_score"):
        analyse(results, keep="lpips")


def test_without_a_metric_of_the_words_there_is_no_front_and_a_note():
    analysis = analyse(synthetic_results(truth={"ssim": lambda t: 0.5 + 0 * t.k}))
    assert analysis.front.empty
    assert analysis.recommended.empty
    assert any("no front" in note and "clip_directional" in note for note in analysis.notes)


def test_same_cells_and_seed_give_the_same_analysis():
    results = synthetic_results()
    first, second = (analyse(results, seed=3).recommended for _ in range(2))
    assert first.equals(second)


def test_configurations_without_some_of_the_pairs_are_not_on_the_front():
    """One drawn for the easiest pair alone would look best; a note tells how many are left out."""
    results = synthetic_results(categories=("faces",))
    cells = results.cells
    first = cells["config_id"].iloc[0]
    few = (cells["config_id"] == first) & (cells["pair"] != "pair_00")
    cells.loc[cells["config_id"] == first, ["clip_directional", "lpips"]] = [5.0, -5.0]
    assert set(analyse(results).front["config_id"]) == {first}
    analysis = analyse(dataclasses.replace(results, cells=cells[~few]))
    assert first not in set(analysis.front["config_id"])
    assert analysis.recommended["config_id"].iloc[0] != first
    assert any("1 configuration in faces" in note for note in analysis.notes)


def test_literature_beside_a_recommendation_is_otherwise_set_alike():
    """Of the literature's values at 20 and at 50 steps, that of the steps recommended."""
    results = synthetic_results(categories=("faces",))
    better = results.cells.assign(num_inference_steps=50, config_id="at 50 " + results.cells["config_id"])
    better = better.assign(cell_id="at 50 " + better["cell_id"], lpips=better["lpips"] - 1)
    both = dataclasses.replace(results, cells=pd.concat([results.cells, better], ignore_index=True))
    row = analyse(both).recommended.iloc[0]
    assert row["config_id"].startswith("at 50 ")
    assert row["keep_literature"] == pytest.approx(analyse(results).recommended.iloc[0]["keep_literature"] - 1)
