from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from p2p.world.scenes import sample_scene
from p2p.world.training.augment import blemish
from p2p.world.training.clip import claim_table, fact_table, is_true
from p2p.world.training.data import Pictures, pictures, sample_scenes
from p2p.world.training.loop import Schedule
from p2p.world.training.settings import read_settings
from p2p.world.training.vae import build_vae, whiten


@dataclass(frozen=True)
class Stage:
    sizes: tuple[int, ...]
    schedule: Schedule


def test_settings_are_read_and_unknown_keys_refused(tmp_path: Path) -> None:
    path = tmp_path / "stage.yaml"
    path.write_text("sizes: [1, 2]\nschedule: {steps: 3, learning_rate: 1.0e-3}\n")
    assert read_settings(Stage, path) == Stage((1, 2), Schedule(3, 1e-3))
    path.write_text("sizes: [1, 2]\nshedule: {}\n")
    with pytest.raises(ValueError, match="unknown keys shedule; known are sizes, schedule"):
        read_settings(Stage, path)


def test_training_pictures_are_drawn_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "pictures.npy"
    first, second = pictures(path, 5), pictures(path, 5)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    assert first.captions == second.captions
    assert first.images(torch.tensor([0, 3])).shape == (2, 3, 128, 128)
    with pytest.raises(ValueError, match="holds 5 pictures, expected 6"):
        pictures(path, 6)


def test_a_caption_is_true_of_its_scene_and_false_of_others() -> None:
    scene = sample_scene("animals", np.random.default_rng(0)).replace(
        animal="cat", color="black", ground="snow", time="day"
    )
    claims = claim_table(["a cat on the snow", "a black cat", "a cat at night", "a dog", "a red car"])
    assert is_true(claims, fact_table([scene])).tolist() == [[True, True, False, False, False]]


def test_blemishes_stay_in_range_and_follow_the_generator() -> None:
    images = torch.rand((3, 3, 128, 128))
    for seed in range(6):
        first, second = (blemish(images, torch.Generator().manual_seed(seed)) for _ in range(2))
        torch.testing.assert_close(first, second)
        assert first.shape == images.shape
        assert 0 <= first.min() <= first.max() <= 1


def test_whitening_keeps_reconstructions(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = build_vae((8, 8, 8, 8)).eval()
    data: Pictures = pictures(tmp_path / "pictures.npy", 16)
    images = data.images(torch.arange(16)) * 2 - 1
    with torch.no_grad():
        before = vae.decode(vae.encode(images).latent_dist.mean).sample
        whiten(vae, data, 16)
        latents = vae.encode(images).latent_dist.mean
        torch.testing.assert_close(vae.decode(latents).sample, before, rtol=1e-3, atol=1e-3)
    pixels = latents.permute(1, 0, 2, 3).flatten(1)
    torch.testing.assert_close(torch.cov(pixels), torch.eye(4), rtol=1e-3, atol=1e-3)


def test_scenes_take_the_categories_in_turn() -> None:
    assert [scene.category for scene in sample_scenes(6, 0)][::5] == ["faces", "faces"]
