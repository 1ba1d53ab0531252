"""Pairs with a known truth: a scene, the same scene with one captioned factor changed, and what it can be mistaken for.

The exact mask of a pair is the pixels in which the two rendered pictures, 8 bits, differ in any channel.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from p2p.world.captions import caption, parse
from p2p.world.scenes import CATEGORIES, FACTORS, Scene, change_mask, render, sample_scene

PAIRS_SEED = 1_000_100  # training draws from seed 0, the weights' evaluation from 1,000,000 to 1,000,005

NUISANCES: tuple[str, ...] = ("subject", "setting", "shift", "light", "noise")
"""What no caption mentions: who or which one it is, framing and backdrop, place in the frame, brightness, noise."""
SMALL, LARGE = 1 / 3, 2 / 3
MAX_SHIFT = 6
NOISE = 8.0

Picture = np.ndarray
"""Uint8 of shape (128, 128, 3)."""


@dataclass(frozen=True)
class Pair:
    """A scene, its exact edit, and wrong edits of it.

    Attributes:
        number: its place; with the seed it fixes everything.
        source: the scene before.
        edit: the same scene and nuisances with `factor` changed as asked.
        factor: the captioned factor that changes.
        side: the source with one other factor changed, and not `factor`.
        both: the edit with that other factor changed too.
        wrong_value: the source with `factor` changed to a third value, or None where there are but two.
        source_prompt, target_prompt: captions of source and edit that differ in `factor` alone.
        other_prompt: the caption of another scene of the category, false of the edit.
    """

    number: int
    source: Scene
    edit: Scene
    factor: str
    side: Scene
    both: Scene
    wrong_value: Scene | None
    source_prompt: str
    target_prompt: str
    other_prompt: str


def sample_pair(number: int, seed: int) -> Pair:
    """The pair of that number, the categories in turn; it does not depend on how many pairs are drawn.

    Raises:
        ValueError: number or seed is negative.
    """
    if number < 0 or seed < 0:
        raise ValueError(f"number and seed must be 0 or more, got {number} and {seed}")
    rng = np.random.default_rng([PAIRS_SEED, seed, number])
    category = CATEGORIES[number % len(CATEGORIES)]
    while True:
        source = sample_scene(category, rng)
        factor, other = (str(name) for name in rng.permutation(list(source.factors))[:2])
        edit = source.replace(**{factor: _another(source, factor, rng)})
        prompts = _prompts(source, edit, factor, rng)
        if prompts is not None and change_mask(source, edit).any():
            break
    changed = {other: _another(source, other, rng)}
    third = [value for value in _others(source, factor) if value != edit.factors[factor]]
    wrong = source.replace(**{factor: third[int(rng.integers(len(third)))]}) if third else None
    sides = source.replace(**changed), edit.replace(**changed)
    return Pair(number, source, edit, factor, *sides, wrong, *prompts, _false_caption(edit, rng))


def draw_variants(pair: Pair, seed: int) -> dict[str, Picture]:
    """Pictures that an editor might return for the pair, by name.

    `none` is the source itself and `asked` the exact edit; `wrong_value`, `wrong_factor` and `extra` are wrong edits
    (`extra` is the asked one with a side effect); `part_*` have a third and two thirds of the mask's pixels changed,
    those about its middle first; `strength_*` are a third and two thirds of the way from source to edit; the
    `NUISANCES` are the source with nothing captioned changed.
    """
    rng = np.random.default_rng([PAIRS_SEED + 1, seed, pair.number])
    source, edit = render(pair.source), render(pair.edit)
    drawn = {"none": source, "asked": edit, "wrong_factor": render(pair.side), "extra": render(pair.both)}
    if pair.wrong_value is not None:
        drawn["wrong_value"] = render(pair.wrong_value)
    for name, share in (("1", SMALL), ("2", LARGE)):
        drawn[f"part_{name}"] = partly(source, edit, share)
        drawn[f"strength_{name}"] = faintly(source, edit, share)
    return drawn | {name: _NUISANCES[name](pair.source, source, rng) for name in NUISANCES}


def changed_share(first: Picture, second: Picture) -> float:
    """Share of the pixels that differ, in [0, 1]."""
    return float((first != second).any(axis=-1).mean())


def partly(source: Picture, edit: Picture, share: float) -> Picture:
    """The source with that share of the changed pixels taken from the edit, those about the middle of the mask first.

    Raises:
        ValueError: the share is outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be in [0, 1], got {share:g}")
    rows, columns = (source != edit).any(axis=-1).nonzero()
    far = np.hypot(rows - rows.mean(), columns - columns.mean()) if len(rows) else rows
    near = np.argsort(far, kind="stable")[: round(share * len(rows))]
    mixed = source.copy()
    mixed[rows[near], columns[near]] = edit[rows[near], columns[near]]
    return mixed


