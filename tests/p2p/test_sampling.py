import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.models.attention import BasicTransformerBlock

from p2p.edits import Edit, LocalBlend, VInject
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import decode_latents, denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream
from tests.p2p.oracle import denoise_with_maps

STEPS = 4
GUIDANCE = 5.0


def draw(models, streams, batch_size=3, guidance=GUIDANCE, scheduler="ddim"):
    embeds, negative = embed_streams(models, [stream.prompt for stream in streams], "")
    stepper = make_scheduler(models, scheduler, STEPS)
    latents = prepare_latents(models, 7, 64, 64)
    return denoise(models, stepper, plan_streams(streams, STEPS), embeds, negative, latents, guidance, batch_size)


def draw_with_maps(models, streams, scheduler="ddim"):
    embeds, negative = (e.states for e in embed_streams(models, [stream.prompt for stream in streams], ""))
    stepper = make_scheduler(models, scheduler, STEPS)
    return denoise_with_maps(models, stepper, streams, embeds, negative, prepare_latents(models, 7, 64, 64), GUIDANCE)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    texts = ("a red cat on the grass", "a blue chimpanzee on the grass", "a red cat on the grass with a hat")
    return [tokenize(tokenizer, text) for text in texts]


EDITS = {
    "swap": ("swap", Edit(k=None, cross_replace_steps=0.5, self_replace_steps=0.5)),
    "swap with blend": ("swap", Edit(k=0.4, cross_replace_steps=1, self_replace_steps=0.25)),
    "swap with late blend of one side": (
        "swap",
        Edit(k=0.5, local_blend=LocalBlend(source_words=(), target_words=("chimpanzee",), start_blend=0.5)),
    ),
    "swap with blend and subtracted words": (
        "swap",
        Edit(k=0.3, local_blend=LocalBlend(source_subtract_words=("grass",), target_subtract_words=("on", "the"))),
    ),
    "swap with scales": ("swap", Edit(k=None, cross_replace_steps=0.8, equalizer={"blue": -2.0, "grass": 3.0})),
    "refinement": ("refine", Edit(k=0.2, cross_replace_steps=0.8, self_replace_steps=[0.25, 0.75])),
    "refinement with scales": ("refine", Edit(k=None, cross_replace_steps=0.8, equalizer={"hat": 2.0, "cat": 0.0})),
    "re-weighting": ("reweight", Edit(k=None, cross_replace_steps=1, equalizer={"cat": 2.0})),
    "per-word windows": ("swap", Edit(k=0.3, cross_replace_steps={"default_": 0.8, "chimpanzee": [0.0, 0.4]})),
    "small self-attention only": ("swap", Edit(k=None, self_replace_steps=1, self_replace_max_pixels=16)),
    "V-injection in cross-attention": ("swap", Edit(k=None, v_inject_steps=1, v_inject=VInject("cross", "all", 0.5))),
    "V-injection of a refinement in both": ("refine", Edit(k=None, v_inject_steps=0.5, v_inject=VInject("both"))),
    "V-injection": ("swap", Edit(k=0.3, v_inject_steps=[0.25, 1], v_inject=VInject(layers="self", weight=0.7))),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_equals_the_one_that_builds_all_maps(models, prompts, name):
    kind, edit = EDITS[name]
    source, target = prompts[0], {"swap": prompts[1], "refine": prompts[2], "reweight": prompts[0]}[kind]
    streams = [Stream(source), Stream(target, 0, edit.resolve(source, target))]
    latents = draw(models, streams).latents
    torch.testing.assert_close(latents, draw_with_maps(models, streams), rtol=0, atol=1e-9)
    assert float((latents[1] - draw(models, [Stream(target)]).latents[0]).abs().max()) > 1e-3


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "dpm++"])
def test_a_tree_of_chains_equals_the_one_that_builds_all_maps(models, prompts, scheduler):
    """One source with two targets; from the first a dialogue of two more turns, each with its own edit."""
    source, swapped, phrase = prompts
    plain_again = Edit(k=None, self_replace_steps=0.5, equalizer={"red": 2.0}, v_inject_steps=0.5)
    streams = [
        Stream(source),
        Stream(swapped, 0, EDITS["swap with blend"][1].resolve(source, swapped)),
        Stream(phrase, 0, EDITS["refinement"][1].resolve(source, phrase)),
        Stream(source, 1, EDITS["V-injection"][1].resolve(swapped, source)),
        Stream(source, 3, plain_again.resolve(source, source)),
    ]
    latents = draw(models, streams, scheduler=scheduler).latents
    scale = float(latents.std())
    torch.testing.assert_close(latents, draw_with_maps(models, streams, scheduler), rtol=0, atol=1e-9 * scale)


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_plain_streams_equal_diffusers(tiny_pipeline, models, prompts, guidance):
    pipeline = StableDiffusionPipeline.from_pretrained(tiny_pipeline, safety_checker=None).to(torch.float64)
    pipeline.set_progress_bar_config(disable=True)
    expected = pipeline(
        [prompts[0].text, prompts[1].text],
        num_inference_steps=STEPS,
        guidance_scale=guidance,
        latents=prepare_latents(models, 7, 64, 64).repeat(2, 1, 1, 1),
        output_type="latent",
    ).images
    edit = Edit(k=None, cross_replace_steps=0, self_replace_steps=0).resolve(*prompts[:2])
    drawn = draw(models, [Stream(prompts[0]), Stream(prompts[1], 0, edit)], guidance=guidance)
    torch.testing.assert_close(drawn.latents, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("batch_size", "guidance"), [(2, GUIDANCE), (3, GUIDANCE), (6, GUIDANCE), (3, 1.0)])
