"""What every metric of the registry has to do, whichever it is: a new one is held to it by being there.

Rendered scenes, judged by the embedded world's own networks; a network that the world has none of has random weights,
and how its metrics grow is not asked.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module
from omegaconf import OmegaConf
from PIL import Image, ImageFilter
from scipy.stats import spearmanr
from torch import Tensor, nn

from metrics.loading import MetricsConfig, NetworkConfig, load_networks
from metrics.networks import Networks
from metrics.perceptual import lpips
from metrics.pictures import EditPictures
from metrics.pixel import mse, psnr, ssim
from metrics.registry import METRICS, Metric, Null
from metrics.score import score_edits
from p2p.world.pairs import Pair, sample_pair
from p2p.world.scenes import CATEGORIES, change_mask, render
from tests.metrics.conftest import edit

PAIRS = [sample_pair(number, seed=3) for number in range(2 * len(CATEGORIES))]
LEVELS = {"noise": (4, 8, 16, 32, 64), "blur": (0.5, 1, 2, 4, 8), "shift": (1, 2, 4, 8, 16)}
"""Standard deviation in 255ths; radius in pixels; pixels to the right."""
ALL = frozenset(LEVELS)

REPEATED: dict[str, float | Null | None] = {
    "psnr": Null.IDENTICAL,
    "background_psnr": Null.IDENTICAL,
    "clip_directional": Null.NO_CHANGE,
    "clip_score": None,  # compares with words, not with the source
    "attribute_success": None,  # likewise
}
"""The value of an edit that is its source, where it is not the best of the metric's range; None: any."""

SWAPPED = {
    "clip_score": None,  # reads the edit alone
    "attribute_success": None,  # likewise
    "clip_directional": -1,  # the pictures' difference points the other way
    "background_lpips": None,  # what lies inside is the source's, whose features reach across the edge
    "background_ssim": None,  # likewise, by its windows
}
"""What the value is multiplied by when source and edit change places; 1 elsewhere, None: it is another value."""

MONOTONE = {
    "clip_score": {"noise", "blur"},  # no caption says where in the frame a thing is
    "clip_directional": set(),  # asks for the direction of a change, whatever its size
    "structure_distance": set(),  # the embedded world has no DINO
    "identity_distance": {"noise", "blur"},  # the face is the same person's elsewhere in the frame
    "attribute_success": {"blur"},  # a thing is what it is elsewhere, and is read through noise: 1 at every level
    "attribute_kept": {"blur"},  # likewise
}
"""Which growing changes must make the value worse; all elsewhere."""

MANY_TIES = {"attribute_success", "attribute_kept"}
"""What is yes or no for each factor, and so the same until a change is strong."""


@cache
def world_networks() -> dict[str, dict[str, object]]:
    """The embedded world's own, as configured."""
    with initialize_config_module("conf", version_base="1.3"):
        values = OmegaConf.to_container(compose("metrics/world").metrics.networks)
    return {kind: network for kind, network in values.items() if network is not None}


@pytest.fixture(scope="module")
def networks(world_config) -> Networks:
    own = {kind: NetworkConfig(**values) for kind, values in world_networks().items()}
    return load_networks(MetricsConfig(tuple(METRICS), replace(world_config.networks, **own)), "cpu")


def to_tensor(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1).contiguous()


def changed(picture: np.ndarray, change: str, level: float) -> np.ndarray:
    if change == "noise":
        return (picture + np.random.default_rng(0).normal(0, level, picture.shape)).round().clip(0, 255).astype("uint8")
    if change == "blur":
        return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(level)))
    return np.pad(picture, ((0, 0), (int(level), 0), (0, 0)), mode="edge")[:, : picture.shape[1]]


def returned(pair: Pair, source: Tensor, picture: Tensor, cell_id: str = "cell") -> EditPictures:
    """An edit whose target and cycle are a picture that should be the source, and whose target prompt describes it."""
    prompts = pair.target_prompt, pair.source_prompt
    mask = torch.from_numpy(change_mask(pair.source, pair.edit))
    mask[::2] = False  # what is outside changes too
    about = (cell_id, pair.source.category, "swap", *prompts, "swap")
    return EditPictures(*about, source=source, target=picture, cycle=picture, mask=mask)


