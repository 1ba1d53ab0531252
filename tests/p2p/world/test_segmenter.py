from pathlib import Path

import numpy as np
import pytest
import torch

from p2p.world.networks import HEAD, Segmenter
from p2p.world.scenes import CATEGORIES, FACTORS, change_mask, head_mask, render, sample_scene
from p2p.world.training.data import sample_scenes, to_images
from p2p.world.training.export import load_network
from p2p.world.training.loop import Schedule
from p2p.world.training.segmenter import SegmenterSettings, draw_masks, overlap_loss, train_segmenter
from p2p.world.training.vae import build_vae

WEIGHTS = Path(__file__).parents[3] / "p2p" / "world" / "weights"
TINY = SegmenterSettings((4, 8), 10, 1, 5, 0.1, 4, Schedule(3, 1e-3, save_every=1))


@pytest.fixture(scope="module")
def network() -> Segmenter:
    torch.manual_seed(0)
    return Segmenter(**TINY.config()).eval()


def test_every_value_has_a_region_and_faces_have_a_head(network):
    for category, factors in FACTORS.items():
        values = [(factor, value) for factor, allowed in factors.items() for value in allowed]
        assert list(network.regions[category][: len(values)]) == values
        assert (HEAD in dict(network.regions[category])) == (category == "faces")


def test_a_wanted_value_narrows_its_factor_alone(network):
    images = torch.rand(2, 3, 128, 128)
    any_value = network.predict(images, "food")
    one = network.predict(images, "food", {"topping": "mint"})
    assert list(any_value) == ["dish", "topping", "surface"]
    assert all(mask.shape == (2, 128, 128) and mask.dtype == torch.bool for mask in any_value.values())
    assert torch.equal(one["dish"], any_value["dish"])
    assert not (one["topping"] & ~any_value["topping"]).any()
    every = [network.predict(images, "food", {"topping": value})["topping"] for value in FACTORS["food"]["topping"]]
    assert torch.equal(torch.stack(every).any(0), any_value["topping"])


def test_unknown_categories_and_values_are_refused(network):
    images = torch.rand(1, 3, 128, 128)
    with pytest.raises(ValueError, match="category must be one of faces, interiors"):
        network.predict(images, "planets")
    with pytest.raises(ValueError, match="wanted must be among dish=cake.*got topping=gold"):
        network.predict(images, "food", {"topping": "gold"})


def test_training_masks_are_the_exact_ones(network):
    scenes = sample_scenes(5, 3)
    pixels, masks = draw_masks(scenes, network, 2, 0)
    for row, scene in enumerate(scenes):
        np.testing.assert_array_equal(pixels[row], render(scene))
        regions = network.regions[scene.category]
        known = [regions[i] for i in np.flatnonzero(masks.known[row])]
        assert {factor for factor, _ in known} - {HEAD} == set(scene.factors)
        for i, (factor, value) in enumerate(regions):
            if not masks.known[row, i]:
                continue
            exact = head_mask(scene) if factor == HEAD else change_mask(scene, scene.replace(**{factor: value}))
            found = masks.of(np.array([row]), len(regions))[0, i]
            np.testing.assert_array_equal(found.numpy() > 0, exact)


def test_the_head_is_where_the_person_changes_whatever_the_hat():
    scene = sample_scene("faces", np.random.default_rng(0)).replace(hat="none", glasses="none")
    head = head_mask(scene)
    assert 0.1 < head.mean() < 0.5
    assert np.array_equal(head, head_mask(scene.replace(hat="red", glasses="glasses", mood="sad", hair="black")))
    glasses = change_mask(scene, scene.replace(glasses="glasses"))
    assert (glasses & head).sum() > 0.9 * glasses.sum()
    with pytest.raises(ValueError, match="a head needs a scene of faces, got food"):
        head_mask(sample_scene("food", np.random.default_rng(0)))


def test_the_loss_is_least_for_the_mask_itself():
    masks = (torch.rand(3, 16, 16, generator=torch.Generator().manual_seed(0)) > 0.7).float()
    right, none, all_ = (overlap_loss(logits, masks) for logits in (20 * masks - 10, masks * 0 - 10, masks * 0 + 10))
    assert right.shape == (3,)
    assert (right < 0.01).all()
    assert (none > 1).all()
    assert (all_ > 0.4).all()


def test_training_resumes_from_its_checkpoint(tmp_path):
    torch.manual_seed(0)
    vae = build_vae((8, 8, 8, 8)).eval()
    first = train_segmenter(TINY, vae, 0, tmp_path)
    again = train_segmenter(TINY, vae, 0, tmp_path)
    torch.testing.assert_close(first.state_dict(), again.state_dict())
    assert (tmp_path / "segmenter.npz").exists()


def test_the_shipped_segmenter_finds_what_changes():
    segmenter = load_network(Segmenter, WEIGHTS / "segmenter")
    rng = np.random.default_rng(1_000_123)
    overlaps = []
    for category in CATEGORIES:
        for _ in range(4):
            scene = sample_scene(category, rng)
            factor = next(iter(scene.factors))
            value = next(v for v in FACTORS[category][factor] if v != scene.factors[factor])
            exact = change_mask(scene, scene.replace(**{factor: value}))
            seen = segmenter.predict(to_images(render(scene)[None]), category, {factor: value})[factor][0].numpy()
            overlaps.append((exact & seen).sum() / (exact | seen).sum())
    assert np.mean(overlaps) > 0.7
