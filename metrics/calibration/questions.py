"""What each metric is asked, what must come out, and the answers from a table of scores."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from metrics.calibration import statistics
from metrics.calibration.statistics import Estimate
from metrics.registry import METRICS
from p2p.world.pairs import NUISANCES

ALL = "all"
LOOKS = ("hair", "mood", "glasses", "hat")
"""Factors of faces that leave the person who they are."""


@dataclass(frozen=True)
class Order:
    """Does the metric score the first variants better than the second?

    Attributes:
        text: the question, for tables.
        first, second: variants of the pairs.
        minimum: the AUC that is asked for, or None.
        factors: pairs of these factors alone; empty for all.
    """

    text: str
    first: tuple[str, ...]
    second: tuple[str, ...]
    minimum: float | None = None
    factors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Correlation:
    """Does the metric get worse as a larger share of the picture changes, over the exact edits?

    Attributes:
        text: the question, for tables.
        minimum: Spearman's correlation that is asked for, or None.
    """

    text: str
    minimum: float | None = None


Question = Order | Correlation
_WRONG = ("wrong_value", "wrong_factor")


def _change(minimum: float | None = None) -> tuple[Question, ...]:
    return (
        Correlation("follows the changed area", minimum),
        Order("a third of the area before all of it", ("part_1",), ("asked",)),
        Order("a third of the strength before all of it", ("strength_1",), ("asked",)),
        Order("one changed factor before two", ("asked",), ("extra",)),
        Order("the asked edit before a wrong one", ("asked",), _WRONG),
    )


_BACKGROUND: tuple[Question, ...] = (
    Order("the asked edit alone before one with a side effect", ("asked",), ("extra",)),
    Order("the asked edit before another factor's", ("asked",), ("wrong_factor",)),
    Order("the asked edit before noise everywhere", ("asked",), ("noise",)),
)

_CYCLE: tuple[Question, ...] = (
    Correlation("follows the area not returned"),
    Order("returned up to noise before not undone", ("noise",), ("asked",)),
    Order("two thirds of the area undone before nothing", ("part_1",), ("asked",)),
)

QUESTIONS: dict[str, tuple[Question, ...]] = {
    "clip_score": (
        Order("the right caption before one wrong in a single fact", ("asked",), ("caption_source",), 0.95),
        Order("the right caption before another scene's", ("asked",), ("caption_other",)),
        Order("the asked edit before a wrong one", ("asked",), _WRONG),
        Order("the asked edit before none", ("asked",), ("none",)),
    ),
    "clip_directional": (
        Order("the asked edit before a wrong one", ("asked",), _WRONG, 0.95),
        Order("the asked edit before a wrong value", ("asked",), ("wrong_value",)),
        Order("the asked edit before a wrong factor", ("asked",), ("wrong_factor",)),
        Order("the asked edit before one with a side effect", ("asked",), ("extra",)),
    ),
    "lpips": _change(0.8),
    "ssim": _change(),
    "psnr": _change(),
    "mse": _change(),
    "background_lpips": _BACKGROUND,
    "background_ssim": _BACKGROUND,
    "background_mse": _BACKGROUND,
    "identity_distance": (
        Order("the same person with another look before another person", ("asked",), ("subject",), 0.95, LOOKS),
        Order("the same person elsewhere before another person", ("setting",), ("subject",), None, LOOKS),
        Order("the person as the other gender before another person", ("asked",), ("subject",), None, ("gender",)),
    ),
    "attribute_success": (
        Order("the asked edit before a wrong one or none", ("asked",), (*_WRONG, "none"), 0.95),
        Order("the asked edit before a third of its strength", ("asked",), ("strength_1",)),
        Order("the asked edit before one with a side effect", ("asked",), ("extra",)),
    ),
    "attribute_kept": (
        Order("the asked edit before one with a side effect", ("asked",), ("extra",)),
        Order("the asked edit before another factor's", ("asked",), ("wrong_factor",)),
        Order("the asked edit before none", ("asked",), ("none",)),
    ),
    "cycle_lpips": _CYCLE,
    "cycle_ssim": _CYCLE,
    "cycle_mse": _CYCLE,
}


class Answer(NamedTuple):
    """One row of the report.

    Attributes:
        metric, question, statistic: what was asked.
        category: of which pairs: `all`, a category, or `category, factor` for orders that have a minimum.
        estimate: the answer, oriented so that high is right whatever the metric's direction.
        same_pair: the share of pairs ordered right when only values of one pair are compared; None for correlations.
        minimum: what is asked for, or None.
    """

    metric: str
    question: str
    statistic: str
    category: str
    estimate: Estimate
    same_pair: Estimate | None
    minimum: float | None

    @property
    def is_factor(self) -> bool:
        """Whether it is of the pairs of one factor alone."""
        return "," in self.category

    @property
    def verdict(self) -> str:
        """`met`, `missed`, or nothing where no minimum is asked."""
        if self.minimum is None:
            return ""
        return "met" if self.estimate.value >= self.minimum else "missed"


def answer_all(scores: pd.DataFrame, seed: int = 0) -> list[Answer]:
    """Every question about the metrics that the table has, over all pairs and by category; minima by factor too.

    Raises:
        ValueError: a metric of the table has no question.
    """
    asked = [name for name in scores.columns if name in METRICS]
    unasked = sorted(set(asked) - set(QUESTIONS))
    if unasked:
        raise ValueError(f"no question is known about {', '.join(unasked)}; add them to QUESTIONS")
    parts = {ALL: scores} | {str(name): part for name, part in scores.groupby("category", sort=False)}
    named = scores["category"] + ", " + scores["factor"]
    factors = {str(name): part for name, part in scores.groupby(named)}
    answers = []
    for metric in (name for name in QUESTIONS if name in asked):
        for question in QUESTIONS[metric]:
            of = parts | factors if isinstance(question, Order) and question.minimum is not None else parts
            found = (_answer(metric, question, name, part, seed) for name, part in of.items())
            answers += [answer for answer in found if answer.estimate.number]
    return answers


REFERENCE = {
    "identity_distance": "subject",
    "attribute_kept": "extra",
    **dict.fromkeys(("background_lpips", "background_ssim", "background_mse"), "extra"),
}
"""What moves a metric as it should, by whose shift those of nuisances are measured, where it is not the asked edit."""


class Shift(NamedTuple):
    """How a metric moves when only a nuisance changes, the asked edit not made.

    Attributes:
        unchanged, asked, moved: its means for the untouched source, the asked edit and the nuisance; None if null.
        reference: the variant that should move it: the asked edit, or as in `REFERENCE`.
        share: (moved - unchanged) / (reference - unchanged), over pairs; 0 is unmoved, 1 as far as the reference.
        order: the AUC of the asked edit against the nuisance alone, in the metric's direction.
    """

    metric: str
    nuisance: str
    unchanged: float | None
    asked: float
    moved: float
    reference: str
    share: Estimate
    order: Estimate


def shifts(scores: pd.DataFrame, seed: int = 0) -> list[Shift]:
    """Every metric's shift by every nuisance; clip_directional counts from 0, for it has no value without a change."""
    return [
        _shift(metric, nuisance, scores, seed)
        for metric in QUESTIONS
        if metric in scores.columns and not metric.startswith("cycle_")
        for nuisance in NUISANCES
    ]


