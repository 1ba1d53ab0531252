"""Following the words against keeping the picture: the front, and a recommended configuration with how sure it is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from metrics.registry import Metric
from scripts.report.statistics import Panel, clipped, combine, estimate, with_all
from sweeps.configurations import AXES, KNOWN, other_settings

RESAMPLES = 1000


def choose_metric(role: str, asked: str | None, defaults: Sequence[str], metrics: Sequence[Metric]) -> str:
    """The name of the metric that plays a role (`words`, `keep`): the one asked for, else the first default there is.

    Raises:
        ValueError: the one asked for is not scored, or is neither better high nor low.
    """
    usable = [metric.name for metric in metrics if metric.higher_is_better is not None]
    if asked and asked not in usable:
        raise ValueError(f"--{role}: metric {asked!r} is not scored in these sweeps; scored: {', '.join(usable)}")
    return asked or next((name for name in defaults if name in usable), defaults[0])


def front_tables(
    panels: Sequence[Panel], metrics: Sequence[Metric], words: str, keep: str, kinds: pd.DataFrame, seed: int = 0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables `Analysis.front` and `Analysis.recommended`; see `recommend`."""
    roles = {metric.name: metric for metric in metrics}
    if words not in roles or keep not in roles:
        return pd.DataFrame(columns=_FRONT), pd.DataFrame(columns=_recommended(kinds))
    two = (roles[words], roles[keep])
    places = [list(roles).index(metric.name) for metric in two]
    rng = np.random.default_rng(seed)
    fronts, chosen = [], []
    own = [(panel, on_all_pairs(panel.values[places])) for panel in panels]
    own = [(panel, values) for panel, values in own if np.isfinite(values).any((1, 2, 3)).all()]
    draws = {panel.category: resampled_means(values, RESAMPLES, rng) for panel, values in own}
    for category, members in with_all({panel.category: (panel, values) for panel, values in own}):
        values = [one for _, one in members]
        means = combine([estimate(one) for one in values]).mean
        for place in pareto_front(_upward(means, two)):
            fronts.append((category, kinds.index[place], *means[:, place]))
        resamples = np.mean([draws[panel.category] for panel, _ in members], axis=0)
        row = recommend(members, two, resamples, kinds)
        chosen += [{"category": category, **row}] if row else []
    return pd.DataFrame(fronts, columns=_FRONT), pd.DataFrame(chosen, columns=_recommended(kinds))


def recommend(
    members: Sequence[tuple[Panel, np.ndarray]], two: tuple[Metric, Metric], resamples: np.ndarray, kinds: pd.DataFrame
) -> dict[str, Any] | None:
    """The recommended configuration of a category, or of several together, as a row of `Analysis.recommended`.

    It is chosen on every second pair (by kind of edit and name; the first, third, ...), and its scores are those of the
    other pairs, which had no part in the choice. Its confidence is the share of resamples of all pairs and seeds that
    choose it; `<hyperparameter>_confidence` the share that choose its value of that hyperparameter. With one pair alone
    there are neither scores nor confidence. Beside it stands the literature's configuration, otherwise set alike. None
    where no configuration has both scores.

    Args:
        members: each category's panel with its values of the two metrics, (2, configurations, pairs, seeds).
        two: following the words, keeping the picture.
        resamples: of the means over `members`, (2, resamples, configurations).
        kinds: `Analysis.configurations`.
    """
    halves = [_halves(panel) for panel, _ in members]
    means = combine(
        [estimate(values[:, :, first]) for (_, values), (first, _) in zip(members, halves, strict=True)]
    ).mean
    place = nearest_ideal(_upward(means, two)[:, None])[0]
    if place < 0:
        return None
    chosen = nearest_ideal(_upward(resamples, two))
    chosen = chosen[chosen >= 0]
    row: dict[str, Any] = {"config_id": kinds.index[place], "confidence": float("nan")}
    if all(len(panel.pairs) > 1 for panel, _ in members):
        row["confidence"] = float((chosen == place).mean())
        for axis in AXES:
            level = kinds[axis].fillna(-1.0).to_numpy()
            row[f"{axis}_confidence"] = float((level[chosen] == level[place]).mean())
    others = [values[:, :, second] for (_, values), (_, second) in zip(members, halves, strict=True)]
    row["pairs"], row["pairs_held_out"] = (sum(half.sum() for half in side) for side in zip(*halves, strict=True))
    literature = _literature(kinds, place)
    for at, (role, metric) in enumerate(zip(("words", "keep"), two, strict=True)):
        averaged = combine([estimate(values[at]) for values in others])
        low, high = clipped(averaged.interval(), metric.range)
        row |= {role: averaged.mean[place], f"{role}_low": low[place], f"{role}_high": high[place]}
        row[f"{role}_literature"] = np.nan if literature is None else averaged.mean[literature]
    return row


