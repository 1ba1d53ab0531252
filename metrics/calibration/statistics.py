"""AUC, share of ordered pairs and rank correlation, with intervals from a bootstrap over pairs."""

from typing import NamedTuple

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95


class Estimate(NamedTuple):
    """A statistic and its 95% interval; NaN where there is nothing to compare.

    Attributes:
        value, low, high: the statistic and the ends of its interval.
        number: pairs that it rests on.
    """

    value: float
    low: float
    high: float
    number: int


def resample(number: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each of `number` pairs is drawn: the first row once each, then bootstrap resamples.

    Returns:
        float64 of shape (1 + resamples, number); rows sum to `number`.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(number, np.full(number, 1 / number), size=resamples)
    return np.concatenate([np.ones((1, number)), drawn.astype(float)])


def auc(first: np.ndarray, second: np.ndarray, first_of: np.ndarray, second_of: np.ndarray, seed: int = 0) -> Estimate:
    """Probability that a random value of `first` exceeds one of `second`, ties counting half (Mann-Whitney).

    Args:
        first, second: values of shapes (n,) and (m,), NaN where there is none.
        first_of, second_of: the pair that each value is of.
        seed: of the bootstrap, which draws whole pairs.
    """
    values, pairs = np.concatenate([first, second]), np.concatenate([first_of, second_of])
    is_first = np.arange(len(values)) < len(first)
    known = np.isfinite(values)
    values, pairs, is_first = values[known], pairs[known], is_first[known]
    if is_first.all() or not is_first.any():
        return _NOTHING
    weights, number = _weights(pairs, seed)
    order = np.argsort(values, kind="stable")
    starts = np.unique(values[order], return_index=True)[1]
    wins, losses = (np.add.reduceat(weights[:, order] * side[order], starts, axis=1) for side in (is_first, ~is_first))
    below = losses.cumsum(axis=1) - losses / 2
    with np.errstate(invalid="ignore"):
        return _estimate((wins * below).sum(1) / (wins.sum(1) * losses.sum(1)), number)


def mean(values: np.ndarray, pairs: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of values of shape (n,), NaN left out; with 1, 0.5 and 0 for right, tied and wrong, the share ordered."""
    known = np.isfinite(values)
    if not known.any():
        return _NOTHING
    weights, number = _weights(pairs[known], seed)
    with np.errstate(invalid="ignore"):
        return _estimate((weights @ values[known]) / weights.sum(1), number)


def spearman(first: np.ndarray, second: np.ndarray, pairs: np.ndarray, seed: int = 0) -> Estimate:
    """Rank correlation of two values a pair, both of shape (n,); tied values share their mean rank."""
    known = np.isfinite(first) & np.isfinite(second)
    if known.sum() < 2:
        return _NOTHING
    weights, number = _weights(pairs[known], seed)
    ranks = [_ranks(values[known], weights) for values in (first, second)]
    total = weights.sum(1, keepdims=True)
    a, b = (rank - (weights * rank).sum(1, keepdims=True) / total for rank in ranks)
    with np.errstate(invalid="ignore"):
        found = (weights * a * b).sum(1) / np.sqrt((weights * a * a).sum(1) * (weights * b * b).sum(1))
    return _estimate(found, number)


def ratio(above: np.ndarray, below: np.ndarray, pairs: np.ndarray, seed: int = 0) -> Estimate:
    """Mean of `above` over mean of `below`, of shape (n,) each, over the pairs that have both."""
    known = np.isfinite(above) & np.isfinite(below)
    if not known.any() or not below[known].any():
        return _NOTHING
    weights, number = _weights(pairs[known], seed)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _estimate((weights @ above[known]) / (weights @ below[known]), number)


_NOTHING = Estimate(float("nan"), float("nan"), float("nan"), 0)


def _weights(pairs: np.ndarray, seed: int) -> tuple[np.ndarray, int]:
    """The resamples' weight of each value, of shape (1 + resamples, n), and how many pairs there are."""
    names, at = np.unique(pairs, return_inverse=True)
    return resample(len(names), seed)[:, at], len(names)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean ranks of values that stand so many times in each resample, of shape (1 + resamples, n)."""
    order = np.argsort(values, kind="stable")
    _, starts, group = np.unique(values[order], return_index=True, return_inverse=True)
    sizes = np.add.reduceat(weights[:, order], starts, axis=1)
    ranks = np.empty_like(weights)
    ranks[:, order] = (sizes.cumsum(axis=1) - sizes / 2)[:, group]
    return ranks


def _estimate(found: np.ndarray, number: int) -> Estimate:
    """The first value, and the interval that the others span."""
    others = found[1:][np.isfinite(found[1:])]
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(others, [tail, 100 - tail]) if len(others) else (np.nan, np.nan)
    return Estimate(float(found[0]), float(low), float(high), number)