def _answer(metric: str, question: Question, category: str, scores: pd.DataFrame, seed: int) -> Answer:
    if isinstance(question, Correlation):
        edits = scores[scores["variant"] == "asked"]
        worse = -_better(edits, metric)
        found = statistics.spearman(edits["area"].to_numpy(), worse, edits["pair"].to_numpy(), seed)
        return Answer(metric, question.text, "Spearman", category, found, None, question.minimum)
    if question.factors:
        scores = scores[scores["factor"].isin(question.factors)]
    first, second = (scores[scores["variant"].isin(side)] for side in (question.first, question.second))
    values = _better(first, metric), _better(second, metric)
    found = statistics.auc(*values, first["pair"].to_numpy(), second["pair"].to_numpy(), seed)
    return Answer(
        metric, question.text, "AUC", category, found, _same_pair(first, second, metric, seed), question.minimum
    )


def _same_pair(first: pd.DataFrame, second: pd.DataFrame, metric: str, seed: int) -> Estimate:
    """Right is 1, a tie 0.5; one value a comparison within a pair."""
    both = first[["pair", metric]].merge(second[["pair", metric]], on="pair", suffixes=("", "_second"))
    difference = (both[metric] - both[f"{metric}_second"]).to_numpy() * _sign(metric)
    right = np.where(np.isfinite(difference), (np.sign(difference) + 1) / 2, np.nan)
    return statistics.mean(right, both["pair"].to_numpy(), seed)


def _shift(metric: str, nuisance: str, scores: pd.DataFrame, seed: int) -> Shift:
    reference = REFERENCE.get(metric, "asked")
    kinds = {"none", "asked", nuisance, reference}
    wide = scores[scores["variant"].isin(kinds)].pivot(index="pair", columns="variant", values=metric)
    base = (wide["none"].fillna(0.0) if metric == "clip_directional" else wide["none"]).to_numpy()
    pairs, asked, moved = wide.index.to_numpy(), wide["asked"].to_numpy(), wide[nuisance].to_numpy()
    return Shift(
        metric,
        nuisance,
        float(wide["none"].mean()) if wide["none"].notna().any() else None,
        float(wide["asked"].mean()),
        float(wide[nuisance].mean()),
        reference,
        statistics.ratio(moved - base, wide[reference].to_numpy() - base, pairs, seed),
        statistics.auc(asked * _sign(metric), moved * _sign(metric), pairs, pairs, seed),
    )


def _better(scores: pd.DataFrame, metric: str) -> np.ndarray:
    return scores[metric].to_numpy() * _sign(metric)


def _sign(metric: str) -> int:
    return 1 if METRICS[metric].higher_is_better else -1
