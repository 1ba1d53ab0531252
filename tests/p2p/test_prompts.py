import pytest

from p2p.prompts import differing_words, tokenize


def test_word_tokens_cover_all_tokens_between_begin_and_end(tokenizer):
    prompt = tokenize(tokenizer, "a photo of a chimpanzee on the grass")
    covered = [t for tokens in prompt.word_tokens for t in tokens]
    assert covered == list(range(1, len(prompt.token_ids) - 1))


def test_a_word_of_several_tokens_has_them_all(tokenizer):
    prompt = tokenize(tokenizer, "a chimpanzee here")
    tokens = prompt.tokens_of("chimpanzee", "test")
    assert len(tokens) > 1
    assert tokenizer.decode([prompt.token_ids[t] for t in tokens]).strip() == "chimpanzee"


def test_every_occurrence_of_a_repeated_word_is_found(tokenizer):
    prompt = tokenize(tokenizer, "a cat and a dog")
    assert len(prompt.tokens_of("a", "test")) == 2


@pytest.mark.parametrize("word", ["Face", "face,", "FACE"])
def test_case_and_punctuation_do_not_hide_a_word(tokenizer, word):
    prompt = tokenize(tokenizer, "a woman's face, with hair")
    assert prompt.tokens_of(word, "test")


def test_a_phrase_is_found_as_consecutive_words(tokenizer):
    prompt = tokenize(tokenizer, "a burger on a wooden board")
    assert prompt.tokens_of("wooden board", "test") == [
        *prompt.tokens_of("wooden", "test"),
        *prompt.tokens_of("board", "test"),
    ]
    with pytest.raises(ValueError, match="not in the prompt"):
        prompt.tokens_of("board wooden", "test")


def test_a_missing_word_is_refused_naming_prompt_setting_and_nearest_word(tokenizer):
    prompt = tokenize(tokenizer, "a woman's face with blond hair")
    with pytest.raises(ValueError, match=r"edit\.equalizer: the word 'blonde' is not in .* did you mean 'blond'"):
        prompt.tokens_of("blonde", "edit.equalizer")


def test_a_prompt_over_the_limit_is_refused_with_the_count(tokenizer):
    with pytest.raises(ValueError, match="at most 77"):
        tokenize(tokenizer, "cat " * 100)


def test_the_empty_prompt_has_no_words(tokenizer):
    prompt = tokenize(tokenizer, "")
    assert prompt.words == ()
    assert len(prompt.token_ids) == 2


def test_differing_words_of_a_swap_are_those_at_the_same_place(tokenizer):
    source, target = tokenize(tokenizer, "a red cat on grass"), tokenize(tokenizer, "a blue dog on grass")
    assert differing_words(source, target) == (("red", "cat"), ("blue", "dog"))


def test_differing_words_of_a_refinement_are_the_added_ones(tokenizer):
    source, target = tokenize(tokenizer, "a castle"), tokenize(tokenizer, "a drawing of a castle")
    assert differing_words(source, target) == ((), ("drawing", "of"))
