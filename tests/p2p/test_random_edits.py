"""Random prompts, trees and settings: the fast path equals the one that builds every map."""

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from p2p.edits import Edit, LocalBlend, VInject
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream
from tests.p2p.oracle import denoise_with_maps

WORDS = ["a", "cat", "chimpanzee", "red", "Bicycle", "on", "grass", "watercolour"]
STEPS = 3
fraction = st.floats(0, 1, allow_nan=False)
window = st.one_of(fraction, st.tuples(fraction, fraction).map(sorted))
words = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6)


@st.composite
def edits(draw, source, target):
    """An edit that suits the two word lists."""
    some_word = st.sampled_from(target)
    per_word = st.dictionaries(some_word, window, max_size=2).map(lambda w: {**w, "default_": 0.8})
    same = [w.casefold() for w in source] == [w.casefold() for w in target]
    scale = st.floats(-2, 3, allow_nan=False)
    blend = LocalBlend(
        source_words=draw(st.lists(st.sampled_from(source), max_size=2)),
        target_words=draw(st.lists(some_word, min_size=1, max_size=2)),
        target_subtract_words=draw(st.lists(some_word, max_size=1)),
        start_blend=draw(fraction),
    )
    return Edit(
        k=draw(st.none() | st.floats(0, 0.9)),
        cross_replace_steps=draw(window | per_word),
        self_replace_steps=draw(window),
        v_inject_steps=draw(st.just(0.0) | window),
        v_inject=VInject(draw(st.sampled_from(["self", "cross", "both"])), draw(st.sampled_from(["aligned", "all"]))),
        equalizer=draw(st.dictionaries(some_word, scale, min_size=int(same), max_size=2)),
        local_blend=blend,
        self_replace_max_pixels=draw(st.sampled_from([0, 16, 64, 1024])),
    )


@st.composite
def trees(draw):
    """A root and up to three edited streams, each of any stream before it, as (words, parent, edit)."""
    rows = [(draw(words), None, None)]
    for _ in range(draw(st.integers(1, 3))):
        parent = draw(st.integers(0, len(rows) - 1))
        source = rows[parent][0]
        swapped = st.lists(st.sampled_from(WORDS), min_size=len(source), max_size=len(source))
        target = draw(words | swapped | st.just(source))
        rows.append((target, parent, draw(edits(source, target))))
    return rows


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(tree=trees(), batch_size=st.integers(1, 3), guidance=st.sampled_from([1.0, 4.0]))
def test_any_tree_of_edits_equals_the_one_that_builds_all_maps(models, tokenizer, tree, batch_size, guidance):
    prompts = [tokenize(tokenizer, " ".join(row[0])) for row in tree]
    streams = [
        Stream(prompt) if edit is None else Stream(prompt, parent, edit.resolve(prompts[parent], prompt))
        for prompt, (_, parent, edit) in zip(prompts, tree, strict=True)
    ]
    embeds, negative = embed_streams(models, prompts, "")
    noise = prepare_latents(models, 0, 64, 64)
    plan = plan_streams(streams, STEPS)
    stepper = make_scheduler(models, "ddim", STEPS)
    fast = denoise(models, stepper, plan, embeds, negative, noise, guidance, batch_size).latents
    stepper = make_scheduler(models, "ddim", STEPS)
    slow = denoise_with_maps(models, stepper, streams, embeds.states, negative.states, noise, guidance)
    torch.testing.assert_close(fast, slow, rtol=0, atol=1e-9)
