import dataclasses
import math

import lpips
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import correlate1d

from metrics.background import (
    background_lpips,
    background_mse,
    background_psnr,
    background_ssim,
    mean_over,
    read_region,
)
from metrics.networks import PerceptualDistance, SourceMaps
from metrics.pixel import mse, psnr, ssim
from metrics.registry import Null
from metrics.score import score_edits
from p2p.world.pairs import sample_pair
from p2p.world.scenes import change_mask, render
from tests.metrics.conftest import edit, picture

NAMES = ["background_lpips", "background_ssim", "background_psnr", "background_mse"]
SQUARE = torch.zeros(128, 128, dtype=torch.bool)
SQUARE[30:80, 40:100] = True


@pytest.fixture(scope="module")
def pair():
    """Two pictures in [0, 1], (1, 3, 128, 128), and the pixels outside a square."""
    first, second = picture(1)[None] / 255, picture(2)[None] / 255
    return first, second, ~SQUARE[None]


@pytest.fixture(scope="module")
def half(pair):
    """The same, the second picture being the first inside: what windows and features may see."""
    first, second, outside = pair
    return first, torch.where(outside[:, None], second, first), outside


def outcomes(one, networks, names=NAMES) -> dict[str, float | str | None]:
    """Value or reason by metric."""
    scores = score_edits([one], names, networks)
    return {score.metric: score.reason if score.value is None else score.value for score in scores}


def test_mse_and_psnr_are_means_over_the_pixels_outside(pair):
    first, second, outside = (part.numpy() for part in pair)
    expected = np.mean([(a - b) ** 2 for a, b in zip(first[0], second[0], strict=True)], axis=0)[outside[0]].mean()
    assert background_mse(*pair).item() == pytest.approx(expected, rel=1e-5)
    assert background_psnr(*pair).item() == pytest.approx(10 * np.log10(1 / expected), rel=1e-5)


def test_ssim_is_the_mean_of_its_map_outside(pair, half):
    a, b, outside = (part[0].double().numpy() for part in half)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(image):
        return correlate1d(correlate1d(image, window, 1, mode="mirror"), window, 2, mode="mirror")

    means = blur(a), blur(b)
    spread = blur(a * a) - means[0] ** 2 + blur(b * b) - means[1] ** 2
    top = (2 * means[0] * means[1] + 1e-4) * (2 * (blur(a * b) - means[0] * means[1]) + 9e-4)
    of_pixels = (top / ((means[0] ** 2 + means[1] ** 2 + 1e-4) * (spread + 9e-4))).mean(0)
    assert background_ssim(*pair).item() == pytest.approx(of_pixels[outside > 0].mean(), abs=1e-4)


def test_lpips_is_the_mean_of_every_layers_map_outside(pair, half, networks):
    first, second, outside = half
    trunk, expected = networks.lpips.module.net, torch.zeros(128, 128)
    with torch.no_grad():
        for a, b in zip(trunk(first * 2 - 1), trunk(second * 2 - 1), strict=True):
            apart = (a / (a.square().sum(1, True).sqrt() + 1e-8) - b / (b.square().sum(1, True).sqrt() + 1e-8)).square()
            expected += F.interpolate(apart.sum(1, True), size=(128, 128), mode="bilinear")[0, 0]
        found = background_lpips(networks.lpips, *pair)
    assert found.item() == pytest.approx(expected[outside[0]].mean().item(), rel=1e-3)
    assert networks.lpips.module.spatial is False


def test_lpips_of_photographs_is_the_packages_own_map(pair, half):
    torch.manual_seed(0)
    plain = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False).eval()
    spatial = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False, spatial=True).eval()
    spatial.load_state_dict(plain.state_dict())
    first, second, outside = half
    with torch.no_grad():
        expected = spatial(first * 2 - 1, second * 2 - 1)[0, 0][outside[0]].mean()
        found = background_lpips(PerceptualDistance("alex", plain), *pair)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_with_everything_outside_they_are_the_plain_metrics(pair):
    first, second, _ = pair
    everywhere = torch.ones(1, 128, 128, dtype=torch.bool)
    for masked, plain in ((background_mse, mse), (background_psnr, psnr), (background_ssim, ssim)):
        torch.testing.assert_close(masked(first, second, everywhere), plain(first, second))


def test_what_changes_inside_counts_for_nothing(pair, networks):
    first, _, outside = pair
    changed = torch.where(outside[:, None], first, 1 - first)
    assert background_mse(first, changed, outside).item() == 0
    assert background_psnr(first, changed, outside).item() == math.inf
    assert background_ssim(first, changed, outside).item() == pytest.approx(1, abs=1e-6)
    assert background_mse(first, changed, ~outside).item() > 0.01
    with torch.no_grad():
        assert background_lpips(networks.lpips, first, changed, outside).item() == pytest.approx(0, abs=1e-9)


def test_the_value_does_not_depend_on_the_masks_area(pair):
    first = pair[0] * 0.9
    for outside in (~SQUARE[None], SQUARE[None]):
        assert background_mse(first, first + 0.1, outside).item() == pytest.approx(0.01, rel=1e-4)


def test_masks_of_another_shape_or_without_pixels_are_refused():
    values = torch.zeros(2, 4, 4)
    with pytest.raises(ValueError, match=r"masks: expected bool \(2, 4, 4\), one a picture, got .*\(4, 4\)"):
        mean_over(values, torch.ones(4, 4, dtype=torch.bool))
    with pytest.raises(ValueError, match="got a mask that covers its picture"):
        mean_over(values, torch.zeros(2, 4, 4, dtype=torch.bool))


