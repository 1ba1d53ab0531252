"""Prompt-to-Prompt as its paper writes it: every attention map built in full, one prompt pair, for comparison only."""

import torch
import torch.nn.functional as F

from p2p.streams import (
    cross_replace_alpha,
    equalizer_scales,
    step_window,
    token_mapper,
)


class MapBuildingEditor:
    """Denoises [source, target] side by side, editing the maps of the target by those of the source."""

    def __init__(self, source, target, edit, steps, blend_shape):
        self.edit, self.step, self.blend_shape = edit, 0, blend_shape
        self.mapper, self.has_source = token_mapper(source, target, edit)
        self.scales = equalizer_scales(target, edit)
        self.alpha = cross_replace_alpha(target, edit.cross_replace_steps, steps)
        self.self_window = step_window(edit.self_replace_steps, steps)
        self.v_window = step_window(edit.v_inject_steps, steps)
        self.sums = torch.zeros(4, *blend_shape, dtype=torch.float64)
        blend = edit.local_blend
        words = [blend.source_words, blend.target_words, blend.source_subtract_words, blend.target_subtract_words]
        prompts = (source, target, source, target)
        self.indicators = [self._indicator(p, w) for p, w in zip(prompts, words, strict=True)]
        self.start = int(edit.local_blend.start_blend * steps)

    def _indicator(self, prompt, words):
        indicator = torch.zeros(prompt.num_tokens, dtype=torch.float64)
        for word in words or ():
            indicator[prompt.tokens_of(word, "blend")] = 1
        return indicator

    def processor(self, name):
        def attend(attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None):
            states = hidden_states if encoder_hidden_states is None else encoder_hidden_states
            q, k, v = (
                x.unflatten(-1, (attn.heads, -1)).transpose(1, 2)
                for x in (attn.to_q(hidden_states), attn.to_k(states), attn.to_v(states))
            )
            probs = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
            base, own, base_v, own_v = probs[2], probs[3], v[2], v[3].clone()
            if encoder_hidden_states is None:
                reached = q.shape[2] <= self.edit.self_replace_max_pixels
                if reached and self.step in self.v_window and self.edit.v_inject.layers in ("self", "both"):
                    w = self.edit.v_inject.weight
                    own_v = (1 - w) * own_v + w * base_v
                if reached and self.step in self.self_window:
                    own = base
            else:
                a = self.alpha[self.step]
                taken = torch.einsum("hps,st->hpt", base, self.mapper)
                b = self.has_source
                edited = (taken * b + own * (1 - b)) * self.scales
                own = edited * a + own * (1 - a)
                if not name.startswith("mid") and q.shape[2] == self.blend_shape[0] * self.blend_shape[1]:
                    for i, maps in enumerate((base, own, base, own)):
                        self.sums[i] += (maps @ self.indicators[i]).sum(0).view(self.blend_shape)
            out = torch.stack([probs[0] @ v[0], probs[1] @ v[1], base @ base_v, own @ own_v])
            return attn.to_out[0](out.transpose(1, 2).flatten(2))

        return attend

    def blend(self, latents):
        if self.edit.k is None or self.step < self.start:
            return latents
        masks = [torch.zeros(latents.shape[2:], dtype=torch.bool), torch.zeros(latents.shape[2:], dtype=torch.bool)]
        for i, (maps, indicator) in enumerate(zip(self.sums, self.indicators, strict=True)):
            if indicator.any():
                maps = maps[None, None] if i >= 2 else F.max_pool2d(maps[None, None], 3, 1, 1)
                resized = F.interpolate(maps, size=latents.shape[2:])[0, 0]
                masks[i // 2] |= resized / resized.max() > self.edit.k
        mask = masks[0] & ~masks[1]
        return torch.stack([latents[0], latents[0] + mask * (latents[1] - latents[0])])


@torch.no_grad()
def edit_with_maps(models, scheduler, source, target, edit, embeds, negative, latents, guidance_scale):
    """Latents (2, ...) of source and target."""
    steps = len(scheduler.timesteps)
    editor = MapBuildingEditor(source, target, edit, steps, models.blend_shape(latents.shape[2:]))
    original = dict(models.unet.attn_processors)
    models.unet.set_attn_processor({name: editor.processor(name) for name in original})
    try:
        latents = latents.repeat(2, 1, 1, 1)
        states = torch.cat([negative.expand_as(embeds), embeds])
        for editor.step, t in enumerate(scheduler.timesteps):
            uncond, cond = models.unet(latents.repeat(2, 1, 1, 1), t, encoder_hidden_states=states).sample.chunk(2)
            latents = scheduler.step(uncond + guidance_scale * (cond - uncond), t, latents).prev_sample
            latents = editor.blend(latents)
    finally:
        models.unet.set_attn_processor(original)
    return latents