def values_of(edits: list[EditPictures], networks: Networks, metrics=tuple(METRICS)) -> dict[tuple[str, str], object]:
    """Value, or the reason why there is none, by cell and metric."""
    scores = score_edits(edits, metrics, networks)
    return {(score.cell_id, score.metric): score.value if score.reason is None else score.reason for score in scores}


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Pair, Tensor, Tensor]]:
    """Pairs with their pictures before and after."""
    return [(pair, to_tensor(render(pair.source)), to_tensor(render(pair.edit))) for pair in PAIRS]


# Pictures that are not as stored

WRONG: dict[str, tuple[Callable[[Tensor], object], str]] = {
    "floats in 0 to 1": (lambda picture: picture.float() / 255, "float32 (3, 128, 128)"),
    "floats in 0 to 255": (lambda picture: picture.float(), "float32 (3, 128, 128)"),
    "whole numbers": (lambda picture: picture.long(), "int64 (3, 128, 128)"),
    "with transparency": (lambda picture: torch.cat([picture, picture[:1]]), "uint8 (4, 128, 128)"),
    "grayscale": (lambda picture: picture[0], "uint8 (128, 128)"),
    "one channel": (lambda picture: picture[:1], "uint8 (1, 128, 128)"),
    "channels last": (lambda picture: picture.permute(1, 2, 0), "uint8 (128, 128, 3)"),
    "a batch": (lambda picture: picture[None], "uint8 (1, 3, 128, 128)"),
    "empty": (lambda picture: picture[:, :0], "uint8 (3, 0, 128)"),
    "an array": (lambda picture: picture.numpy(), "numpy.ndarray uint8 (3, 128, 128)"),
    "a PIL image": (lambda picture: Image.new("RGB", (128, 128)), "PIL.Image.Image RGB (128, 128)"),
}


@pytest.mark.parametrize("kind", WRONG)
@pytest.mark.parametrize("name", METRICS)
def test_a_picture_that_is_not_as_stored_is_refused_by_name(name, kind):
    spoil, got = WRONG[kind]
    read = [field for field in METRICS[name].needs if field in ("source", "target", "cycle")]
    for field in read:
        message = f"cell cell: {field}: expected uint8 (3, height, width), got {got}"
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            score_edits([edit(cell_id="good"), edit(**{field: spoil(getattr(edit(), field))})], [name], Networks())
    assert read


UNIT = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
OUT_OF_RANGE = {
    "0 to 255": (UNIT * 255, r"expected values in \[0, 1\], got 0"),
    "below 0": (UNIT * 2 - 1, r"expected values in \[0, 1\], got -"),
    "not a number": (UNIT / 0 * 0, r"expected values in \[0, 1\], got nan"),
    "whole numbers": ((UNIT * 255).long(), r"expected floats .* got int64"),
    "no batch": (UNIT[0], r"expected floats .* got float32 \(3, 32, 32\)"),
    "grayscale": (UNIT[:, :1], r"expected floats .* got float32 \(2, 1, 32, 32\)"),
    "another size": (UNIT[..., :16], "expected two of one shape"),
}


@pytest.mark.parametrize("kind", OUT_OF_RANGE)
@pytest.mark.parametrize("measure", ["ssim", "psnr", "mse", "lpips"])
def test_a_measure_refuses_what_is_not_in_0_to_1(measure, kind, networks):
    wrong, message = OUT_OF_RANGE[kind]
    call = {"ssim": ssim, "psnr": psnr, "mse": mse, "lpips": lambda a, b: lpips(networks.lpips, a, b)}[measure]
    for pair in ((UNIT, wrong), (wrong, UNIT)):
        with pytest.raises(ValueError, match=message):
            call(*pair)


# Values that are known beforehand


def best(metric: Metric) -> float:
    """The best value of a metric's range: `[0, 2]`, `[0, inf)`."""
    low, high = metric.range.strip("[]()").split(",")
    return float(high if metric.higher_is_better else low)


def test_an_edit_that_is_its_source_has_the_best_value(scenes, networks):
    edits = [returned(pair, before, before, str(pair.number)) for pair, before, _ in scenes]
    found = values_of(edits, networks)
    seen = Counter()
    for (cell, name), value in found.items():
        expected = REPEATED[name] if name in REPEATED else best(METRICS[name])
        if isinstance(value, str) and value in ("not_a_face", "no_face"):
            continue
        seen[name] += 1
        if expected is not None:
            assert value == (expected if isinstance(expected, Null) else pytest.approx(expected, abs=1e-5)), (
                cell,
                name,
            )
    assert set(seen) == set(METRICS)


