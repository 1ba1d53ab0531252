"""Scoring of edits: the one entry that sweeps call."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor

from metrics import attributes, background, clip, identity, perceptual, pixel
from metrics.facts import Facts
from metrics.images import check_picture, describe
from metrics.networks import Networks
from metrics.pictures import EditPictures
from metrics.registry import Metric, Null, get_metrics

Outcome = float | Null


class Score(NamedTuple):
    """One row of the scores table: a value, or null with a reason."""

    cell_id: str
    metric: str
    metric_version: int
    network: str
    value: float | None
    reason: str | None


def score_edits(
    edits: Sequence[EditPictures], metrics: Sequence[str], networks: Networks, batch_size: int = 16
) -> list[Score]:
    """Score edits by the named metrics; cells of one group share their source picture's tensor, embedded once.

    A score does not depend on the edits scored with it beyond rounding.

    Raises:
        ValueError: a metric is unknown or lacks its network, or a picture is not as stored.
    """
    chosen = get_metrics(metrics)
    for edit in edits:
        _check(edit)
    with torch.inference_mode(), _full_precision():
        facts = Facts(edits, networks, batch_size)
        return [score for metric in chosen for score in _scores(metric, facts)]


def _scores(metric: Metric, facts: Facts) -> Iterator[Score]:
    network = facts.networks.name_of(metric)
    for edit, outcome in zip(facts.edits, _MEASURES[metric.name](facts), strict=True):
        if not isinstance(outcome, Null) and not math.isfinite(outcome):
            outcome = Null.UNDEFINED
        value, reason = (None, outcome.value) if isinstance(outcome, Null) else (outcome, None)
        yield Score(edit.cell_id, metric.name, metric.version, network, value, reason)


def _clip_score(facts: Facts) -> Iterator[Outcome]:
    for edit in facts.edits:
        text = facts.text_embeds[edit.target_prompt]
        yield text if isinstance(text, Null) else clip.clip_score(facts.image_embeds[id(edit.target)], text)


def _clip_directional(facts: Facts) -> Iterator[Outcome]:
    for edit in facts.edits:
        before, after = facts.text_embeds[edit.source_prompt], facts.text_embeds[edit.target_prompt]
        if isinstance(before, Null) or isinstance(after, Null):
            yield Null.TOO_LONG_PROMPT
        elif edit.source_prompt == edit.target_prompt:
            yield Null.SAME_PROMPT
        elif torch.equal(edit.source, edit.target):
            yield Null.NO_CHANGE
        else:
            source, target = facts.image_embeds[id(edit.source)], facts.image_embeds[id(edit.target)]
            yield clip.clip_directional(source, target, before, after)


def _identity_distance(facts: Facts) -> Iterator[Outcome]:
    for edit in facts.edits:
        if edit.category != "faces":
            yield Null.NOT_A_FACE
        elif id(edit.target) not in facts.faces:
            yield Null.WRONG_SIZE
        else:
            source, target = facts.faces[id(edit.source)], facts.faces[id(edit.target)]
            if source is None or target is None:
                yield Null.NO_FACE
            else:
                yield identity.identity_distance(source, target)


def _attribute_success(facts: Facts) -> Iterator[Outcome]:
    for edit in facts.edits:
        found = facts.attributes_of(edit)
        yield found if isinstance(found, Null) else attributes.attribute_success(found.ask, edit.kind, found.target)


def _attribute_kept(facts: Facts) -> Iterator[Outcome]:
    for edit in facts.edits:
        found = facts.attributes_of(edit)
        yield found if isinstance(found, Null) else attributes.attribute_kept(found.ask, found.source, found.target)


def _lpips(facts: Facts) -> list[float]:
    return facts.distances([(edit.source, edit.target) for edit in facts.edits], _perceptual(facts))


def _cycle_lpips(facts: Facts) -> Iterator[Outcome]:
    return _cycle(facts, _perceptual(facts))


def _pixels(measure: pixel.Measure, facts: Facts) -> Iterator[Outcome]:
    for value in facts.distances([(edit.source, edit.target) for edit in facts.edits], measure):
        yield Null.IDENTICAL if value == math.inf else value


def _background(measure: background.MaskedMeasure, facts: Facts) -> Iterator[Outcome]:
    found = [facts.outside[facts.region_key(edit)] for edit in facts.edits]
    known = [(edit, outside) for edit, outside in zip(facts.edits, found, strict=True) if isinstance(outside, Tensor)]
    values = iter(facts.masked_distances([(edit.source, edit.target, outside) for edit, outside in known], measure))
    for outside in found:
        value = outside if isinstance(outside, Null) else next(values)
        yield Null.IDENTICAL if value == math.inf else value


def _background_lpips(facts: Facts) -> Iterator[Outcome]:
    return _background(partial(background.background_lpips, facts.networks.needed("lpips")), facts)


def _cycle(facts: Facts, measure: pixel.Measure) -> Iterator[Outcome]:
    pairs = [(edit.source, edit.cycle) for edit in facts.edits if edit.cycle is not None]
    values = iter(facts.distances(pairs, measure))
    for edit in facts.edits:
        if edit.cycle is not None:
            yield next(values)
        else:
            yield Null.NO_CYCLE if edit.cycle_mode == "none" else Null.NO_REVERSE


def _perceptual(facts: Facts) -> pixel.Measure:
    return partial(perceptual.lpips, facts.networks.needed("lpips"))


_MEASURES: Mapping[str, Callable[[Facts], Iterable[Outcome]]] = MappingProxyType(
    {
        "clip_score": _clip_score,
        "clip_directional": _clip_directional,
        "lpips": _lpips,
        "ssim": partial(_pixels, pixel.ssim),
        "psnr": partial(_pixels, pixel.psnr),
        "mse": partial(_pixels, pixel.mse),
        "structure_distance": Facts.structure_distances,
        "background_lpips": _background_lpips,
        "background_ssim": partial(_background, background.background_ssim),
        "background_psnr": partial(_background, background.background_psnr),
        "background_mse": partial(_background, background.background_mse),
        "identity_distance": _identity_distance,
        "attribute_success": _attribute_success,
        "attribute_kept": _attribute_kept,
        "cycle_lpips": _cycle_lpips,
        "cycle_ssim": partial(_cycle, measure=pixel.ssim),
        "cycle_mse": partial(_cycle, measure=pixel.mse),
    }
)


def _check(edit: EditPictures) -> None:
    pictures = {"source": edit.source, "target": edit.target, "cycle": edit.cycle}
    for name, picture in pictures.items():
        if picture is None:
            continue
        check_picture(f"cell {edit.cell_id}: {name}", picture)
        if picture.shape != edit.source.shape:
            shapes = f"{tuple(edit.source.shape)} and {tuple(picture.shape)}"
            raise ValueError(f"cell {edit.cell_id}: expected source and {name} of one shape, got {shapes}")
    if edit.mask is not None and (edit.mask.dtype != torch.bool or edit.mask.shape != edit.source.shape[1:]):
        wanted = f"bool {tuple(edit.source.shape[1:])}"
        raise ValueError(f"cell {edit.cell_id}: mask: expected {wanted}, got {describe(edit.mask)}")


def _full_precision() -> AbstractContextManager[None]:
    """Float32 convolutions as such: TF32 would cost a GPU's scores their third digit."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(enabled=cudnn.enabled, benchmark=False, deterministic=True, allow_tf32=False)