def faintly(source: Picture, edit: Picture, strength: float) -> Picture:
    """The picture on the straight line from source (strength 0) to edit (1).

    Raises:
        ValueError: the strength is outside [0, 1].
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be in [0, 1], got {strength:g}")
    return _stored((1 - strength) * source + strength * edit)


def _others(scene: Scene, factor: str) -> list[str]:
    return [value for value in FACTORS[scene.category][factor] if value != scene.factors[factor]]


def _another(scene: Scene, factor: str, rng: np.random.Generator) -> str:
    values = _others(scene, factor)
    return values[int(rng.integers(len(values)))]


def _prompts(source: Scene, edit: Scene, factor: str, rng: np.random.Generator) -> tuple[str, str] | None:
    """Captions of one form, or None where they differ in more than the factor or leave it open."""
    form = int(rng.integers(2**31))
    before, after = (caption(scene, np.random.default_rng(form)) for scene in (source, edit))
    said, asked = parse(before).with_defaults(), parse(after).with_defaults()
    differ = {name for name in said.keys() | asked.keys() if said.get(name) != asked.get(name)}
    told = (said.get(factor), asked.get(factor)) == (source.factors[factor], edit.factors[factor])
    return (before, after) if differ == {factor} and told else None


def _false_caption(scene: Scene, rng: np.random.Generator) -> str:
    while True:
        text = caption(sample_scene(scene.category, rng), rng)
        if any(scene.factors[name] != value for name, value in parse(text).with_defaults().items()):
            return text


def _other_subject(scene: Scene, picture: Picture, rng: np.random.Generator) -> Picture:
    return render(replace(scene, subject=int(rng.integers(2**31))))


def _other_setting(scene: Scene, picture: Picture, rng: np.random.Generator) -> Picture:
    return render(replace(scene, setting=int(rng.integers(2**31))))


def _shifted(scene: Scene, picture: Picture, rng: np.random.Generator) -> Picture:
    """Moved by up to 6 pixels each way and by at least one, its borders repeated."""
    down, right = (int(rng.choice([-1, 1]) * rng.integers(1, MAX_SHIFT + 1)) for _ in range(2))
    padded = np.pad(picture, ((MAX_SHIFT, MAX_SHIFT), (MAX_SHIFT, MAX_SHIFT), (0, 0)), mode="edge")
    height, width, _ = picture.shape
    return padded[MAX_SHIFT + down :, MAX_SHIFT + right :][:height, :width].copy()


def _lit(scene: Scene, picture: Picture, rng: np.random.Generator) -> Picture:
    """Darker or brighter by a tenth to a quarter."""
    return _stored(picture * (1 + float(rng.choice([-1, 1]) * rng.uniform(0.1, 0.25))))


def _noisy(scene: Scene, picture: Picture, rng: np.random.Generator) -> Picture:
    """With Gaussian noise of standard deviation 8 of 255."""
    return _stored(picture + rng.normal(0, NOISE, picture.shape))


def _stored(values: np.ndarray) -> Picture:
    return values.round().clip(0, 255).astype(np.uint8)


_NUISANCES: Mapping[str, Callable[[Scene, Picture, np.random.Generator], Picture]] = MappingProxyType(
    {
        "subject": _other_subject,
        "setting": _other_setting,
        "shift": _shifted,
        "light": _lit,
        "noise": _noisy,
    }
)
