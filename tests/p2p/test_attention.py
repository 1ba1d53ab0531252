import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from p2p.attention import attention_control
from p2p.edits import Edit, VInject
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream

HEIGHT, WIDTH = 24 * 4, 18 * 4  # latents of 24 x 18: 432, 108, 30 and 9 pixels; 77 tokens; heads 8 and 16 wide


class NoMaps(TorchDispatchMode):
    """Fails on any tensor of pixels x pixels or pixels x tokens."""

    pixels = (432, 108, 30)

    def __init__(self):
        super().__init__()
        self.fused = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.fused += "flash_attention" in func.__name__
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                sides = list(tensor.shape)
                large = [side for side in sides if side in self.pixels]
                is_map = len(large) > 1 or (large and 77 in sides)
                assert not is_map, f"{func} built {tuple(sides)}"
        return out


def test_no_attention_map_is_built_in_any_layer(models, tokenizer):
    source, target = tokenize(tokenizer, "a cat on the grass"), tokenize(tokenizer, "a chimpanzee on the grass")
    edits = [
        Edit(k=0.3, cross_replace_steps={"default_": 1, "chimpanzee": 0.5}, self_replace_steps=0.5),
        Edit(k=0.3, equalizer={"grass": 2}, v_inject_steps=1, v_inject=VInject("both", "all")),
    ]
    streams = [Stream(source), *(Stream(target, 0, edit.resolve(source, target)) for edit in edits)]
    streams.append(Stream(source, 1, Edit(k=0.3).resolve(target, source)))
    embeds, negative = embed_streams(models, [stream.prompt for stream in streams], "")
    latents = prepare_latents(models, 0, HEIGHT, WIDTH)
    scheduler = make_scheduler(models, "ddim", 2)
    with NoMaps() as watched:
        denoise(models, scheduler, plan_streams(streams, 2), embeds, negative, latents, 5.0, 2)
    assert watched.fused > 100


def test_the_watch_sees_maps_where_they_are_built(models):
    latents = prepare_latents(models, 0, HEIGHT, WIDTH).flatten(2)
    with pytest.raises(AssertionError, match="built"), NoMaps():
        torch.softmax(latents.transpose(1, 2) @ latents, -1)


def test_without_a_control_the_layers_do_what_they_did(models, tokenizer):
    embeds, _ = embed_streams(models, [tokenize(tokenizer, "a cat")], "")
    latents = prepare_latents(models, 0, 64, 64)
    with torch.no_grad():
        before = models.unet(latents, 500, encoder_hidden_states=embeds.states).sample
        with attention_control(models.unet):
            during = models.unet(latents, 500, encoder_hidden_states=embeds.states).sample
    assert torch.equal(before, during)


def test_layers_that_cannot_be_controlled_are_refused_and_left_alone(models):
    attn = models.unet.get_submodule("mid_block.attentions.0.transformer_blocks.0.attn1")
    before = dict(models.unet.attn_processors)
    attn.group_norm = torch.nn.GroupNorm(1, 32)
    try:
        with pytest.raises(ValueError, match="group_norm"), attention_control(models.unet):
            pass
    finally:
        attn.group_norm = None
    assert dict(models.unet.attn_processors) == before
