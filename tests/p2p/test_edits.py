import pytest

from p2p.edits import Edit, LocalBlend, parse_window, reverse_edit
from p2p.prompts import tokenize


@pytest.fixture
def swap(tokenizer):
    return tokenize(tokenizer, "a cat on the grass"), tokenize(tokenizer, "a dog on the grass")


@pytest.fixture
def phrase(tokenizer):
    return tokenize(tokenizer, "a cat"), tokenize(tokenizer, "a cat with glasses")


@pytest.mark.parametrize(
    ("value", "window"), [(0, (0.0, 0.0)), (1, (0.0, 1.0)), (0.4, (0.0, 0.4)), ([0.1, 0.5], (0.1, 0.5))]
)
def test_windows_take_numbers_and_pairs(value, window):
    assert parse_window("edit.self_replace_steps", value) == window


@pytest.mark.parametrize("value", [1.5, -0.1, 40, [0.5, 0.1], [0.1], True, "all", None])
def test_windows_refuse_what_is_no_fraction(value):
    with pytest.raises(ValueError, match="edit.self_replace_steps"):
        parse_window("edit.self_replace_steps", value)


@pytest.mark.parametrize("k", [1.0, -0.1, "soft", True])
def test_k_outside_its_range_is_refused(k):
    with pytest.raises(ValueError, match=r"edit\.k"):
        Edit(k=k)


def test_an_unknown_key_is_refused_with_the_nearest(phrase):
    with pytest.raises(ValueError, match="did you mean edit.cross_replace_steps"):
        Edit.from_mapping({"cross_replace_step": 0.4})
    with pytest.raises(ValueError, match=r"edit\.v_inject\.layer"):
        Edit.from_mapping({"v_inject": {"layer": "self"}})


def test_auto_chooses_the_kind_by_the_prompts(swap, phrase):
    assert Edit().resolve(*swap).kind == "swap"
    assert Edit().resolve(*phrase).kind == "refine"
    weighted = Edit(equalizer={"cat": 2.0}, k=None)
    assert weighted.resolve(swap[0], swap[0]).kind == "reweight"


def test_blend_words_default_to_the_words_that_differ(swap, phrase):
    blend = Edit().resolve(*swap).local_blend
    assert (blend.source_words, blend.target_words) == (("cat",), ("dog",))
    assert Edit().resolve(*phrase).local_blend.source_words == ()


def test_k_without_any_blend_word_is_refused(swap):
    with pytest.raises(ValueError, match="needs a blend word"):
        Edit(equalizer={"cat": 2}).resolve(swap[0], swap[0])


def test_words_that_are_not_in_the_prompt_are_refused(swap):
    with pytest.raises(ValueError, match=r"source_words: the word 'dog'"):
        Edit(local_blend=LocalBlend(source_words=("dog",), target_words=("dog",))).resolve(*swap)
    with pytest.raises(ValueError, match=r"edit\.equalizer: the word 'cat'"):
        Edit(equalizer={"cat": 2}).resolve(*swap)
    with pytest.raises(ValueError, match=r"edit\.cross_replace_steps: the word 'cat'"):
        Edit(cross_replace_steps={"default_": 0.8, "cat": 0.4}).resolve(*swap)


def test_a_reweighting_without_scales_is_refused(swap):
    with pytest.raises(ValueError, match="changes nothing"):
        Edit(k=None).resolve(swap[0], swap[0])


def test_one_spelling_of_what_draws_the_same_pixels(swap):
    a = Edit(cross_replace_steps=0, v_inject_steps=[0.3, 0.3]).resolve(*swap)
    b = Edit(cross_replace_steps=[0.0, 0.0]).resolve(*swap)
    assert a.canonical() == b.canonical()
    assert "v_inject" not in a.canonical()


def test_blend_settings_drop_out_without_k(swap):
    a = Edit(k=None, local_blend=LocalBlend(start_blend=0.5)).resolve(*swap)
    assert a.canonical() == Edit(k=None).resolve(*swap).canonical()


def test_the_reverse_changes_sides_and_keeps_windows(swap):
    edit = Edit(cross_replace_steps={"default_": 0.8, "dog": 0.4}).resolve(*swap)
    back = reverse_edit(edit, *swap)
    assert back.local_blend.source_words == ("dog",)
    assert back.local_blend.target_words == ("cat",)
    assert back.cross_replace_steps == {"default_": (0.0, 0.8), "cat": (0.0, 0.4)}
    assert back.self_replace_steps == edit.self_replace_steps
    assert reverse_edit(back, *reversed(swap)) == edit


def test_a_reweighting_has_no_reverse(swap):
    edit = Edit(equalizer={"cat": 2}, k=None).resolve(swap[0], swap[0])
    assert reverse_edit(edit, swap[0], swap[0]) is None