def test_a_picture_s_bits_do_not_depend_on_its_companions(tiny_pipeline, prompts, batch_size, guidance):
    from p2p.loading import load_models

    models = load_models(str(tiny_pipeline), dtype="float32", device="cpu")
    edits = [
        Edit(k=k, self_replace_steps=x, v_inject_steps=x).resolve(*prompts[:2]) for k in (None, 0.3) for x in (0, 1)
    ]
    refine = Edit(k=0.2).resolve(prompts[0], prompts[2])
    streams = [Stream(prompts[0]), *(Stream(prompts[1], 0, edit) for edit in edits), Stream(prompts[2], 0, refine)]
    together = draw(models, streams, batch_size, guidance).latents
    for i in range(1, len(streams)):
        alone = draw(models, [streams[0], streams[i]], batch_size, guidance).latents
        assert torch.equal(alone[0], together[0])
        assert torch.equal(alone[1], together[i])


def test_a_chain_of_equal_windows_returns_the_source(models, tokenizer):
    """source -> target -> source with words of as many tokens is the source again (DESIGN.md's identity)."""
    source, target = tokenize(tokenizer, "a cat on grass"), tokenize(tokenizer, "a dog on grass")
    assert len(source.token_ids) == len(target.token_ids)
    there = Edit(k=0.3, cross_replace_steps=1, self_replace_steps=1).resolve(source, target)
    back = Edit(k=0.3, cross_replace_steps=1, self_replace_steps=1).resolve(target, source)
    drawn = draw(models, [Stream(source), Stream(target, 0, there), Stream(source, 1, back)]).latents
    torch.testing.assert_close(drawn[2], drawn[0], rtol=0, atol=1e-9)
    assert float((drawn[1] - drawn[0]).abs().max()) > 1e-3


def test_edits_share_predictions_while_their_local_blend_leaves_latents_equal(models, prompts):
    """k=0 blends nothing and is one with no blend to the end; a first blend acts after its step's prediction."""
    ks, start = (None, 0.0, 0.9), 2 / STEPS
    edits = [
        Edit(k=k, self_replace_steps=0.5, local_blend=LocalBlend(start_blend=start)).resolve(*prompts[:2]) for k in ks
    ]
    streams = [Stream(prompts[0]), *(Stream(prompts[1], 0, edit) for edit in edits)]
    counted = []
    register = models.unet.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    try:
        shared = draw(models, streams, batch_size=1)
    finally:
        register.remove()
    assert sum(counted) == shared.unet_samples == 2 * (STEPS + 3 + 2 * (STEPS - 3))
    embeds, negative = embed_streams(models, [stream.prompt for stream in streams], "")
    plan = plan_streams(streams, STEPS, merge_edits=False)
    stepper, latents = make_scheduler(models, "ddim", STEPS), prepare_latents(models, 7, 64, 64)
    alone = denoise(models, stepper, plan, embeds, negative, latents, GUIDANCE, 1)
    assert alone.unet_samples == 2 * 4 * STEPS
    assert torch.equal(shared.latents, alone.latents)
    assert torch.equal(shared.latents[1], shared.latents[2])
    assert not torch.equal(shared.latents[1], shared.latents[3])
    for some, other in zip(shared.word_maps, alone.word_maps, strict=True):
        assert torch.equal(some, other)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_shared_predictions_are_those_of_every_stream_alone(models, tokenizer, prompts, scheduler):
    """Equal latents below two parents, and parents with equal latents, of which one blends."""
    plain, blended = (Edit(k=k, cross_replace_steps=0, self_replace_steps=0) for k in (None, 0.0))
    held = Edit(k=None, self_replace_steps=0.5)
    below = [held.resolve(prompts[1], prompts[0])] * 2
    other = tokenize(tokenizer, "a red dog on the grass")
    parts = [Stream(prompts[0]), Stream(other)]
    parts += [Stream(prompts[1], 0, edit.resolve(*prompts[:2])) for edit in (plain, blended)]
    parts += [Stream(prompts[0], parent, edit) for parent, edit in zip((2, 3), below, strict=True)]
    parts += [Stream(prompts[1], parent, held.resolve(parts[parent].prompt, prompts[1])) for parent in (0, 1)]
    embeds, negative = embed_streams(models, [stream.prompt for stream in parts], "")
    noise, found = prepare_latents(models, 7, 64, 64), []
    for merge_edits in (True, False):
        plan, stepper = plan_streams(parts, STEPS, merge_edits=merge_edits), make_scheduler(models, scheduler, STEPS)
        found.append(denoise(models, stepper, plan, embeds, negative, noise, GUIDANCE, 1))
    assert torch.equal(found[0].latents, found[1].latents)
    assert torch.equal(found[0].latents[2], found[0].latents[3])
    assert not torch.equal(found[0].latents[6], found[0].latents[7])


