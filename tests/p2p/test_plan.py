import itertools

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2p.edits import Edit, LocalBlend, VInject
from p2p.loading import load_models
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream

STEPS = 6
FIFTHS = (0.0, 0.2, 0.4, 0.6, 0.8)


def edits_of(source, target, **axes):
    for values in itertools.product(*axes.values()):
        yield Edit(**dict(zip(axes, values, strict=True))).resolve(source, target)


@pytest.fixture(scope="module")
def prompts(tokenizer):
    texts = ("a red cat on the grass", "a blue chimpanzee on the grass", "a red cat on the grass with a hat")
    return [tokenize(tokenizer, text) for text in texts]


@pytest.mark.parametrize(
    ("axes", "cells", "most"),
    [
        ({"cross_replace_steps": FIFTHS, "self_replace_steps": FIFTHS, "k": (0.0, 0.3, 0.6)}, 75, 63),
        (
            {
                "cross_replace_steps": (*FIFTHS, 1.0),
                "self_replace_steps": (*FIFTHS, 1.0),
                "k": (0.0, 0.3, 0.6),
                "v_inject_steps": FIFTHS,
            },
            540,
            46,
        ),
    ],
)
def test_grids_cost_what_is_distinct(prompts, axes, cells, most):
    streams = [Stream(prompts[0]), *(Stream(prompts[1], 0, edit) for edit in edits_of(*prompts[:2], **axes))]
    assert len(streams) == cells + 1
    assert 2 * plan_streams(streams, 50).num_latents / cells <= most
    assert plan_streams(streams, 50, merge_edits=False).num_latents == 50 * len(streams)


def test_words_and_k_split_nothing_before_the_blend_starts(prompts):
    blends = [LocalBlend(target_words=(word,), start_blend=0.5) for word in ("blue", "chimpanzee")]
    edits = edits_of(*prompts[:2], k=(None, 0.0, 0.3), local_blend=blends)
    plan = plan_streams([Stream(prompts[0]), *(Stream(prompts[1], 0, edit) for edit in edits)], 10)
    nodes = {step: len(segment.nodes) for segment in plan.segments for step in segment.steps}
    assert [nodes[step] for step in range(10)] == [2] * 5 + [6] * 2 + [6] * 3


def test_edits_without_any_control_yet_are_one_whatever_their_parents(prompts):
    source, swapped, phrase = prompts
    late = {"cross_replace_steps": (0.5, 1.0), "self_replace_steps": (0.0, 0.0), "k": None}
    streams = [
        Stream(source),
        Stream(swapped),
        Stream(phrase, 0, Edit(**late).resolve(source, phrase)),
        Stream(phrase, 1, Edit(**late).resolve(swapped, phrase)),
    ]
    first, *_, last = plan_streams(streams, 10).segments
    assert (len(first.nodes), len(last.nodes)) == (3, 4)
    assert first.nodes[2].parent is None
    assert [node.parent for node in last.nodes] == [None, None, 0, 1]


def test_streams_of_other_starts_share_nothing(prompts):
    plan = plan_streams([Stream(prompts[0])] * 3, 4, starts=[0, 1, 1])
    assert [len(segment.nodes) for segment in plan.segments] == [2]
    assert plan.segments[0].node_of == (0, 1, 1)


def test_a_parent_must_come_before_its_child(prompts):
    edit = Edit().resolve(*prompts[:2])
    with pytest.raises(ValueError, match="parents come before"):
        plan_streams([Stream(prompts[1], 1, edit), Stream(prompts[0])], 10)


def draw(models, streams, scheduler="ddim", merge_edits=True):
    embeds, negative = embed_streams(models, [stream.prompt for stream in streams], "")
    plan = plan_streams(streams, STEPS, merge_edits=merge_edits)
    noise = prepare_latents(models, 7, 64, 64)
    return denoise(models, make_scheduler(models, scheduler, STEPS), plan, embeds, negative, noise, 4.0, 4)


fraction = st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])
window = st.one_of(fraction, st.tuples(fraction, fraction).map(sorted))
some_edit = st.builds(
    Edit,
    k=st.sampled_from([None, 0.0, 0.3]),
    cross_replace_steps=window | st.fixed_dictionaries({"default_": window, "grass": window}),
    self_replace_steps=window,
    v_inject_steps=window,
    v_inject=st.builds(VInject, st.sampled_from(["self", "cross", "both"]), st.sampled_from(["aligned", "all"])),
    equalizer=st.sampled_from([{}, {"grass": 2.0}]),
    local_blend=st.builds(LocalBlend, start_blend=fraction, target_words=st.sampled_from([("grass",), ("on", "the")])),
    self_replace_max_pixels=st.sampled_from([16, 1024]),
)


@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(chosen=st.lists(some_edit, min_size=2, max_size=6), scheduler=st.sampled_from(["ddim", "euler", "dpm++"]))
def test_shared_and_alone_give_the_same_latents(models, prompts, chosen, scheduler):
    """Random grids over a swap and a refinement, each with its reverse edit from a plain target."""
    source, swapped, phrase = prompts
    streams = [Stream(source), Stream(swapped)]
    for i, edit in enumerate(chosen):
        target = (swapped, phrase)[i % 2]
        streams.append(Stream(target, 0, edit.resolve(source, target)))
        streams.append(Stream(source, 1, edit.resolve(swapped, source)))
    together = draw(models, streams, scheduler)
    alone = draw(models, streams, scheduler, merge_edits=False)
    assert together.unet_samples <= alone.unet_samples
    scale = float(alone.latents.std())
    torch.testing.assert_close(together.latents, alone.latents, rtol=0, atol=1e-9 * scale)


def test_in_float32_a_shared_picture_has_the_bits_of_one_alone(tiny_pipeline, prompts):
    models = load_models(str(tiny_pipeline), dtype="float32", device="cpu")
    edits = edits_of(*prompts[:2], k=(None, 0.3), self_replace_steps=(0.2, 0.5), v_inject_steps=(0.0, 0.5))
    streams = [Stream(prompts[0]), *(Stream(prompts[1], 0, edit) for edit in edits)]
    together = draw(models, streams).latents
    for i in range(1, len(streams)):
        assert torch.equal(draw(models, [streams[0], streams[i]]).latents[1], together[i])
