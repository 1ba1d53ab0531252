"""Prompt pairs: which a model draws, and the words that a swept scale is for."""

from pathlib import Path

import pytest
import yaml

from p2p.prompts import tokenize
from p2p.world.captions import parse
from sweeps.pairs import Pair, choose_pair, load_pairs, match_pairs

CATEGORIES = Path(__file__).parents[2] / "conf/category"
WORLD = ("animals", "faces", "food", "interiors", "transportation")
PAIRS = [
    Pair("cat_to_dog", "a cat", "a dog"),
    Pair("zebra", "a zebra", "a horse", models="sd"),
    Pair("more_cat", "a cat", "a cat", equalizer={"cat": 2.0}),
]


def pairs_of(category: str) -> list[Pair]:
    return load_pairs(yaml.safe_load((CATEGORIES / f"{category}.yaml").read_text()))


@pytest.mark.parametrize("category", WORLD)
def test_a_category_has_twenty_five_pairs_of_every_kind_and_the_world_draws_its_share(category):
    pairs = pairs_of(category)
    own = [pair for pair in pairs if pair.models == "all"]
    assert len(pairs) >= 25
    assert len(own) >= 12
    for kind, least in (("swap", 4), ("refine", 2), ("reweight", 4)):
        assert sum(pair.kind == kind for pair in own) >= least
        assert sum(pair.kind == kind for pair in pairs) > sum(pair.kind == kind for pair in own) or kind == "reweight"
    for pair in own:
        assert {parse(pair.source).category, parse(pair.target).category} == {category}


@pytest.mark.parametrize("category", WORLD)
def test_pairs_marked_for_stable_diffusion_are_those_that_the_world_cannot_draw(category):
    def is_drawn(prompt):
        try:
            return parse(prompt).category == category
        except ValueError:
            return False

    for pair in pairs_of(category):
        assert (is_drawn(pair.source) and is_drawn(pair.target)) == (pair.models == "all"), pair.name


def test_landscapes_are_for_stable_diffusion_alone():
    assert {pair.models for pair in pairs_of("sd/landscapes")} == {"sd"}
    assert {pair.kind for pair in pairs_of("sd/landscapes")} == {"swap", "refine", "reweight"}


def test_a_pair_is_chosen_by_index_or_name():
    assert choose_pair("animals", PAIRS, 2).name == choose_pair("animals", PAIRS, "more_cat").name == "more_cat"
    assert choose_pair("animals", PAIRS, 2, is_world=True).name == "more_cat"
    assert choose_pair("animals", PAIRS, "zebra").name == "zebra"


@pytest.mark.parametrize("choice", [1, "zebra"])
def test_a_pair_for_stable_diffusion_is_refused_on_the_world(choice):
    message = f"pair={choice}: zebra is for Stable Diffusion .* draws cat_to_dog, more_cat; pair='glob"
    with pytest.raises(ValueError, match=message):
        choose_pair("animals", PAIRS, choice, is_world=True)


@pytest.mark.parametrize("choice", [3, -1, True, "more_dog"])
def test_an_unknown_pair_is_refused_with_those_that_there_are(choice):
    with pytest.raises(ValueError, match="animals has pairs 0 to 2; this model draws cat_to_dog, zebra, more_cat"):
        choose_pair("animals", PAIRS, choice)


def test_a_glob_takes_what_the_model_draws():
    assert match_pairs("animals", PAIRS, "glob(*)") == ["cat_to_dog", "zebra", "more_cat"]
    assert match_pairs("animals", PAIRS, "glob(*)", is_world=True) == ["cat_to_dog", "more_cat"]
    assert match_pairs("animals", PAIRS, "glob([more_*,zebra])") == ["zebra", "more_cat"]
    assert match_pairs("animals", PAIRS, "glob(*,exclude=more_*)", is_world=True) == ["cat_to_dog"]
    with pytest.raises(ValueError, match="no such pair; of animals this model draws cat_to_dog, more_cat"):
        match_pairs("animals", PAIRS, "glob(zebra)", is_world=True)


def test_a_mark_is_checked():
    pair = {"name": "a", "source": "a cat", "target": "a dog", "models": "sd14"}
    with pytest.raises(ValueError, match="pair 0: models must be one of all, sd, got 'sd14'"):
        load_pairs({"name": "mine", "pairs": [pair]})


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        (Pair("a", "a red car", "a red car", target_words=("car",), equalizer={"red": 2.0}), ("red",)),
        (Pair("a", "a red car", "a blue car", target_words=("blue", "car")), ("blue",)),
        (Pair("a", "a cat", "a cat and a red hat", target_words=("red hat",)), ("red hat",)),
        (Pair("a", "a red car", "a blue bus"), ("blue", "bus")),
        (Pair("a", "a red car", "a red car"), ()),
        (Pair("a", "a man with a hat", "a man"), ()),
    ],
)
def test_the_words_that_a_scale_is_for(tokenizer, pair, words):
    assert pair.scaled_words(tokenize(tokenizer, pair.source), tokenize(tokenizer, pair.target)) == words