def test_every_node_costs_two_samples_a_step_under_guidance(models, prompts):
    edit, later = (Edit(self_replace_steps=window).resolve(*prompts[:2]) for window in (0, [0.25, 0.5]))
    streams = [Stream(prompts[0]), Stream(prompts[1], 0, edit), Stream(prompts[1], 0, later)]
    latents = 2 + 3 * (STEPS - 1)  # the edits part at the second step
    counted = []
    register = models.unet.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    try:
        assert draw(models, streams, batch_size=1).unet_samples == 2 * latents
        assert sum(counted) == 2 * latents
        counted.clear()
        assert draw(models, streams, batch_size=3).unet_samples == 2 * latents
        assert sum(counted) == (1 + 4) * STEPS * 2  # padded to four
        assert draw(models, streams, guidance=1.0).unet_samples == latents
    finally:
        register.remove()


@pytest.mark.parametrize("failure", [RuntimeError, KeyboardInterrupt])
def test_processors_are_restored_after_an_exception(models, prompts, failure):
    before = dict(models.unet.attn_processors)

    def stop(step):
        raise failure

    embeds, negative = embed_streams(models, [prompts[0]], "")
    scheduler = make_scheduler(models, "ddim", STEPS)
    plan = plan_streams([Stream(prompts[0])], STEPS)
    with pytest.raises(failure):
        denoise(models, scheduler, plan, embeds, negative, prepare_latents(models, 7, 64, 64), 5.0, 1, stop)
    assert dict(models.unet.attn_processors) == before


def test_v_injection_in_cross_attention_changes_the_edit(models, prompts):
    plain = Edit(k=None).resolve(*prompts[:2])
    pictures = []
    for inject in (VInject("cross", "aligned"), VInject("cross", "all"), VInject("both", "all")):
        edit = Edit(k=None, v_inject_steps=1, v_inject=inject).resolve(*prompts[:2])
        pictures.append(draw(models, [Stream(prompts[0]), Stream(prompts[1], 0, edit)]).latents[1])
    pictures.append(draw(models, [Stream(prompts[0]), Stream(prompts[1], 0, plain)]).latents[1])
    for i, a in enumerate(pictures):
        for b in pictures[:i]:
            assert float((a - b).abs().max()) > 1e-4


def test_a_scale_of_one_with_all_values_injected_changes_nothing(models, prompts):
    edit = Edit(k=None, v_inject_steps=1, v_inject=VInject("both", "all"), equalizer={"cat": 1.0})
    edit = edit.resolve(prompts[0], prompts[0])
    drawn = draw(models, [Stream(prompts[0]), Stream(prompts[0], 0, edit)]).latents
    torch.testing.assert_close(drawn[1], drawn[0], rtol=0, atol=1e-9)


def test_noise_is_the_same_for_a_seed_and_differs_between_seeds(models):
    a, b, c = (prepare_latents(models, seed, 64, 32) for seed in (1, 1, 2))
    assert a.shape == (1, 4, 16, 8)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    expected = torch.randn(1, 4, 16, 8, generator=torch.Generator().manual_seed(1))
    assert torch.equal(a, expected.double())