def test_a_value_is_the_same_alone_and_in_a_batch(scenes, networks):
    """To 1e-4 of it or 1e-5: sums of float32 in another order."""
    edits = [returned(pair, before, after, str(pair.number)) for pair, before, after in scenes[:7]]
    together = values_of(edits, networks)
    for one in edits:
        for key, value in values_of([one], networks).items():
            close = value if isinstance(value, str) else pytest.approx(value, rel=1e-4, abs=1e-5)
            assert together[key] == close, key


def test_source_and_edit_may_change_places_where_the_definition_says_so(scenes, networks):
    forward = [returned(pair, before, after, str(pair.number)) for pair, before, after in scenes]
    back = [replace(one, source=one.target, target=one.source, cycle=one.source) for one in forward]
    there, here = values_of(forward, networks), values_of(back, networks)
    seen = Counter()
    for (cell, name), value in there.items():
        factor = SWAPPED.get(name, 1)
        if factor is None or isinstance(value, str):
            assert isinstance(value, float) or here[cell, name] == value
        else:
            assert here[cell, name] == pytest.approx(factor * value, rel=1e-4, abs=1e-5), (cell, name)
        seen[name] += not isinstance(value, str)
    assert all(seen[name] for name in METRICS), seen


# A growing change

ASKED = [(name, change) for name in METRICS for change in LEVELS if change in MONOTONE.get(name, ALL)]


@pytest.fixture(scope="module")
def growing(scenes, networks) -> dict[tuple[str, str], list[float]]:
    """The mean value at every level, by metric and change, of the scenes that have one at all of them."""
    edits = [
        returned(
            pair, before, to_tensor(changed(render(pair.source), change, level)), f"{pair.number} {change} {level}"
        )
        for pair, before, _ in scenes
        for change, levels in LEVELS.items()
        for level in levels
    ]
    found = values_of(edits, networks, tuple(dict.fromkeys(name for name, _ in ASKED)))
    means = {}
    for name, change in ASKED:
        rows = [[found[f"{pair.number} {change} {lv}", name] for lv in LEVELS[change]] for pair in PAIRS]
        whole = [row for row in rows if all(isinstance(value, float) for value in row)]
        assert whole, (name, change)
        means[name, change] = list(np.mean(whole, axis=0))
    return means


@pytest.mark.parametrize(("name", "change"), ASKED)
def test_a_growing_change_makes_the_value_worse(growing, name, change):
    """Spearman's correlation of level and mean over scenes.

    One exchange of neighbours among five levels is 0.9, two are 0.8; four that are equal and one that is worse, 0.71.
    """
    means = growing[name, change]
    worse = [-value if METRICS[name].higher_is_better else value for value in means]
    assert spearmanr(range(len(means)), worse).statistic > (0.7 if name in MANY_TIES else 0.85), means


def test_the_tables_name_metrics_that_are_there():
    assert {*REPEATED, *SWAPPED, *MONOTONE, *MANY_TIES} <= set(METRICS)
    assert all(changes <= ALL for changes in MONOTONE.values())


# Every picture and prompt once


@contextmanager
def counting(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, list[int]]]:
    """The rows of each call of each module, by name."""
    calls: dict[str, list[int]] = {name: [] for name in modules}
    with ExitStack() as hooks:
        for name, module in modules.items():
            hook = module.register_forward_pre_hook(lambda _, given, name=name: calls[name].append(len(given[0])))
            hooks.callback(hook.remove)
        yield calls


def test_each_picture_and_prompt_of_a_group_goes_through_a_network_once_and_in_batches(scenes, networks):
    (pair, source, _), size = scenes[CATEGORIES.index("faces")], 4
    pictures = [to_tensor(changed(render(pair.edit), "shift", level)) for level in range(7)]
    edits = [replace(returned(pair, source, picture, str(i)), mask=None) for i, picture in enumerate(pictures)]
    modules = {
        "texts": networks.clip.model.token_embedding,
        "segmenter": networks.segmenter.module.trunk,
        "clip": networks.clip.model.visual,
        "detector": networks.identity.detect.__self__,
        "identity": networks.identity.encode,
        "classifier": networks.classifier.module,
        "dino": networks.dino.module,
    }
    with counting(modules) as calls:
        score_edits(edits, list(METRICS), networks, batch_size=size)
    assert calls["texts"] == [1, 1]
    assert calls["segmenter"] == [1], "one source, one pair of prompts"
    for name in ("clip", "detector", "identity", "classifier"):
        assert calls[name] == [size, size], "a source and seven edits"
    assert calls["dino"] == [1, size, 3], "the source's layout, then the edits'"
