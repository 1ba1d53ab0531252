import pytest

from metrics.registry import METRICS, get_metrics
from metrics.score import _MEASURES


def test_metrics_are_known_by_their_own_names_and_every_one_can_be_computed():
    assert all(name == metric.name for name, metric in METRICS.items())
    assert set(_MEASURES) == set(METRICS)


def test_get_metrics_keeps_the_given_order():
    assert [metric.name for metric in get_metrics(["ssim", "lpips"])] == ["ssim", "lpips"]


def test_unknown_metric_names_the_known_ones_and_the_closest():
    with pytest.raises(ValueError, match="unknown metric 'lpip'; did you mean lpips.*Known: clip_score"):
        get_metrics(["ssim", "lpip"])


def test_metric_given_twice_is_refused():
    with pytest.raises(ValueError, match="'ssim' is given twice"):
        get_metrics(["ssim", "ssim"])