def test_decoded_pictures_are_8_bits(models):
    pictures = decode_latents(models, prepare_latents(models, 0, 64, 64))
    assert pictures.shape == (1, 3, 64, 64)
    assert pictures.dtype == torch.uint8


def test_a_decoded_picture_s_bits_do_not_depend_on_the_others(tiny_pipeline):
    from p2p.loading import load_models

    models = load_models(str(tiny_pipeline), dtype="float32", device="cpu")
    latents = torch.cat([prepare_latents(models, seed, 64, 64) for seed in range(6)])
    together = decode_latents(models, latents)
    assert torch.equal(together.flip(0), decode_latents(models, latents.flip(0)))
    for picture, alone in zip(together, latents, strict=True):
        assert torch.equal(picture, decode_latents(models, alone[None])[0])


@pytest.mark.parametrize(("side", "blocks"), [(64, [4, 4]), (256, [4, 4]), (264, [1] * 5)])
def test_pictures_are_decoded_in_blocks_of_bounded_size(models, monkeypatch, side, blocks):
    decode, seen = models.vae.decode, []
    monkeypatch.setattr(models.vae, "decode", lambda block: seen.append(len(block)) or decode(block))
    latents = torch.cat([prepare_latents(models, seed, side, side) for seed in range(5)])
    decode_latents(models, latents)
    assert seen == blocks
    seen.clear()
    pictures = decode_latents(models, latents[[0, 1, 0, 0, 1]])
    assert sum(seen) == max(blocks[0], 2), "equal latents are decoded once"
    assert torch.equal(pictures[[0, 1]], pictures[[2, 4]])


def test_an_unknown_scheduler_is_refused(models):
    with pytest.raises(ValueError, match="must be one of ddim, euler"):
        make_scheduler(models, "plms", 10)


def test_watched_words_share_each_pixel_s_attention(models, prompts):
    """Maps of all words, begin and end together sum to one a pixel, layer, head and step."""
    edit = Edit(k=0.3).resolve(*prompts[:2])
    streams = [Stream(prompts[0]), Stream(prompts[1], 0, edit)]
    plan = plan_streams(streams, STEPS, watch_words=True)
    embeds, negative = embed_streams(models, prompts[:2], "")
    scheduler = make_scheduler(models, "ddim", STEPS)
    noise = prepare_latents(models, 7, 64, 64)
    watched = denoise(models, scheduler, plan, embeds, negative, noise, GUIDANCE, 2)
    assert torch.equal(watched.latents, draw(models, streams, batch_size=2).latents)
    for stream, maps in zip(watched.streams, watched.word_maps, strict=True):
        words = maps[list(stream.words)]
        assert words.shape == (len(stream.prompt.words), 4, 4)
        layers_heads_steps = 5 * 2 * STEPS  # two layers down and three up at 4 x 4, two heads each
        assert (words > 0).all()
        assert (words.sum(0) < layers_heads_steps).all()


def test_word_maps_are_summed_in_full_precision(tiny_pipeline, prompts):
    """A sum over fifty steps and many layers outgrows half precision."""
    from p2p.loading import load_models

    models = load_models(str(tiny_pipeline), dtype="bfloat16", device="cpu")
    edit = Edit(k=0.3).resolve(*prompts[:2])
    drawn = draw(models, [Stream(prompts[0]), Stream(prompts[1], 0, edit)])
    assert drawn.latents.dtype == torch.bfloat16
    assert {maps.dtype for maps in drawn.word_maps} == {torch.float32}


@pytest.mark.parametrize(("guidance", "rows"), [(GUIDANCE, 2), (1.0, 1)])
def test_feed_forward_layers_take_a_latents_rows_at_a_time(models, prompts, guidance, rows):
    """A CPU's cache holds what they widen; afterwards the UNet is as it was."""
    streams = [Stream(prompts[0]), Stream(prompts[1]), Stream(prompts[1], parent=0, edit=Edit(k=None))]
    blocks = [part for part in models.unet.modules() if isinstance(part, BasicTransformerBlock)]
    seen = []
    hooks = [block.ff.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0]))) for block in blocks]
    try:
        embeds, _ = embed_streams(models, [prompts[0]] * 3, "")
        latents = draw(models, streams, 4, guidance).latents
        assert set(seen) == {rows}
        seen.clear()
        models.unet(latents, 0, embeds.states)
        assert set(seen) == {3}
    finally:
        for hook in hooks:
            hook.remove()
