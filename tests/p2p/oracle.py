"""Prompt-to-Prompt as its paper writes it: every attention map built in full, for comparison only.

All streams are denoised in one batch; a stream's map is computed from its parent's edited map and its own.
"""

import torch
import torch.nn.functional as F

from p2p.alignment import unchanged_tokens
from p2p.streams import cross_replace_alpha, equalizer_scales, step_window, token_mapper

SIDES = ("source_words", "target_words", "source_subtract_words", "target_subtract_words")


class EditWithMaps:
    """What one edited stream does to maps, values and latents, and the word maps it sums."""

    def __init__(self, parent, stream, steps, blend_shape, like):
        self.parent, self.edit = stream.parent, stream.edit
        self.mapper, self.has_source = (m.to(like) for m in token_mapper(parent.prompt, stream.prompt, stream.edit))
        self.scales = equalizer_scales(stream.prompt, stream.edit).to(like)
        self.alpha = cross_replace_alpha(stream.prompt, stream.edit.cross_replace_steps, steps).to(like)
        self.self_window = step_window(stream.edit.self_replace_steps, steps)
        self.v_window = step_window(stream.edit.v_inject_steps, steps)
        self.sources = self._value_sources(parent.prompt, stream.prompt)
        self.sums = like.new_zeros(4, *blend_shape)
        prompts = (parent.prompt, stream.prompt) * 2
        words = [getattr(stream.edit.local_blend, side) for side in SIDES]
        self.indicators = [self._indicator(p, w).to(like) for p, w in zip(prompts, words, strict=True)]
        self.start = int(stream.edit.local_blend.start_blend * steps)

    def _indicator(self, prompt, words):
        indicator = torch.zeros(prompt.num_tokens, dtype=torch.float64)
        for word in words or ():
            indicator[prompt.tokens_of(word, "blend")] = 1
        return indicator

    def _value_sources(self, source, target):
        """For each target token the source tokens whose values it takes."""
        if self.edit.v_inject.tokens == "aligned":
            return [[int(i)] if i >= 0 else [] for i in unchanged_tokens(source, target)]
        return [
            torch.nonzero(self.mapper[:, j]).flatten().tolist() if self.has_source[j] else []
            for j in range(target.num_tokens)
        ]

    def cross_maps(self, step, base, own):
        a, b = self.alpha[step], self.has_source
        taken = torch.einsum("hps,st->hpt", base, self.mapper)
        return (taken * b + own * (1 - b)) * self.scales * a + own * (1 - a)

    def self_maps(self, step, pixels, base, own):
        return base if step in self.self_window and pixels <= self.edit.self_replace_max_pixels else own

    def values(self, step, is_cross, pixels, base, own):
        inject = self.edit.v_inject
        if step not in self.v_window or inject.layers == ("self" if is_cross else "cross"):
            return own
        if not is_cross:
            w = inject.weight if pixels <= self.edit.self_replace_max_pixels else 0
            return (1 - w) * own + w * base
        mixed = own.clone()
        for j, sources in enumerate(self.sources):
            if sources:
                mixed[:, j] = (1 - inject.weight) * own[:, j] + inject.weight * base[:, sources].mean(1)
        return mixed

    def sum_words(self, base, own):
        for i, maps in enumerate((base, own, base, own)):
            self.sums[i] += (maps @ self.indicators[i]).sum(0).view(self.sums.shape[1:])

    def blend(self, step, own, parents):
        if self.edit.k is None or step < self.start:
            return own
        masks = torch.zeros(2, *own.shape[1:], dtype=torch.bool, device=own.device)
        for i, (maps, indicator) in enumerate(zip(self.sums, self.indicators, strict=True)):
            if indicator.any():
                maps = maps[None, None] if i >= 2 else F.max_pool2d(maps[None, None], 3, 1, 1)
                resized = F.interpolate(maps, size=own.shape[1:])[0, 0]
                masks[i // 2] |= resized / resized.max() > self.edit.k
        return parents + (masks[0] & ~masks[1]) * (own - parents)


def attend_with_maps(name, edits, state, blend_pixels):
    def attend(attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
        is_cross = encoder_hidden_states is not None
        states = encoder_hidden_states if is_cross else hidden_states
        q, k, v = (
            x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
            for x in (attn.to_q(hidden_states), attn.to_k(states), attn.to_v(states))
        )
        probs = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
        n, pixels = len(edits), q.shape[2]
        maps, values = list(probs[n:]), list(v[n:])
        for s, edit in enumerate(edits):
            if edit is None:
                continue
            values[s] = edit.values(state["step"], is_cross, pixels, values[edit.parent], values[s])
            if is_cross:
                maps[s] = edit.cross_maps(state["step"], maps[edit.parent], maps[s])
                if pixels == blend_pixels and not name.startswith("mid"):
                    edit.sum_words(maps[edit.parent], maps[s])
            else:
                maps[s] = edit.self_maps(state["step"], pixels, maps[edit.parent], maps[s])
        out = torch.cat([probs[:n] @ v[:n], torch.stack(maps) @ torch.stack(values)])
        return attn.to_out[0](out.transpose(1, 2).flatten(2))

    return attend


@torch.no_grad()
def denoise_with_maps(models, scheduler, streams, embeds, negative, latents, guidance_scale):
    """Latents of all streams."""
    steps, n = len(scheduler.timesteps), len(streams)
    shape, pixels = models.blend_shape(latents.shape[2:]), models.blend_pixels(latents.shape[2:])
    edits = [None if s.parent is None else EditWithMaps(streams[s.parent], s, steps, shape, latents) for s in streams]
    state = {"step": 0}
    original = dict(models.unet.attn_processors)
    models.unet.set_attn_processor({name: attend_with_maps(name, edits, state, pixels) for name in original})
    try:
        latents = (latents * scheduler.init_noise_sigma).repeat(n, 1, 1, 1)
        states = torch.cat([negative.expand_as(embeds), embeds])
        for step, t in enumerate(scheduler.timesteps):
            state["step"] = step
            sample = scheduler.scale_model_input(latents.repeat(2, 1, 1, 1), t)
            uncond, cond = models.unet(sample, t, encoder_hidden_states=states).sample.chunk(2)
            latents = scheduler.step(uncond + guidance_scale * (cond - uncond), t, latents).prev_sample
            for s, edit in enumerate(edits):
                if edit is not None:
                    latents[s] = edit.blend(step, latents[s], latents[edit.parent])
    finally:
        models.unet.set_attn_processor(original)
    return latents
