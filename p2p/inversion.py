"""Pictures back to the noise they could have been drawn from: DDIM inversion (Song et al., 2021, section 4.3)."""

from collections.abc import Callable

import diffusers
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from p2p.loading import Models
from p2p.sampling import PromptEmbeds, unet_conditions, whole_batch


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
    latents: Float[Tensor, "pictures channels height width"],
    prompt_embeds: PromptEmbeds,
    num_inference_steps: int,
    batch_size: int = 1,
    progress: Callable[[int], None] = lambda unet_samples: None,
) -> Float[Tensor, "pictures channels height width"]:
    """The noise from which DDIM at guidance 1 draws these latents again, to the order of its step.

    Args:
        models: the networks.
        latents: of pictures.
        prompt_embeds: of the prompt that describes each.
        num_inference_steps: of the sampler that is to draw them again.
        batch_size: latents per UNet call, made a `whole_batch` and padded to it as in `denoise`.
        progress: told after each step how many UNet samples it took: one a picture.
    """
    scheduler = diffusers.DDIMInverseScheduler.from_config(models.scheduler_config)
    scheduler.set_timesteps(num_inference_steps, device=models.device)
    size, found = whole_batch(batch_size, guidance_scale=1.0), []
    for start in range(0, len(latents), size):
        rows = list(range(start, min(start + size, len(latents))))
        padded = rows + rows[-1:] * (size - len(rows))
        batch, embeds = latents[padded], prompt_embeds.rows(padded)
        for timestep in scheduler.timesteps:
            noise_pred = models.unet(batch, timestep, **unet_conditions(models, embeds, None, batch)).sample
            batch = scheduler.step(noise_pred, timestep, batch).prev_sample
            progress(len(rows))
        found.append(batch[: len(rows)])
    return torch.cat(found)
