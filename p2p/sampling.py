"""The stages of an edit: encode_prompts -> prepare_latents -> denoise -> decode_latents; pure functions of tensors."""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import diffusers
import torch
from diffusers.models.attention import BasicTransformerBlock
from jaxtyping import Float, UInt8
from torch import Tensor

from p2p.attention import StepControl, StepMemory, attention_control
from p2p.blend import blend_streams
from p2p.loading import Models
from p2p.plan import Plan, Segment
from p2p.prompts import Prompt
from p2p.streams import CompiledStream, compile_streams

SCHEDULERS = {
    "ddim": "DDIMScheduler",
    "euler": "EulerDiscreteScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
}
"""Classes of diffusers by name; stepped once a step with all nodes of a plan, so a history it keeps is one a node."""


class Step(NamedTuple):
    """What `denoise` tells after each step.

    Attributes:
        number: of the step just done, from 0.
        latents: (nodes, channels, height, width), blended; nodes are the plan's in this step.
        word_maps: for each node as in `Denoised`, summed so far.
    """

    number: int
    latents: Tensor
    word_maps: list[Tensor | None]


class Denoised(NamedTuple):
    """What `denoise` returns.

    Attributes:
        latents: (streams, channels, height, width), after the last step.
        unet_samples: how many latents went through the UNet (padding of batches not counted).
        word_maps: for each stream (maps, map_height, map_width), summed over steps, layers and heads, for each of its
            indicators; None without any.
        streams: the streams as compiled, with the places of their words among the word maps.
    """

    latents: Tensor
    unet_samples: int
    word_maps: list[Tensor | None]
    streams: list[CompiledStream]


@dataclass(frozen=True)
class PromptEmbeds:
    """Prompts as the UNet reads them.

    Attributes:
        states: (prompts, tokens, features).
        pooled: (prompts, dim), the added condition of SDXL; None elsewhere.
    """

    states: Tensor
    pooled: Tensor | None = None

    def rows(self, rows: Sequence[int]) -> "PromptEmbeds":
        """The embeddings of some prompts."""
        return PromptEmbeds(self.states[list(rows)], None if self.pooled is None else self.pooled[list(rows)])


class Batch(NamedTuple):
    """The nodes of one UNet call (`rows`, `at` as an index; the last may repeat), their control and their prompts."""

    rows: list[int]
    at: Tensor
    control: StepControl
    embeds: PromptEmbeds


@torch.no_grad()
def encode_prompts(models: Models, prompts: Sequence[str]) -> PromptEmbeds:
    """Prompt embeddings, one prompt at a time, so that one's bits do not depend on the others."""
    encoded = [_encode_prompt(models, prompt) for prompt in prompts]
    pooled = [one.pooled for one in encoded if one.pooled is not None]
    return PromptEmbeds(torch.cat([one.states for one in encoded]), torch.cat(pooled) if pooled else None)


def _encode_prompt(models: Models, prompt: str) -> PromptEmbeds:
    outputs = []
    for tokenizer, encoder in zip(models.tokenizers, models.text_encoders, strict=True):
        ids = tokenizer(prompt, padding="max_length", max_length=tokenizer.model_max_length).input_ids
        outputs.append(encoder(torch.tensor([ids], device=models.device), output_hidden_states=models.is_xl))
    if not models.is_xl:
        return PromptEmbeds(outputs[0][0])
    return PromptEmbeds(torch.cat([out.hidden_states[-2] for out in outputs], dim=-1), outputs[-1][0])


def prepare_latents(models: Models, seed: int, height: int, width: int) -> Float[Tensor, "1 channels height width"]:
    """The noise that every stream of a group starts from: drawn on the CPU in float32, so equal on every device."""
    shape = (1, models.unet.config.in_channels, height // models.vae_scale_factor, width // models.vae_scale_factor)
    noise = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed), dtype=torch.float32)
    return noise.to(models.device, models.dtype)


