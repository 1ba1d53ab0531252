import pytest
import torch

from p2p.alignment import refinement_mapper, replacement_mapper, unchanged_tokens
from p2p.prompts import tokenize


def test_equal_prompts_map_every_token_to_itself(tokenizer):
    prompt = tokenize(tokenizer, "a cat on the grass")
    assert torch.equal(replacement_mapper(prompt, prompt), torch.eye(77, dtype=torch.float64))
    mapper, alphas = refinement_mapper(prompt, prompt)
    assert torch.equal(mapper, torch.arange(77))
    assert bool(alphas.all())


def test_one_token_to_several_spreads_evenly_and_later_tokens_keep_their_place(tokenizer):
    source, target = tokenize(tokenizer, "a cat here"), tokenize(tokenizer, "a chimpanzee here")
    mapper = replacement_mapper(source, target)
    (cat,) = source.tokens_of("cat", "test")
    parts = target.tokens_of("chimpanzee", "test")
    assert torch.allclose(mapper[cat, parts], torch.full((len(parts),), 1 / len(parts), dtype=torch.float64))
    after = parts[-1] + 1
    assert mapper[after, after] == 1
    assert mapper[cat + 1 : after].sum() == 0


def test_several_tokens_to_one_put_one_in_each_source_row(tokenizer):
    source, target = tokenize(tokenizer, "a chimpanzee here"), tokenize(tokenizer, "a cat here")
    mapper = replacement_mapper(source, target)
    (cat,) = target.tokens_of("cat", "test")
    parts = source.tokens_of("chimpanzee", "test")
    assert mapper[parts, cat].tolist() == [1.0] * len(parts)
    assert mapper[:, cat].sum() == len(parts)


def test_a_swap_of_prompts_with_different_word_counts_is_refused(tokenizer):
    with pytest.raises(ValueError, match="use edit.kind=refine"):
        replacement_mapper(tokenize(tokenizer, "a cat"), tokenize(tokenizer, "a big cat"))


def test_a_refinement_finds_the_source_of_every_old_token(tokenizer):
    source, target = tokenize(tokenizer, "a cat on grass"), tokenize(tokenizer, "a cat on green grass")
    mapper, alphas = refinement_mapper(source, target)
    for word in ("cat", "on", "grass"):
        assert mapper[target.tokens_of(word, "test")].tolist() == source.tokens_of(word, "test")
    new = target.tokens_of("green", "test")
    assert mapper[new].tolist() == [-1] * len(new)
    assert alphas[new].sum() == 0
    end = len(target.token_ids)
    assert torch.equal(mapper[end:], torch.arange(end, 77))


def test_unchanged_tokens_leave_out_swapped_words(tokenizer):
    source, target = tokenize(tokenizer, "a red cat on grass"), tokenize(tokenizer, "a red chimpanzee on grass")
    mapper = unchanged_tokens(source, target)
    assert set(mapper[target.tokens_of("chimpanzee", "test")].tolist()) == {-1}
    assert mapper[target.tokens_of("grass", "test")].tolist() == source.tokens_of("grass", "test")
    assert mapper[0] == 0
