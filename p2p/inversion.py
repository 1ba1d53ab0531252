"""Pictures back to the noise they could have been drawn from: DDIM inversion (Song et al., 2021, section 4.3)."""

from collections.abc import Callable

import diffusers
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from p2p.loading import Models
from p2p.sampling import PromptEmbeds, unet_conditions


@torch.no_grad()
def encode_pictures(
    models: Models, pictures: UInt8[Tensor, "pictures 3 height width"]
) -> Float[Tensor, "pictures channels latents_height latents_width"]:
    """Latents of 8-bit pictures: the mean of the autoencoder's posterior, picture by picture."""
    images = pictures.to(models.device, models.vae.dtype) / 127.5 - 1
    means = [models.vae.encode(image[None]).latent_dist.mean for image in images]
    return (torch.cat(means) * models.vae.config.scaling_factor).to(models.dtype)


@torch.no_grad()
def invert(
    models: Models,
    latents: Float[Tensor, "1 channels height width"],
    prompt_embeds: PromptEmbeds,
    num_inference_steps: int,
    progress: Callable[[int], None] = lambda unet_samples: None,
) -> Float[Tensor, "1 channels height width"]:
    """The noise from which DDIM at guidance 1 draws these latents again, to the order of its step.

    Args:
        models: the networks.
        latents: of one picture.
        prompt_embeds: of the one prompt that describes it.
        num_inference_steps: of the sampler that is to draw it again.
        progress: told after each step how many UNet samples it took: one.
    """
    scheduler = diffusers.DDIMInverseScheduler.from_config(models.scheduler_config)
    scheduler.set_timesteps(num_inference_steps, device=models.device)
    for timestep in scheduler.timesteps:
        conditions = unet_conditions(models, prompt_embeds, None, latents)
        noise_pred = models.unet(latents, timestep, **conditions).sample
        latents = scheduler.step(noise_pred, timestep, latents).prev_sample
        progress(1)
    return latents