def test_a_given_mask_is_used_before_the_segmenter(pair, networks):
    found = outcomes(edit(mask=SQUARE), networks)
    assert found["background_mse"] == pytest.approx(background_mse(*pair).item(), rel=1e-5)
    assert all(isinstance(value, float) for value in found.values())


def test_without_a_given_mask_the_segmenters_region_of_the_asked_change_is_used(networks):
    one = edit()
    region = networks.segmenter.module.predict(one.source[None] / 255, "faces", {"hair": "red"})["hair"]
    assert region.any()
    assert not region.all()
    expected = background_mse(one.source[None] / 255, one.target[None] / 255, ~region)
    assert outcomes(one, networks)["background_mse"] == pytest.approx(expected.item(), rel=1e-5)


def test_a_source_and_pair_have_one_region_whatever_the_edit(networks):
    asked = []

    class Counting:
        name = "counting"

        def can_judge(self, source):
            return True

        def find(self, pictures, *change):
            asked.append(change)
            return SQUARE[None]

    source = picture(1)
    group = [edit(source=source, target=picture(i)) for i in range(2, 6)]
    group += [edit(source=source, target_prompt="a woman's face with black hair")]
    score_edits(group, NAMES, dataclasses.replace(networks, segmenter=Counting()))
    assert asked == [("faces", {"hair": "red"}, frozenset()), ("faces", {"hair": "black"}, frozenset())]


def test_scores_name_the_segmenter(networks):
    found = {score.metric: score.network for score in score_edits([edit(mask=SQUARE)], NAMES, networks)}
    assert found["background_lpips"] == "world-lpips+world-segmenter"
    assert found["background_mse"] == "world-segmenter"
    other = dataclasses.replace(networks, segmenter=SourceMaps())
    (score,) = score_edits([edit(mask=SQUARE)], ["background_mse"], other)
    assert score.network == "source-map"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"mask": torch.zeros(128, 128, dtype=torch.bool)}, "empty_mask"),
        ({"mask": torch.ones(128, 128, dtype=torch.bool)}, "empty_mask"),
        ({"target_prompt": "a painting"}, "not_in_grammar"),
        ({"target_prompt": "a red car"}, "other_category"),
        ({"target_prompt": "a woman's face with blond hair"}, "no_mask"),
        ({"source": picture(1, 64), "target": picture(2, 64), "cycle": None}, "wrong_size"),
    ],
)
def test_a_region_that_is_empty_or_unknown_gives_null(changes, reason, networks):
    assert set(outcomes(edit(**changes), networks).values()) == {reason}


def test_without_a_source_map_there_is_no_mask(networks):
    found = outcomes(edit(), dataclasses.replace(networks, segmenter=SourceMaps()))
    assert set(found.values()) == {"no_mask"}


def test_equal_pictures_are_ideal(networks):
    found = outcomes(edit(target=picture(1), mask=SQUARE), networks)
    assert found == {
        "background_lpips": pytest.approx(0, abs=1e-7),
        "background_ssim": pytest.approx(1, abs=1e-5),
        "background_psnr": "identical",
        "background_mse": 0,
    }


def test_a_mask_of_another_size_is_refused(networks):
    with pytest.raises(ValueError, match=r"cell cell: mask: expected bool \(128, 128\), got bool \(64, 64\)"):
        score_edits([edit(mask=SQUARE[:64, :64])], NAMES, networks)


def region_of(**changes):
    return read_region(edit(**changes))


def test_the_region_is_of_the_factors_that_the_prompts_change():
    ask = region_of(source_prompt="a red sofa in a living room", target_prompt="a blue bed in a bedroom with a lamp")
    assert ask.wanted == {"furniture": "bed", "color": "blue", "decor": "lamp"}
    left_open = region_of(source_prompt="a black cat on the grass", target_prompt="a cat on the grass")
    assert (left_open.wanted, left_open.free) == ({}, {"color"})


@pytest.mark.parametrize(
    ("prompt", "words", "factors"),
    [
        ("a woman's face with black hair and a purple hat", ("purple",), {"hat"}),
        ("a woman's face with black hair and a purple hat", ("woman's",), {"gender"}),
        ("a smiling man's face with brown hair", ("smiling", "brown"), {"mood", "hair"}),
        ("a pizza with olives on a wooden board", ("wooden board",), {"surface"}),
        ("a green boat on a river in the city at night", ("night",), {"time"}),
    ],
)
def test_a_re_weighting_is_about_the_factors_that_its_words_name(prompt, words, factors):
    ask = region_of(kind="reweight", source_prompt=prompt, target_prompt=prompt, words=words)
    assert (ask.wanted, ask.free) == ({}, factors)


def test_a_re_weighting_of_words_that_name_no_factor_has_no_region():
    prompt = "a cat on the grass"
    assert region_of(kind="reweight", source_prompt=prompt, target_prompt=prompt, words=("the",)) is Null.NO_MASK


def test_the_exact_edit_of_a_scene_leaves_its_background_alone(networks):
    found = sample_pair(3, 0)
    source, target = (torch.from_numpy(render(scene)).permute(2, 0, 1) for scene in (found.source, found.edit))
    mask = torch.from_numpy(change_mask(found.source, found.edit))
    assert outcomes(edit(source=source, target=target, mask=mask), networks, ["background_mse"]) == {
        "background_mse": 0
    }
