import numpy as np
import pytest

from p2p.world.scenes import CATEGORIES, FACTORS, Scene, change_mask, render, sample_scene


def scenes(number: int) -> list[Scene]:
    rng = np.random.default_rng(7)
    return [sample_scene(CATEGORIES[n % len(CATEGORIES)], rng) for n in range(number)]


def test_render_is_deterministic_and_of_the_promised_shape() -> None:
    for scene in scenes(10):
        picture = render(scene)
        assert picture.shape == (128, 128, 3)
        assert picture.dtype == np.uint8
        np.testing.assert_array_equal(picture, render(scene))


def test_sampling_is_deterministic_by_seed() -> None:
    assert scenes(10) == scenes(10)


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_factor_changes_some_pixels_and_never_all_nuisances(category: str) -> None:
    scene = sample_scene(category, np.random.default_rng(3))
    for factor, values in FACTORS[category].items():
        other = next(value for value in values if value != scene.factors[factor])
        changed = scene.replace(**{factor: other})
        mask = change_mask(scene, changed)
        assert mask.shape == (128, 128)
        assert mask.any()
        assert changed.factors == {**scene.factors, factor: other}
        assert (changed.subject, changed.setting) == (scene.subject, scene.setting)


def test_a_factor_changes_only_its_part_of_the_picture() -> None:
    face = Scene("faces", ("woman", "blond", "neutral", "none", "none"), subject=5, setting=8)
    mood = change_mask(face, face.replace(mood="smiling"))
    assert mood.mean() < 0.15
    assert not mood[:20].any()
    assert not mood[110:].any()
    room = Scene("interiors", ("sofa", "red", "none"), subject=5, setting=8)
    assert not change_mask(room, room.replace(color="blue"))[:30].any()


def test_mask_is_the_pixels_that_differ_and_empty_for_equal_scenes() -> None:
    first, second = scenes(6)[0], scenes(6)[5]
    np.testing.assert_array_equal(change_mask(first, second), (render(first) != render(second)).any(axis=-1))
    assert not change_mask(first, first).any()


def test_replacing_and_restoring_a_factor_gives_the_picture_back() -> None:
    for scene in scenes(5):
        factor = next(iter(scene.factors))
        other = next(value for value in FACTORS[scene.category][factor] if value != scene.factors[factor])
        back = scene.replace(**{factor: other}).replace(**{factor: scene.factors[factor]})
        np.testing.assert_array_equal(render(scene), render(back))


def test_unknown_categories_factors_and_values_are_refused() -> None:
    scene = scenes(1)[0]
    with pytest.raises(ValueError, match="category must be one of faces"):
        sample_scene("planets", np.random.default_rng(0))
    with pytest.raises(ValueError, match="faces has the factors gender"):
        scene.replace(wheels="four")
    with pytest.raises(ValueError, match="hair of faces must be one of brown"):
        scene.replace(hair="turquoise")
    with pytest.raises(ValueError, match="got 1 values"):
        Scene("faces", ("man",), 0, 0)
