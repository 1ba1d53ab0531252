"""Scores of rendered pairs, through the same entry as a sweep's."""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch
from torch import Tensor

from metrics.networks import Networks
from metrics.pictures import EditPictures
from metrics.score import Score, score_edits
from p2p.world.pairs import Pair, changed_share, draw_variants

VERSION = 1
"""Raised when what is drawn or scored changes."""

RETURNED = ("asked", "part_1", "part_2", "noise")
"""The variants that also stand for a cycle's result: an edit not undone, undone in part, undone up to noise."""
CAPTIONED = ("caption_source", "caption_other")
"""The exact edit beside wrong words: the source's caption, false in one factor, and another scene's."""


def score_pairs(pairs: Sequence[Pair], metrics: Sequence[str], networks: Networks, seed: int) -> pd.DataFrame:
    """Scores of every variant of the pairs, one row a variant and one column a metric, NaN where it is null.

    Further columns: pair, category, factor, variant, area (share of the pixels that differ from the source).

    Raises:
        ValueError: a metric is unknown or lacks its network.
    """
    edits: list[EditPictures] = []
    captioned: list[EditPictures] = []
    facts = []
    for pair in pairs:
        drawn = draw_variants(pair, seed)
        pictures = {name: torch.from_numpy(picture).permute(2, 0, 1).contiguous() for name, picture in drawn.items()}
        edits += _picture_trials(pair, pictures)
        captioned += _caption_trials(pair, pictures["asked"])
        areas = {name: changed_share(drawn["none"], picture) for name, picture in drawn.items()}
        facts += [
            (pair.number, pair.source.category, pair.factor, name, areas.get(name, areas["asked"]))
            for name in (*areas, *CAPTIONED)
        ]
    scores = score_edits(edits, metrics, networks)
    if "clip_score" in metrics:
        scores += score_edits(captioned, ["clip_score"], networks)
    return _table(facts, scores, metrics)


def _picture_trials(pair: Pair, pictures: dict[str, Tensor]) -> Iterator[EditPictures]:
    mask = (pictures["none"] != pictures["asked"]).any(0)
    for name, picture in pictures.items():
        returned = picture if name in RETURNED else None
        yield EditPictures(
            cell_id=_name(pair, name),
            category=pair.source.category,
            kind="swap",
            source_prompt=pair.source_prompt,
            target_prompt=pair.target_prompt,
            cycle_mode="none" if returned is None else "swap",
            source=pictures["none"],
            target=picture,
            cycle=returned,
            mask=mask,
        )


def _caption_trials(pair: Pair, picture: Tensor) -> Iterator[EditPictures]:
    for name, prompt in zip(CAPTIONED, (pair.source_prompt, pair.other_prompt), strict=True):
        category = pair.source.category
        yield EditPictures(
            _name(pair, name), category, "swap", pair.source_prompt, prompt, "none", picture, picture, None
        )


def _name(pair: Pair, variant: str) -> str:
    return f"{pair.number}/{variant}"


def _table(
    facts: list[tuple[int, str, str, str, float]], scores: Sequence[Score], metrics: Sequence[str]
) -> pd.DataFrame:
    table = pd.DataFrame(facts, columns=["pair", "category", "factor", "variant", "area"])
    values: dict[str, dict[str, float]] = {metric: {} for metric in metrics}
    for score in scores:
        values[score.metric][score.cell_id] = float("nan") if score.value is None else score.value
    cells = table["pair"].astype(str) + "/" + table["variant"]
    for metric in metrics:
        table[metric] = cells.map(values[metric]).astype(float)
    return table
