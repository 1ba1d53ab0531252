import pytest

from metrics.attributes import Ask, attribute_kept, attribute_success, read_ask
from metrics.registry import Null

FACE = {"gender": "woman", "hair": "blond", "mood": "neutral", "glasses": "none", "hat": "none"}


def ask(source: str, target: str) -> Ask:
    found = read_ask(source, target)
    assert isinstance(found, Ask)
    return found


def test_a_swap_asks_for_the_changed_factor():
    found = ask("a woman's face with blond hair", "a woman's face with red hair")
    assert (found.category, found.wanted, found.free) == ("faces", {"hair": "red"}, frozenset())


def test_what_a_prompt_leaves_unsaid_has_its_default():
    assert ask("a man's face with brown hair", "a man's face with brown hair and glasses").wanted == {
        "glasses": "glasses"
    }
    assert ask("a man's face with brown hair and glasses", "a man's face with brown hair").wanted == {"glasses": "none"}


def test_a_factor_that_the_target_leaves_open_is_neither_asked_nor_to_be_kept():
    found = ask("a red car in the city", "a car in the city")
    assert (found.wanted, found.free) == ({}, {"color"})
    picture = {"vehicle": "car", "color": "red", "place": "city", "time": "day"}
    assert attribute_kept(found, picture, {**picture, "color": "blue"}) == 1
    assert attribute_success(found, "swap", picture) is Null.SAME_ATTRIBUTES


def test_success_is_the_share_of_asked_values():
    found = ask("a woman's face with blond hair", "a man's face with red hair")
    assert attribute_success(found, "swap", {**FACE, "gender": "man", "hair": "red"}) == 1
    assert attribute_success(found, "swap", {**FACE, "gender": "man"}) == 0.5
    assert attribute_success(found, "swap", FACE) == 0


def test_kept_is_the_share_of_the_other_factors():
    found = ask("a woman's face with blond hair", "a woman's face with red hair")
    assert attribute_kept(found, FACE, {**FACE, "hair": "red"}) == 1
    assert attribute_kept(found, FACE, {**FACE, "hair": "gray", "hat": "red"}) == 0.75


def test_reweighting_has_no_success_but_keeps_everything():
    prompt = "a woman's face with red hair"
    assert attribute_success(ask(prompt, prompt), "reweight", FACE) is Null.REWEIGHT
    assert attribute_kept(ask(prompt, prompt), FACE, {**FACE, "hair": "red"}) == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("source", "target", "reason"),
    [
        ("a red car in the city", "a zebra in the city", Null.NOT_IN_GRAMMAR),
        ("a red car in the city", "a cat on the grass", Null.OTHER_CATEGORY),
    ],
)
def test_prompts_that_cannot_be_compared_have_a_reason(source, target, reason):
    assert read_ask(source, target) is reason
