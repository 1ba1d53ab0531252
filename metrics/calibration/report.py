"""The calibration as tables and text."""

import math
from collections.abc import Sequence

import pandas as pd

from metrics.calibration.questions import ALL, Answer, Shift
from metrics.calibration.statistics import RESAMPLES, Estimate
from p2p.world.pairs import NUISANCES

BLIND_AUC, BLIND_SPEARMAN = 0.75, 0.8
"""Below these a metric is said not to tell."""
MOVED, STILL = 0.25, 0.1
"""Shares of the reference's shift from which a nuisance is said to move a metric, and up to which it hardly does."""
MIXED = 0.05
"""By how much the order within pairs must be better than over scenes to be told."""

_HEAD = """# Calibration of the metrics

{pairs:,} rendered pairs from seeds that training never used: a scene and the same scene with one captioned factor
changed. `{command}` writes this again. Networks: the embedded world's.

The exact mask is the pixels in which the two rendered pictures, 8 bits, differ in any channel; `area` is its share of
the picture. Wrong edits change the factor to a third value, or another factor; a side effect is another factor changed
beside the asked one. Part edits take the asked pixels nearest to the middle of the mask. Nuisances change nothing that
a caption names: `subject` (who or which one), `setting` (framing, backdrop), `shift` (1 to 6 pixels each way), `light`
(10 to 25% darker or brighter), `noise` (standard deviation 8 of 255).

AUC is the probability that a random picture of the first kind scores better than a random one of the second, ties
counting half, in the metric's direction: 0.5 is chance. It mixes scenes; `same pair` compares only within a scene, as a
sweep does. Spearman is oriented so that 1 is right. Intervals: 95%, {resamples:,} bootstrap resamples of whole pairs,
each of which is a scene and a seed of its own. A minimum is met when the value reaches it.
"""

_NUISANCES_TEXT = """How far a nuisance alone moves the mean from the untouched source's, as a share of what the asked
edit moves it; for `identity_distance`, of what another person does (`subject`); for `attribute_kept`, of what a side
effect does, and so for `background_*`, which look outside the pair's exact mask. In brackets the AUC of the asked edit
before the nuisance alone. `psnr` has no value for the untouched source, `clip_directional` counts from 0.
"""


def answers_table(answers: Sequence[Answer]) -> pd.DataFrame:
    """One row an answer, rounded to four decimals."""
    rows = [
        {
            "metric": answer.metric,
            "question": answer.question,
            "statistic": answer.statistic,
            "category": answer.category,
            **_columns("", answer.estimate),
            **_columns("same_pair_", answer.same_pair),
            "pairs": answer.estimate.number,
            "minimum": answer.minimum,
            "verdict": answer.verdict,
        }
        for answer in answers
    ]
    return pd.DataFrame(rows).round(4)


def shifts_table(moved: Sequence[Shift]) -> pd.DataFrame:
    """One row a metric and nuisance, rounded to four decimals."""
    rows = [
        {
            "metric": shift.metric,
            "nuisance": shift.nuisance,
            "mean_unchanged": shift.unchanged,
            "mean_asked": shift.asked,
            "mean_nuisance": shift.moved,
            "reference": shift.reference,
            **_columns("share_", shift.share),
            **_columns("asked_before_nuisance_", shift.order),
        }
        for shift in moved
    ]
    return pd.DataFrame(rows).round(4)


def report(answers: Sequence[Answer], moved: Sequence[Shift], scores: pd.DataFrame, command: str) -> str:
    """The whole report as Markdown."""
    overall = [answer for answer in answers if answer.category == ALL]
    blind = "\n".join(f"- `{metric}` {text}" for metric, text in blindness(answers, moved).items())
    return "\n".join(
        [
            _HEAD.format(pairs=scores["pair"].nunique(), command=command, resamples=RESAMPLES),
            "![Every question and the nuisances](calibration.png)\n",
            "## Minima\n",
            _markdown([answer for answer in overall if answer.minimum is not None]),
            "\n## Every question\n",
            _markdown(overall),
            "\n## Minima by category\n",
            _categories([answer for answer in answers if answer.minimum is not None and not answer.is_factor]),
            "\n`calibration.csv` has every question by category, and orders that have a minimum by factor.",
            "\n## Nuisances\n",
            _NUISANCES_TEXT,
            _nuisances(moved),
            "\n## What each metric is blind to\n",
            f"By these numbers: an order is untold below an AUC of {BLIND_AUC}, a correlation loose below "
            f"{BLIND_SPEARMAN};\na nuisance moves a metric from a share of {MOVED} on.\n",
            blind,
            "",
        ]
    )


