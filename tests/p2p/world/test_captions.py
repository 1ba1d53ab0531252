import numpy as np
import pytest

from p2p.world.captions import DEFAULTS, caption, parse, unknown_words, vocabulary
from p2p.world.scenes import CATEGORIES, FACTORS, sample_scene


@pytest.mark.parametrize("category", CATEGORIES)
def test_parsing_a_caption_gives_facts_of_its_scene(category: str) -> None:
    rng = np.random.default_rng(11)
    mentioned = set()
    for _ in range(300):
        scene = sample_scene(category, rng)
        text = caption(scene, rng)
        found = parse(text)
        assert found.category == category
        assert found.with_defaults().items() <= scene.factors.items()
        assert unknown_words(text) == []
        mentioned |= found.factors.keys()
    assert mentioned == FACTORS[category].keys()


def test_captions_are_deterministic_by_seed() -> None:
    scene = sample_scene("food", np.random.default_rng(0))
    assert caption(scene, np.random.default_rng(1)) == caption(scene, np.random.default_rng(1))


@pytest.mark.parametrize(
    ("prompt", "category", "factors"),
    [
        ("a woman's face with blond hair", "faces", {"gender": "woman", "hair": "blond"}),
        (
            "a smiling woman's face with blond hair and a red hat",
            "faces",
            {"gender": "woman", "mood": "smiling", "hair": "blond", "hat": "red"},
        ),
        ("a man\N{RIGHT SINGLE QUOTATION MARK}s face with glasses", "faces", {"gender": "man", "glasses": "glasses"}),
        (
            "a red car on a road in the city at night",
            "transportation",
            {"vehicle": "car", "color": "red", "place": "city", "time": "night"},
        ),
        ("A photo of a cat on the grass.", "animals", {"animal": "cat", "ground": "grass"}),
        ("a red sofa in a living room", "interiors", {"furniture": "sofa", "color": "red"}),
        ("a living room with a sofa and a lamp", "interiors", {"furniture": "sofa", "decor": "lamp"}),
        (
            "a cake with strawberries on a plate",
            "food",
            {"dish": "cake", "topping": "strawberries", "surface": "plate"},
        ),
    ],
)
def test_prompts_say_what_they_say(prompt: str, category: str, factors: dict[str, str]) -> None:
    assert parse(prompt) == (category, factors)


def test_an_unmentioned_factor_with_a_default_has_it() -> None:
    assert parse("a cat on the grass").with_defaults()["time"] == "day"
    assert parse("a woman's face").with_defaults() == {"gender": "woman", **DEFAULTS["faces"]}


@pytest.mark.parametrize(
    "prompt", ["", "a zebra on Mars", "a woman's face with and glasses", "a red", "hair blond with"]
)
def test_other_prompts_are_refused_with_an_example(prompt: str) -> None:
    with pytest.raises(ValueError, match="prompt must be a caption of the picture world such as"):
        parse(prompt)


def test_unknown_words_ignore_case_and_punctuation() -> None:
    assert unknown_words("A Smiling WOMAN's face, with blond hair!") == []
    assert unknown_words("a purple zebra on Mars, at night?") == ["zebra", "mars"]


def test_the_vocabulary_is_small_and_sorted() -> None:
    words = vocabulary()
    assert list(words) == sorted(set(words))
    assert 70 <= len(words) <= 90
