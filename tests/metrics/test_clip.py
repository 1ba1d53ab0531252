import math

import pytest
import torch
from torch import tensor

from metrics.clip import clip_directional, clip_score
from metrics.registry import Null


def test_clip_score_is_100_times_the_cosine():
    assert clip_score(tensor([1.0, 0.0]), tensor([0.6, 0.8])) == pytest.approx(60)


def test_clip_score_is_cut_at_0():
    assert clip_score(tensor([1.0, 0.0]), tensor([-0.6, 0.8])) == 0


def test_directional_by_hand():
    source, target = tensor([1.0, 0.0, 0.0]), tensor([0.0, 1.0, 0.0])
    before, after = tensor([1.0, 0.0, 0.0]), tensor([0.0, 0.0, 1.0])
    assert clip_directional(source, target, before, after) == pytest.approx(1 / math.sqrt(2) / math.sqrt(2))


def test_directional_is_1_along_and_minus_1_against_the_words():
    a, b = tensor([1.0, 0.0]), tensor([0.0, 1.0])
    assert clip_directional(a, b, a, b) == pytest.approx(1)
    assert clip_directional(b, a, a, b) == pytest.approx(-1)


def test_directional_has_no_value_where_a_difference_is_zero():
    a, b = tensor([1.0, 0.0]), tensor([0.0, 1.0])
    assert clip_directional(a, b, a, a) is Null.SAME_PROMPT
    assert clip_directional(a, a, a, b) is Null.NO_CHANGE
    assert clip_directional(a, a + torch.tensor([1e-8, 0]), a, b) is Null.NO_CHANGE