def blindness(answers: Sequence[Answer], moved: Sequence[Shift]) -> dict[str, str]:
    """For each metric, what its numbers say it cannot tell."""
    found = {}
    for metric in dict.fromkeys(answer.metric for answer in answers):
        own = [answer for answer in answers if answer.metric == metric]
        overall = [answer for answer in own if answer.category == ALL]
        shifted = [shift for shift in moved if shift.metric == metric]
        faults = [*_untold(overall), *_loose(overall), *_worst(own), *_mixed(overall), *_moving(shifted)]
        found[metric] = "; ".join(faults or ["tells everything that is asked of it here"]) + "."
    return found


def _untold(answers: Sequence[Answer]) -> list[str]:
    weak = [answer for answer in answers if answer.statistic == "AUC" and answer.estimate.value < BLIND_AUC]
    return [f"does not tell {answer.question} ({answer.estimate.value:.2f})" for answer in weak]


def _loose(answers: Sequence[Answer]) -> list[str]:
    loose = [answer for answer in answers if answer.statistic != "AUC" and answer.estimate.value < BLIND_SPEARMAN]
    return [f"{answer.question} only loosely ({answer.estimate.value:.2f})" for answer in loose]


def _worst(answers: Sequence[Answer]) -> list[str]:
    """The categories and factors that miss a minimum."""
    missed = [answer for answer in answers if answer.verdict == "missed" and answer.category != ALL]
    where = " and ".join(f"{answer.category} ({answer.estimate.value:.4f})" for answer in missed)
    return [f"is below its minimum of {missed[0].minimum:g} in {where}"] if missed else []


def _mixed(answers: Sequence[Answer]) -> list[str]:
    """The order that suffers most from comparing different scenes, where one does."""
    gains = {
        answer.question: (answer.same_pair.value - answer.estimate.value, answer.estimate.value, answer.same_pair.value)
        for answer in answers
        if answer.same_pair is not None and answer.estimate.value >= BLIND_AUC
    }
    question, (gain, over, within) = max(gains.items(), key=lambda item: item[1], default=("", (0.0, 0.0, 0.0)))
    if gain < MIXED:
        return []
    return [f"has a level of its own in each scene: {question}, {over:.2f} over scenes, {within:.2f} within a pair"]


def _moving(moved: Sequence[Shift]) -> list[str]:
    seen = [shift for shift in moved if math.isfinite(shift.share.value) and shift.nuisance != shift.reference]
    strong = [shift for shift in seen if abs(shift.share.value) >= MOVED]
    if strong:
        named = ", ".join(f"{shift.nuisance} ({shift.share.value:.2f})" for shift in strong)
        return [f"moves, though no caption changes, with {named}"]
    most = max((abs(shift.share.value) for shift in seen), default=0.0)
    if not seen or len(seen) < len(moved) or most > STILL:
        return []
    return [f"hardly moves with any nuisance (at most {most:.2f}), another subject or setting included"]


def _markdown(answers: Sequence[Answer]) -> str:
    rows = [
        [
            f"`{answer.metric}`",
            answer.question,
            answer.statistic,
            f"{answer.estimate.value:.3f}",
            _interval(answer.estimate),
            f"{answer.same_pair.value:.3f}" if answer.same_pair else "",
            f"{answer.estimate.number:,}",
            "" if answer.minimum is None else f"{answer.minimum:.2f}",
            answer.verdict,
        ]
        for answer in answers
    ]
    head = ["metric", "question", "statistic", "value", "95% interval", "same pair", "pairs", "minimum", "verdict"]
    return _table(head, rows)


def _categories(answers: Sequence[Answer]) -> str:
    names = dict.fromkeys(answer.category for answer in answers)
    found = {(answer.metric, answer.category): answer.estimate for answer in answers}
    rows = [
        [f"`{metric}`", *(_cell(found.get((metric, name))) for name in names)]
        for metric in dict.fromkeys(answer.metric for answer in answers)
    ]
    return _table(["metric", *names], rows)


def _nuisances(moved: Sequence[Shift]) -> str:
    found = {(shift.metric, shift.nuisance): shift for shift in moved}
    rows = [
        [f"`{metric}`", *(_share(found[metric, name]) for name in NUISANCES)]
        for metric in dict.fromkeys(shift.metric for shift in moved)
    ]
    return _table(["metric", *NUISANCES], rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _share(shift: Shift) -> str:
    share = f"{shift.share.value:z.2f} " if math.isfinite(shift.share.value) else ""
    return f"{share}({shift.order.value:.2f})"


def _cell(estimate: Estimate | None) -> str:
    return "" if estimate is None else f"{estimate.value:.3f} {_interval(estimate)}"


def _interval(estimate: Estimate) -> str:
    return f"[{estimate.low:.3f}, {estimate.high:.3f}]"


def _columns(prefix: str, estimate: Estimate | None) -> dict[str, float | None]:
    """Value and interval of an estimate under a prefix."""
    value, low, high = estimate[:3] if estimate else (None, None, None)
    return {f"{prefix}value": value, f"{prefix}low": low, f"{prefix}high": high}