@torch.no_grad()
def denoise(
    models: Models,
    scheduler: Any,
    plan: Plan,
    prompt_embeds: PromptEmbeds,
    negative_prompt_embeds: PromptEmbeds,
    latents: Float[Tensor, "starts channels height width"],
    guidance_scale: float,
    batch_size: int = 8,
    callback: Callable[[Step], None] = lambda step: None,
) -> Denoised:
    """Denoise all streams side by side, what they share once; in each step parents before their children.

    Args:
        models: the networks.
        scheduler: a diffusers scheduler whose timesteps are set.
        plan: what `plan_streams` made for as many steps.
        prompt_embeds: one a stream.
        negative_prompt_embeds: of the negative prompt.
        latents: where the streams start, standard normal: the plan's starts.
        guidance_scale: classifier-free guidance; 1.0 is off.
        batch_size: edited latents per UNet call, made a `whole_batch`. Batches are padded to this size, so that a
            picture's bits do not depend on its companions. Roots that share a start run alone: a source's bits do
            not depend on this size either.
        callback: told of each step.
    """
    compiled = compile_streams(plan.streams, plan.num_inference_steps, plan.watch_words, plan.watched)
    latents = latents * scheduler.init_noise_sigma
    word_maps: list[Tensor | None] = [None] * len(latents)
    batch_size = whole_batch(batch_size, guidance_scale)
    root_size = batch_size if plan.own_starts else 1
    samples, memory, unet_samples = 1 + (guidance_scale != 1.0), StepMemory(), 0
    with attention_control(models.unet), _feed_forward_chunks(models, samples):
        for segment in plan.segments:
            origins = [node.origin for node in segment.nodes]
            latents, word_maps = latents[origins], [word_maps[origin] for origin in origins]
            _fork_history(scheduler, origins)
            nodes = [dataclasses.replace(compiled[node.stream], parent=node.parent) for node in segment.nodes]
            embeds = prompt_embeds.rows([node.stream for node in segment.nodes])
            negative = negative_prompt_embeds if guidance_scale != 1.0 else None
            pixels = models.blend_pixels(latents.shape[2:])
            parents = {node.parent for node in segment.nodes}
            kinds: list[Hashable] = [(node.family, i if i in parents else None) for i, node in enumerate(segment.nodes)]
            leaders: list[int] = []
            leading = torch.empty(0)
            batches: list[Batch] = []
            for step in segment.steps:
                timestep = scheduler.timesteps[step]
                memory.clear()
                found = _first_equal(latents, leaders or kinds)
                if found != leaders:
                    leaders, leading = found, torch.tensor(found, device=latents.device)
                    batches = [
                        Batch(
                            rows,
                            torch.tensor(rows, device=latents.device),
                            StepControl(nodes, rows, segment.steps.start, memory, pixels),
                            embeds.rows(rows),
                        )
                        for rows in _batches(segment, leaders, batch_size, root_size)
                    ]
                model_input = scheduler.scale_model_input(latents, timestep)
                noise_pred = torch.empty_like(latents)
                for batch in batches:
                    pred = _predict(models, batch, model_input, timestep, negative)
                    noise_pred[batch.at] = pred if negative is None else _guide(pred, guidance_scale)
                latents = scheduler.step(noise_pred[leading], timestep, latents).prev_sample
                memory.share_word_maps(leaders)
                word_maps = _add_maps(word_maps, memory, models.blend_shape(latents.shape[2:]))
                latents = blend_streams(latents, nodes, word_maps, step)
                unet_samples += len(set(leaders)) * samples
                callback(Step(step, latents, word_maps))
    leaves = list(plan.segments[-1].node_of)
    return Denoised(latents[leaves], unet_samples, [word_maps[leaf] for leaf in leaves], compiled)


@torch.no_grad()
def decode_latents(
    models: Models, latents: Float[Tensor, "pictures channels height width"]
) -> UInt8[Tensor, "pictures 3 height width"]:
    """Pictures of latents on the CPU, decoded in blocks of one size, so that one's bits do not depend on the others.

    A block has four pictures, or one where four are more than 512 x 512 pixels, which bounds the memory. Equal latents
    are decoded once.
    """
    leaders = _first_equal(latents, [None] * len(latents))
    distinct = sorted(set(leaders))
    size = 4 if 4 * math.prod(latents.shape[2:]) * models.vae_scale_factor**2 <= 512**2 else 1
    padded = latents[distinct + distinct[-1:] * (-len(distinct) % size)].to(models.vae.dtype)
    blocks = (padded / models.vae.config.scaling_factor).split(size)
    pictures = torch.cat([_to_8_bits(models.vae.decode(block).sample).cpu() for block in blocks])
    return pictures[[distinct.index(leader) for leader in leaders]]


def _to_8_bits(images: Tensor) -> Tensor:
    """Images in [-1, 1] as bytes."""
    return ((images / 2 + 0.5).clamp(0, 1).float() * 255).round().to(torch.uint8)


def make_scheduler(models: Models, name: str, num_inference_steps: int) -> Any:
    """A fresh scheduler with its timesteps set, configured as the model's own.

    Raises:
        ValueError: the scheduler is unknown.
    """
    if name not in SCHEDULERS:
        raise ValueError(f"sampler.scheduler must be one of {', '.join(SCHEDULERS)}, got {name!r}")
    scheduler = getattr(diffusers, SCHEDULERS[name]).from_config(models.scheduler_config)
    scheduler.set_timesteps(num_inference_steps, device=models.device)
    return scheduler


def embed_streams(models: Models, prompts: Sequence[Prompt], negative_prompt: str) -> tuple[PromptEmbeds, PromptEmbeds]:
    """Embeddings of the streams' prompts, each distinct one encoded once, and of the negative prompt."""
    distinct = list(dict.fromkeys(prompt.text for prompt in prompts))
    embeds = encode_prompts(models, distinct)
    negative = encode_prompts(models, [negative_prompt])
    if not negative_prompt and models.zeros_for_empty_negative:
        pooled = None if negative.pooled is None else torch.zeros_like(negative.pooled)
        negative = PromptEmbeds(torch.zeros_like(negative.states), pooled)
    return embeds.rows([distinct.index(prompt.text) for prompt in prompts]), negative


