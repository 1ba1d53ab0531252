"""Local blend: an edit confined to where its words are seen (Prompt-to-Prompt, "local editing")."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from p2p.streams import CompiledStream


def word_mask(
    word_map: Float[Tensor, "map_height map_width"], k: float, size: tuple[int, int]
) -> Bool[Tensor, "height width"]:
    """Where a summed word map, spread to its neighbours and divided by its maximum, is above k."""
    return normalised_map(word_map, size) > k


def normalised_map(
    word_map: Float[Tensor, "map_height map_width"], size: tuple[int, int]
) -> Float[Tensor, "height width"]:
    """The map after a 3 x 3 maximum and nearest resize, as a fraction of its maximum."""
    spread = F.max_pool2d(word_map[None, None], kernel_size=3, stride=1, padding=1)
    resized = F.interpolate(spread, size=size)[0, 0]
    return resized / resized.max()


def blend_streams(
    latents: Float[Tensor, "streams channels height width"],
    streams: Sequence[CompiledStream],
    word_maps: Sequence[Tensor | None],
    step: int,
) -> Float[Tensor, "streams channels height width"]:
    """Give each blending stream its parent's latents outside the union of the two words' masks.

    Parents come first, so a stream's parent has been blended itself.

    Args:
        latents: all streams after the scheduler's step.
        streams: what they do.
        word_maps: per stream its word maps (maps, map_height, map_width), summed over the steps so far.
        step: index of the step just done.
    """
    size = (latents.shape[2], latents.shape[3])
    blended = latents.clone()
    for i, stream in enumerate(streams):
        blend, parent = stream.blend, stream.parent
        if blend is None or parent is None or step < blend.start_step:
            continue
        chosen = [(word_maps[parent], blend.source_map), (word_maps[i], blend.target_map)]
        masks = [word_mask(maps[at], blend.k, size) for maps, at in chosen if maps is not None and at is not None]
        mask = torch.stack(masks).any(0)
        blended[i] = torch.where(mask, latents[i], blended[parent])
    return blended
