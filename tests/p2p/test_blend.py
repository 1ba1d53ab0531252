import torch

from p2p.blend import blend_streams, word_mask
from p2p.prompts import tokenize
from p2p.streams import Blend, CompiledStream


def test_a_mask_is_where_the_spread_map_exceeds_k_of_its_maximum():
    word_map = torch.zeros(4, 4)
    word_map[0, 0], word_map[3, 3] = 2.0, 0.5
    mask = word_mask(word_map, 0.3, (8, 8))
    assert mask[:4, :4].all()
    assert not mask[4:, 4:].any()
    assert word_mask(word_map, 0.2, (8, 8))[4:, 4:].all()


def test_the_threshold_is_strict():
    word_map = torch.tensor([[1.0, 0.0, 0.0, 0.5]])
    assert not word_mask(word_map, 0.5, (1, 4))[0, 3]


def test_blending_keeps_the_parent_outside_the_union_of_both_masks(tokenizer):
    prompt = tokenize(tokenizer, "a cat")
    streams = [
        CompiledStream(prompt),
        CompiledStream(prompt, parent=0, blend=Blend(((True, 0), (False, 0)), (), k=0.3, start_step=2)),
    ]
    latents = torch.stack([torch.zeros(4, 8, 8), torch.ones(4, 8, 8)])
    maps = torch.zeros(2, 1, 8, 8)
    maps[0, 0, 0, 0], maps[1, 0, 7, 7] = 1, 1
    blended = blend_streams(latents, streams, list(maps), step=2)
    assert blended[1, 0].sum() == 8  # a 2 x 2 corner each: a point spread to its neighbours
    assert torch.equal(blend_streams(latents, streams, list(maps), step=1), latents)


def test_subtracted_words_take_their_unspread_mask_away(tokenizer):
    prompt = tokenize(tokenizer, "a cat")
    blend = Blend(maps=((False, 0),), subtracted=((True, 0),), k=0.3, start_step=0)
    streams = [CompiledStream(prompt), CompiledStream(prompt, parent=0, blend=blend)]
    latents = torch.stack([torch.zeros(4, 8, 8), torch.ones(4, 8, 8)])
    maps = torch.zeros(2, 1, 8, 8)
    maps[:, 0, 0, 0] = 1
    assert blend_streams(latents, streams, list(maps), step=0)[1, 0].sum() == 3
