import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metrics.calibration import statistics
from metrics.calibration.figure import draw
from metrics.calibration.questions import QUESTIONS, answer_all, shifts
from metrics.calibration.report import answers_table, blindness, report, shifts_table
from metrics.calibration.trials import CAPTIONED, RETURNED, score_pairs
from p2p.world.pairs import draw_variants, sample_pair

METRICS = tuple(QUESTIONS)


@pytest.fixture(scope="module")
def scores(networks) -> pd.DataFrame:
    return score_pairs([sample_pair(number, 0) for number in range(10)], METRICS, networks, 0)


def test_auc_is_the_share_of_ordered_couples_with_ties_half() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 6, 40).astype(float), rng.integers(0, 5, 30).astype(float)
    first[3] = math.nan
    known = first[np.isfinite(first)]
    wins = (known[:, None] > second).mean() + (known[:, None] == second).mean() / 2
    found = statistics.auc(first, second, np.arange(40), np.arange(30))
    assert found.value == pytest.approx(wins)
    assert found.low < wins < found.high
    assert found.number == 40


def test_spearman_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 9, 60).astype(float)
    second = first + rng.normal(0, 3, 60).round()
    found = statistics.spearman(first, second, np.arange(60))
    assert found.value == pytest.approx(stats.spearmanr(first, second).statistic)
    assert found.low < found.value < found.high


def test_a_resample_of_whole_pairs_equals_counting_its_pairs_so_often() -> None:
    first, second = np.array([3.0, 1.0, 2.0, 5.0]), np.array([2.0, 4.0, 1.0, 6.0])
    drawn = statistics.resample(4, 0)[1].astype(int)
    repeated = np.repeat(np.arange(4), drawn)
    ranks = statistics._ranks(first, drawn[None].astype(float))[0]
    np.testing.assert_allclose(stats.rankdata(first[repeated]) - 0.5, ranks[repeated])
    assert statistics.resample(4, 0).sum(axis=1).tolist() == [4.0] * (1 + statistics.RESAMPLES)
    assert statistics.ratio(first, second, np.arange(4)).value == pytest.approx(11 / 13)


def test_intervals_follow_the_seed_and_nothing_gives_nothing() -> None:
    values, pairs = np.arange(20.0), np.arange(20)
    assert statistics.mean(values, pairs, 5) == statistics.mean(values, pairs, 5)
    assert statistics.mean(values, pairs, 5) != statistics.mean(values, pairs, 6)
    empty = np.full(20, math.nan)
    for nothing in (
        statistics.auc(empty, values, pairs, pairs),
        statistics.mean(empty, pairs),
        statistics.spearman(empty, values, pairs),
        statistics.ratio(values, empty, pairs),
    ):
        assert nothing.number == 0
        assert math.isnan(nothing.value)


def test_every_variant_is_scored_by_every_metric_or_null(scores) -> None:
    names = set(draw_variants(sample_pair(0, 0), 0)) | {"wrong_value", *CAPTIONED}
    assert set(scores["variant"]) == names
    assert not scores.duplicated(["pair", "variant"]).any()
    pictures = scores[~scores["variant"].isin(CAPTIONED)]
    assert pictures[["clip_score", "lpips", "ssim", "mse"]].notna().all(axis=None)
    assert (pictures["identity_distance"].notna() == (pictures["category"] == "faces")).all()
    assert (pictures["cycle_mse"].notna() == pictures["variant"].isin(RETURNED)).all()
    captioned = scores[scores["variant"].isin(CAPTIONED)]
    assert captioned["clip_score"].notna().all()
    assert captioned["lpips"].isna().all()


def test_the_untouched_source_is_no_distance_away(scores) -> None:
    untouched = scores[scores["variant"] == "none"]
    assert (untouched["area"] == 0).all()
    assert (untouched["mse"] == 0).all()
    assert untouched["psnr"].isna().all()
    assert (scores[scores["variant"] == "asked"]["area"] > 0).all()


def test_what_an_exact_edit_changes_is_no_background(scores) -> None:
    exact = scores[scores["variant"].isin(["none", "asked", "part_1", "strength_1"])]
    assert (exact["background_mse"] == 0).all()
    others = scores[scores["variant"].isin(["noise", "setting"])]
    assert (others["background_mse"] > 0).all()


def table(**columns: list[float]) -> pd.DataFrame:
    """Four pairs with the exact edit, a wrong one, a side effect and none."""
    variants = ["asked", "wrong_factor", "extra", "none"]
    rows = [(pair, "food", "dish", name, 0.1 * pair) for pair in range(4) for name in variants]
    found = pd.DataFrame(rows, columns=["pair", "category", "factor", "variant", "area"])
    return found.assign(**{name: values * 4 for name, values in columns.items()})


def test_answers_are_oriented_by_the_metrics_direction() -> None:
    found = {
        (answer.metric, answer.question): answer
        for answer in answer_all(table(attribute_success=[1.0, 0.0, 1.0, 0.0], mse=[0.1, 0.1, 0.3, 0.0]))
        if answer.category == "all"
    }
    success = found["attribute_success", "the asked edit before a wrong one or none"]
    assert (success.estimate.value, success.same_pair.value, success.verdict) == (1.0, 1.0, "met")
    assert found["attribute_success", "the asked edit before one with a side effect"].estimate.value == 0.5
    assert found["mse", "one changed factor before two"].estimate.value == 1.0
    assert found["mse", "the asked edit before a wrong one"].same_pair.value == 0.5


def test_a_missed_minimum_is_said() -> None:
    answers = answer_all(table(attribute_success=[0.0, 1.0, 0.0, 0.0]))
    missed = next(answer for answer in answers if answer.minimum is not None)
    assert missed.verdict == "missed"
    said = blindness(answers, [])["attribute_success"]
    assert "is below its minimum of 0.95 in food (0.2500) and food, dish (0.2500)" in said


def test_a_metric_without_questions_is_refused() -> None:
    strange = table(mse=[0.0, 0.0, 0.0, 0.0]).rename(columns={"mse": "psnr"})
    assert {answer.metric for answer in answer_all(strange)} == {"psnr"}
    known = dict(QUESTIONS)
    try:
        del QUESTIONS["psnr"]
        with pytest.raises(ValueError, match="no question is known about psnr"):
            answer_all(strange)
    finally:
        QUESTIONS.clear()
        QUESTIONS.update(known)


def test_the_report_has_every_metric_question_and_nuisance(scores) -> None:
    answers, moved = answer_all(scores), shifts(scores)
    text = report(answers, moved, scores, "the command")
    assert "10 rendered pairs" in text
    for metric, questions in QUESTIONS.items():
        assert f"- `{metric}` " in text
        rows = answers_table(answers).query("metric == @metric and category == 'all'")
        assert set(rows["question"]) <= {question.text for question in questions}
        assert len(rows) >= 1
    assert len(shifts_table(moved)) == 5 * sum(not metric.startswith("cycle_") for metric in QUESTIONS)
    assert (shifts_table(moved).query("metric == 'ssim'")["mean_unchanged"] == 1).all()


def test_the_figure_is_drawn_from_the_answers(scores, tmp_path) -> None:
    figure = draw(answer_all(scores), shifts(scores))
    figure.savefig(tmp_path / "figure.png", dpi=50)
    assert (tmp_path / "figure.png").stat().st_size > 1000
    assert len(figure.axes) == 2