def on_all_pairs(values: np.ndarray) -> np.ndarray:
    """Values (metrics, configurations, pairs, seeds) of configurations that have the same prompt pairs; others NaN.

    They are the pairs of the first configuration that has the most, in all metrics: means over other pairs cannot be
    compared with its.
    """
    there = np.isfinite(values).any(-1).all(0)
    most = there[there.sum(-1).argmax()]
    return np.where((there >= most).all(-1)[:, None, None] & most[:, None], values, np.nan)


def pareto_front(scores: np.ndarray) -> list[int]:
    """The places of scores (2, configurations), higher is better, that no other beats in both; NaN never.

    A place is beaten by one that is at least as good in both and better in one.
    """
    known = np.flatnonzero(np.isfinite(scores).all(0))
    order = known[np.lexsort((-scores[1, known], -scores[0, known]))]
    found: list[int] = []
    for place in order:
        last = found[-1] if found else None
        if last is None or scores[1, place] > scores[1, last] or (scores[:, place] == scores[:, last]).all():
            found.append(int(place))
    return found


def nearest_ideal(scores: np.ndarray) -> np.ndarray:
    """The configuration nearest the ideal point: compromise programming (Zeleny, 1973) with Euclidean distance.

    The ideal has the best of both scores; each is measured in units of its range over all configurations. (The range
    along the front would make noise as large as an effect where one score hardly varies there.) The nearest
    configuration is on the front.

    Args:
        scores: (2, resamples, configurations), higher is better, NaN where there is none.

    Returns:
        int (resamples,), -1 where no configuration has both.
    """
    known = np.isfinite(scores).all(0)
    best = np.where(known, scores, -np.inf).max(-1, keepdims=True)
    worst = np.where(known, scores, np.inf).min(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        gaps = np.where(best > worst, (best - scores) / (best - worst), 0.0)
    distance = np.where(known, np.square(gaps).sum(0), np.inf)
    place = distance.argmin(-1)
    return np.where(known.any(-1), place, -1)


def resampled_means(values: np.ndarray, resamples: int, rng: np.random.Generator) -> np.ndarray:
    """Two-level bootstrap: means of resampled pairs and, within each, resampled seeds, the same for all configurations.

    Args:
        values: (metrics, configurations, pairs, seeds), NaN left out.
        resamples: how many.
        rng: the source of chance.

    Returns:
        (metrics, resamples, configurations).
    """
    known = np.isfinite(values)
    there = known.any((0, 1))
    pairs, seeds = there.shape
    drawn = rng.multinomial(pairs, np.full(pairs, 1 / pairs), size=resamples)
    weights = np.zeros((resamples, pairs, seeds))
    for pair, own in enumerate(there):
        number = own.sum()
        if number:
            weights[:, pair, own] = rng.multinomial(drawn[:, pair] * number, np.full(number, 1 / number)) / number
    flat = weights.reshape(resamples, -1)
    shape = (*values.shape[:2], -1)
    with np.errstate(invalid="ignore", divide="ignore"):
        sums = flat @ np.where(known, values, 0.0).reshape(shape).transpose(0, 2, 1)
        return sums / (flat @ known.astype(float).reshape(shape).transpose(0, 2, 1))


_FRONT = ["category", "config_id", "words", "keep"]


def _recommended(kinds: pd.DataFrame) -> list[str]:
    roles = [f"{role}{end}" for role in ("words", "keep") for end in ("", "_low", "_high", "_literature")]
    sure = [f"{axis}_confidence" for axis in AXES]
    return ["category", "config_id", "confidence", *roles, "pairs", "pairs_held_out", *sure]


def _upward(scores: np.ndarray, two: tuple[Metric, Metric]) -> np.ndarray:
    """Scores with the metrics along the first axis, turned so that higher is better."""
    signs = np.array([1.0 if metric.higher_is_better else -1.0 for metric in two])
    return scores * signs.reshape(2, *[1] * (scores.ndim - 1))


def _literature(kinds: pd.DataFrame, place: int) -> int | None:
    """The literature's configuration with the other settings of the one at a place; one that has none fits any."""
    others = other_settings(kinds).astype(str)
    alike = ((others == others.iloc[place]) | (others == "") | (others.iloc[place] == "")).all(axis=1)
    found = np.flatnonzero(alike & (kinds["mark"] == next(iter(KNOWN))))
    return int(found[0]) if len(found) else None


def _halves(panel: Panel) -> tuple[np.ndarray, np.ndarray]:
    """Which pairs choose and which report, bool each; a single pair chooses."""
    order = sorted(range(len(panel.pairs)), key=lambda pair: (panel.kinds[pair], panel.pairs[pair]))
    first = np.zeros(len(order), bool)
    first[order[::2]] = True
    return first, ~first
