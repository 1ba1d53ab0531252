import pytest
import torch

from p2p.edits import Edit
from p2p.prompts import tokenize
from p2p.streams import Stream, compile_streams, compose, cross_replace_alpha, cross_transfers, step_window


@pytest.fixture
def swap(tokenizer):
    return tokenize(tokenizer, "a red cat here"), tokenize(tokenizer, "a red chimpanzee here")


def test_windows_end_where_the_reference_rounds_them(swap):
    alpha = cross_replace_alpha(swap[1], (0.0, 0.8), 10)
    assert alpha[:, 1].tolist() == [1.0] * 8 + [0.0] * 3
    assert step_window((0.1, 0.5), 10) == range(1, 5)
    assert step_window((0.0, 0.29), 10) == range(2)


def test_a_word_of_its_own_window_leaves_the_default(swap):
    target = swap[1]
    alpha = cross_replace_alpha(target, {"default_": (0.0, 0.8), "chimpanzee": (0.0, 0.2)}, 10)
    tokens = target.tokens_of("chimpanzee", "test")
    assert alpha[:, tokens].sum(0).tolist() == [2.0] * len(tokens)
    assert alpha[:, 1].sum() == 8


def test_per_word_windows_without_default_take_the_whole_range(swap):
    alpha = cross_replace_alpha(swap[1], {"red": (0.0, 0.5)}, 10)
    assert alpha[:, 1].sum() == 11


@pytest.mark.parametrize("scale", [-2.0, 0.0, 1.0, 2.5])
def test_transfers_equal_the_published_formula_on_random_maps(tokenizer, scale):
    source = tokenize(tokenizer, "a fluffy cat")
    target = tokenize(tokenizer, "a fluffy cat on grass")
    edit = Edit(cross_replace_steps={"default_": 0.6, "cat": 0.3}, equalizer={"fluffy": scale}).resolve(source, target)
    parent, own = torch.rand(2, 5, 77, dtype=torch.float64)
    mapper = [source.token_ids.index(t) if t in source.token_ids else -1 for t in target.token_ids]
    mapper += list(range(len(mapper), 77))
    for step, transfer in enumerate(cross_transfers(source, target, edit, 10)):
        expected = own.clone()
        for j, i in enumerate(mapper):
            window = 0.3 if j in target.tokens_of("cat", "t") else 0.6
            if step < int(window * 11):
                weight = scale if j in target.tokens_of("fluffy", "t") else 1.0
                expected[:, j] = weight * (parent[:, i] if i >= 0 else own[:, j])
        left, right = (m if isinstance(m, torch.Tensor) else m * torch.eye(77).double() for m in transfer)
        torch.testing.assert_close(parent @ left + own @ right, expected)


def test_outside_its_window_an_edit_is_plain(swap):
    edit = Edit(cross_replace_steps=0.5).resolve(*swap)
    assert cross_transfers(*swap, edit, 10)[9] == (0.0, 1.0)


def test_compose_knows_zero_and_identity():
    matrix = torch.rand(3, 3)
    assert compose(0.0, matrix) == 0.0
    assert compose(matrix, 0.0) == 0.0
    assert torch.equal(compose(1.0, matrix), matrix)
    assert torch.equal(compose(matrix, matrix), matrix @ matrix)


def test_streams_share_the_indicator_of_equal_blend_words(swap):
    edits = [Edit(k=k).resolve(*swap) for k in (0.1, 0.3, None)]
    compiled = compile_streams([Stream(swap[0]), *(Stream(swap[1], 0, e) for e in edits)], 10)
    assert [len(stream.indicators) for stream in compiled] == [1, 1, 1, 1]
    assert compiled[3].blend is None
    assert compile_streams([Stream(swap[0]), Stream(swap[1], 0, edits[2])], 10)[1].indicators is None


def test_an_edit_needs_a_parent(swap):
    with pytest.raises(ValueError, match="both a parent and an edit"):
        Stream(swap[1], edit=Edit())
