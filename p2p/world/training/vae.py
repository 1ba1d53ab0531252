"""The autoencoder: encoder and decoder together, both refined on white latents, then the decoder alone."""

import copy
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor, nn

from p2p.world.training.data import Pictures
from p2p.world.training.loop import Schedule, averaged_weights, fit

JOINT, REFINED, DECODER = "vae_joint.pt", "vae_refined.pt", "vae_decoder.pt"  # checkpoints


@dataclass(frozen=True)
class VaeSettings:
    """The autoencoder's sizes and both of its stages."""

    channels: tuple[int, ...]
    batch: int
    crop: int
    crop_share: float
    kl_weight: float
    refine_noise: float
    anchor_weight: float
    decoder_noise: float
    decoder_square_weight: float
    joint: Schedule
    refine: Schedule
    decoder: Schedule


def build_vae(channels: tuple[int, ...]) -> AutoencoderKL:
    """An autoencoder of factor 8 with four latent channels of unit variance."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * len(channels),
        up_block_types=("UpDecoderBlock2D",) * len(channels),
        block_out_channels=channels,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=128,
        scaling_factor=1.0,
    )


class _Coded(nn.Module):
    """The autoencoder and a linear head that reads coarse colour from the latents."""

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae
        self.color = nn.Conv2d(4, 3, 1)


def train_joint(settings: VaeSettings, data: Pictures, folder: Path) -> AutoencoderKL:
    """Encoder and decoder together; crops first, whole pictures last. Ends with white latents."""
    torch.manual_seed(settings.joint.seed)
    coded = _Coded(build_vae(settings.channels))

    def loss(step: int, generator: torch.Generator) -> Tensor:
        cropped = step < settings.crop_share * settings.joint.steps
        images = _batch(data, settings, generator, cropped)
        with torch.autocast("cpu", torch.bfloat16):
            posterior = coded.vae.encode(images).latent_dist
            latents = posterior.mean + posterior.std * torch.randn(posterior.mean.shape, generator=generator)
            decoded = coded.vae.decode(latents).sample
            coarse = coded.color(latents)
        target = F.avg_pool2d(images, 8)
        return (
            reconstruction_loss(decoded.float(), images)
            + F.l1_loss(coarse.float(), target)
            + settings.kl_weight * posterior.kl().mean() / posterior.mean[0].numel()
        )

    fit(coded, loss, settings.joint, folder / JOINT)
    return coded.vae


def load_joint(settings: VaeSettings, data: Pictures, folder: Path) -> AutoencoderKL:
    """The joint stage's averaged autoencoder with white latents, as it stands in its checkpoint."""
    coded = _Coded(build_vae(settings.channels))
    coded.load_state_dict(averaged_weights(folder / JOINT))
    whiten(coded.vae, data)
    return coded.vae


def train_refined(settings: VaeSettings, vae: AutoencoderKL, data: Pictures, folder: Path) -> AutoencoderKL:
    """Both once more, from white latents, which hardly move; a little noise keeps detail from hiding in them."""
    before = copy.deepcopy(vae).requires_grad_(False)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        images = _batch(data, settings, generator, step < settings.crop_share * settings.refine.steps)
        with torch.autocast("cpu", torch.bfloat16):
            latents = vae.encode(images).latent_dist.mean
            noise = settings.refine_noise * torch.randn(latents.shape, generator=generator)
            decoded = vae.decode(latents + noise).sample
            with torch.no_grad():
                anchor = before.encode(images).latent_dist.mean
        drift = F.mse_loss(latents.float(), anchor.float())
        return reconstruction_loss(decoded.float(), images) + settings.anchor_weight * drift

    fit(vae, loss, settings.refine, folder / REFINED)
    return vae


def train_decoder(settings: VaeSettings, vae: AutoencoderKL, data: Pictures, folder: Path) -> AutoencoderKL:
    """The decoder alone, on latents with noise of up to `decoder_noise`, as a sampler leaves some."""
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)

    def loss(step: int, generator: torch.Generator) -> Tensor:
        images = _batch(data, settings, generator, cropped=False)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                latents = vae.encode(images).latent_dist.mean
            level = settings.decoder_noise * torch.rand((len(latents), 1, 1, 1), generator=generator) ** 2
            decoded = vae.decode(latents + level * torch.randn(latents.shape, generator=generator)).sample
        return reconstruction_loss(decoded.float(), images, settings.decoder_square_weight)

    fit(vae, loss, settings.decoder, folder / DECODER)
    return vae


def reconstruction_loss(decoded: Tensor, images: Tensor, square_weight: float = 1.0) -> Tensor:
    """L1 and squares, with L1 of 8 x 8 means, of colour differences and of gradients, which keep colours and edges."""
    error = decoded - images
    chroma = error - error.mean(1, keepdim=True)
    across, down = error.diff(dim=-1), error.diff(dim=-2)
    return (
        error.abs().mean()
        + square_weight * error.square().mean()
        + F.avg_pool2d(error, 8).abs().mean()
        + chroma.abs().mean()
        + 0.5 * (across.abs().mean() + down.abs().mean())
    )


@torch.no_grad()
def whiten(vae: AutoencoderKL, data: Pictures, number: int = 512) -> None:
    """Give the latent channels mean 0 and unit covariance, folded into quant_conv and post_quant_conv."""
    means = torch.cat(
        [vae.encode(data.images(part) * 2 - 1).latent_dist.mean for part in torch.arange(number).split(32)]
    )
    pixels = means.permute(1, 0, 2, 3).flatten(1)  # (4, number * 256)
    center = pixels.mean(1)
    values, vectors = torch.linalg.eigh(torch.cov(pixels))
    forward = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    backward = vectors @ torch.diag(values.sqrt()) @ vectors.T
    quant, post = vae.quant_conv, vae.post_quant_conv
    log_scale = 2 * forward.diagonal().log()  # of the variance: only its size matters after training
    quant.weight[:4] = torch.einsum("ij,jkhw->ikhw", forward, quant.weight[:4])
    quant.bias[:4] = forward @ (quant.bias[:4] - center)
    quant.bias[4:] += log_scale
    post.bias += torch.einsum("ijhw,j->i", post.weight, center)
    post.weight.copy_(torch.einsum("ijhw,jk->ikhw", post.weight, backward))


def _batch(data: Pictures, settings: VaeSettings, generator: torch.Generator, cropped: bool) -> Tensor:
    """Pictures in [-1, 1]: `batch` crops, or half as many whole pictures."""
    count = settings.batch if cropped else settings.batch // 2
    images = data.images(torch.randint(len(data.scenes), (count,), generator=generator)) * 2 - 1
    if not cropped:
        return images
    size, room = settings.crop, images.shape[-1] - settings.crop + 1
    rows, columns = torch.randint(room, (2, count), generator=generator).tolist()
    return torch.stack(
        [image[:, y : y + size, x : x + size] for image, y, x in zip(images, rows, columns, strict=True)]
    )