def unet_conditions(
    models: Models, embeds: PromptEmbeds, negative: PromptEmbeds | None, sample: Tensor
) -> dict[str, Any]:
    """What the UNet is conditioned on for a batch: the prompts, the negative prompt's rows first; SDXL's additions."""

    def rows(conditional: Tensor, unconditional: Tensor | None) -> Tensor:
        if unconditional is None:
            return conditional
        return torch.cat([unconditional.expand_as(conditional), conditional])

    states = rows(embeds.states, None if negative is None else negative.states)
    if embeds.pooled is None:
        return {"encoder_hidden_states": states}
    height, width = (side * models.vae_scale_factor for side in sample.shape[2:])
    time_ids = torch.tensor([[height, width, 0, 0, height, width]], device=sample.device, dtype=sample.dtype)
    pooled = rows(embeds.pooled, None if negative is None else negative.pooled)
    added = {"text_embeds": pooled, "time_ids": time_ids.expand(len(sample), -1)}
    return {"encoder_hidden_states": states, "added_cond_kwargs": added}


@contextmanager
def _feed_forward_chunks(models: Models, rows: int) -> Iterator[None]:
    """On the CPU feed-forward layers take `rows` rows at a time: what they widen stays in its cache."""
    blocks = [part for part in models.unet.modules() if isinstance(part, BasicTransformerBlock)]
    for block in blocks:
        block.set_chunk_feed_forward(rows if models.device.type == "cpu" else None)
    try:
        yield
    finally:
        for block in blocks:
            block.set_chunk_feed_forward(None)


def _predict(
    models: Models, batch: Batch, model_input: Tensor, timestep: Tensor, negative: PromptEmbeds | None
) -> Tensor:
    """The UNet's prediction for a batch; with a negative prompt its rows come first."""
    sample = model_input[batch.at].repeat(1 if negative is None else 2, 1, 1, 1)
    conditions = unet_conditions(models, batch.embeds, negative, sample)
    kwargs = {"control": batch.control}
    pred: Tensor = models.unet(sample, timestep, **conditions, cross_attention_kwargs=kwargs).sample
    return pred


def _guide(pred: Tensor, guidance_scale: float) -> Tensor:
    negative, conditional = pred.chunk(2)
    return negative + guidance_scale * (conditional - negative)


def _first_equal(latents: Tensor, kinds: Sequence[Hashable]) -> list[int]:
    """For each of some latents its leader: the place of the first of its kind with the same bits."""
    if len(set(kinds)) == len(kinds):
        return list(range(len(kinds)))
    rows = latents.contiguous().view(torch.uint8).flatten(1).cpu().numpy()
    first: dict[Hashable, int] = {}
    return [first.setdefault((kinds[i], row.tobytes()), i) for i, row in enumerate(rows)]


def whole_batch(batch_size: int, guidance_scale: float) -> int:
    """Edited latents per UNet call, above 1 rounded up to an even number, without guidance to a multiple of four.

    Matrix products go through rows, two a latent under guidance, in blocks of four and round the rest differently.
    """
    block = 4 if guidance_scale == 1.0 else 2
    return 1 if batch_size == 1 else math.ceil(batch_size / block) * block


def _batches(segment: Segment, leaders: Sequence[int], batch_size: int, root_size: int) -> Iterator[list[int]]:
    """Nodes of each UNet call, those with their own prediction, parents before children; padded with their last."""
    depth: list[int] = []
    for node in segment.nodes:
        depth.append(0 if node.is_root else 1 if node.parent is None else depth[node.parent] + 1)
    for level in range(max(depth, default=-1) + 1):
        members = [i for i, d in enumerate(depth) if d == level and leaders[i] == i]
        size = batch_size if level else root_size
        for start in range(0, len(members), size):
            rows = members[start : start + size]
            yield rows + rows[-1:] * (size - len(rows))


def _fork_history(scheduler: Any, origins: Sequence[int]) -> None:
    """Give each node its origin's history of predictions, where the scheduler keeps one (DPM-Solver++)."""
    if hasattr(scheduler, "model_outputs"):
        scheduler.model_outputs = [None if past is None else past[list(origins)] for past in scheduler.model_outputs]


def _add_maps(sums: list[Tensor | None], memory: StepMemory, shape: tuple[int, int]) -> list[Tensor | None]:
    """The running sums with this step's word maps (maps, map_height, map_width) added."""
    added = list(sums)
    for index, maps in memory.word_maps.items():
        new = maps.unflatten(-1, shape)
        before = added[index]
        added[index] = new if before is None else before + new
    return added
