"""The denoising UNet and the text encoder, trained together on precomputed latents."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from p2p.world.scenes import CATEGORIES
from p2p.world.training.data import Pictures
from p2p.world.training.loop import Schedule, averaged_weights, fit
from p2p.world.training.tokenizer import LENGTH, build_tokenizer

TEXT_WIDTH = 128


@dataclass(frozen=True)
class DiffusionSettings:
    """The UNet's sizes and training."""

    channels: tuple[int, ...]
    heads: tuple[int, ...]
    text_layers: int
    pictures: int
    batch: int
    empty_captions: float
    max_snr_weight: float
    focus_from: int
    focus_share: float
    schedule: Schedule


class Denoiser(nn.Module):
    """UNet and text encoder, which learn together."""

    def __init__(self, settings: DiffusionSettings, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.unet = UNet2DConditionModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            layers_per_block=1,
            block_out_channels=settings.channels,
            down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            attention_head_dim=settings.heads,  # diffusers' name for the number of heads
            cross_attention_dim=TEXT_WIDTH,
        )
        self.text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=TEXT_WIDTH,
                intermediate_size=4 * TEXT_WIDTH,
                num_hidden_layers=settings.text_layers,
                num_attention_heads=4,
                max_position_embeddings=LENGTH,
                projection_dim=TEXT_WIDTH,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )

    def forward(self, latents: Tensor, timesteps: Tensor, tokens: Tensor) -> Tensor:
        """The predicted velocity, (batch, 4, 16, 16)."""
        states = self.text_encoder(tokens).last_hidden_state
        velocity: Tensor = self.unet(latents, timesteps, encoder_hidden_states=states).sample
        return velocity


def build_scheduler() -> DDIMScheduler:
    """The noise schedule, as sampling will read it."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


@torch.no_grad()
def encode_pictures(load_vae: Callable[[], AutoencoderKL], data: Pictures, path: Path) -> Tensor:
    """The pictures' mean latents, (number, 4, 16, 16), computed into `path` on the first call."""
    if not path.exists():
        partial = path.with_name(path.name + ".partial.npy")
        np.save(partial, torch.cat(list(_encoded(load_vae(), data))).numpy())
        partial.replace(path)
    return torch.from_numpy(np.load(path))


def _encoded(vae: AutoencoderKL, data: Pictures) -> Iterator[Tensor]:
    for part in torch.arange(len(data.scenes)).split(64):
        with torch.autocast("cpu", torch.bfloat16):
            latents = vae.encode(data.images(part) * 2 - 1).latent_dist.mean
        yield latents.float()


def train_diffusion(settings: DiffusionSettings, latents: Tensor, data: Pictures, folder: Path) -> Denoiser:
    """Predict velocities of noised latents; the loss is weighted by the capped signal-to-noise ratio."""
    torch.manual_seed(settings.schedule.seed)
    tokenizer = build_tokenizer()
    network = Denoiser(settings, tokenizer)
    network.unet.set_attn_processor(AttnProcessor())  # a processor's fused attention is slow in its backward pass
    each = len(data.captions[0])
    captions = [text for texts in data.captions for text in texts]
    tokens = tokenizer([*captions, ""], padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    signal, focus = build_scheduler().alphas_cumprod, face_focus()

    def loss(step: int, generator: torch.Generator) -> Tensor:
        chosen = torch.randint(len(latents), (settings.batch,), generator=generator)
        focused = step >= settings.focus_from
        if focused:
            faces = round(settings.focus_share * settings.batch)
            chosen[:faces] -= chosen[:faces] % len(CATEGORIES)  # the categories take turns, faces first
        texts = chosen * each + torch.randint(each, chosen.shape, generator=generator)
        texts[torch.rand(texts.shape, generator=generator) < settings.empty_captions] = len(captions)
        timesteps = spread_timesteps(len(chosen), len(signal), generator)
        clean = latents[chosen]
        noise = torch.randn(clean.shape, generator=generator)
        alpha = signal[timesteps].view(-1, 1, 1, 1)
        noised = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        with torch.autocast("cpu", torch.bfloat16):
            predicted = network(noised, timesteps, tokens[texts])
        snr = signal[timesteps] / (1 - signal[timesteps])
        weight = (snr + 1).clamp(max=settings.max_snr_weight) / (snr + 1)
        error = (predicted.float() - velocity).square()
        if focused:
            error = torch.where((chosen % len(CATEGORIES) == 0).view(-1, 1, 1, 1), focus * error, error)
        return (weight * error.mean((1, 2, 3))).mean()

    fit(network, loss, settings.schedule, folder / "diffusion.pt")
    return network


def face_focus() -> Tensor:
    """Loss weights over a face's latents, (16, 16): mouths and brows tell the mood but cover little."""
    weights = torch.ones(16, 16)
    weights[5:8, 4:12] = 2.5
    weights[9:13, 5:11] = 6.0
    return weights


def spread_timesteps(number: int, steps: int, generator: torch.Generator) -> Tensor:
    """Uniform time steps, one from each of `number` equal parts, so that every batch covers all noise levels."""
    places = torch.arange(number) + torch.rand(number, generator=generator)
    return (places * steps / number).long().clamp(max=steps - 1)


def load_denoiser(settings: DiffusionSettings, folder: Path) -> Denoiser:
    """The averaged weights as they stand in the checkpoint."""
    network = Denoiser(settings, build_tokenizer())
    network.load_state_dict(averaged_weights(folder / "diffusion.pt"))
    return network
