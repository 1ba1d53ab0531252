"""Local blend: an edit confined to where its words are seen (Prompt-to-Prompt, "local editing")."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from p2p.streams import Blend, CompiledStream


def word_mask(
    word_map: Float[Tensor, "map_height map_width"], k: float, size: tuple[int, int], spread: bool = True
) -> Bool[Tensor, "height width"]:
    """Where a summed word map, spread to its neighbours unless told otherwise, exceeds k of its maximum."""
    return normalised_map(word_map, size, spread) > k


def normalised_map(
    word_map: Float[Tensor, "map_height map_width"], size: tuple[int, int], spread: bool = True
) -> Float[Tensor, "height width"]:
    """The map as a fraction of its maximum, after a 3 x 3 maximum (`spread`) and nearest resize."""
    maps = word_map[None, None]
    maps = F.max_pool2d(maps, kernel_size=3, stride=1, padding=1) if spread else maps
    resized = F.interpolate(maps, size=size)[0, 0]
    return resized / resized.max()


def blend_streams(
    latents: Float[Tensor, "streams channels height width"],
    streams: Sequence[CompiledStream],
    word_maps: Sequence[Tensor | None],
    step: int,
) -> Float[Tensor, "streams channels height width"]:
    """Give each blending stream its parent's latents outside its mask.

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
        if stream.blend is not None and stream.parent is not None and step >= stream.blend.start_step:
            mask = _blend_mask(stream.blend, word_maps[i], word_maps[stream.parent], size)
            blended[i] = torch.where(mask, latents[i], blended[stream.parent])
    return blended


def _blend_mask(blend: Blend, own: Tensor | None, parents: Tensor | None, size: tuple[int, int]) -> Tensor:
    """The union of the words' masks, less that of the subtracted words."""

    def union(chosen: Sequence[tuple[bool, int]], spread: bool) -> Tensor:
        maps = [(parents if is_parent else own, at) for is_parent, at in chosen]
        masks = [word_mask(of_stream[at], blend.k, size, spread) for of_stream, at in maps if of_stream is not None]
        return torch.stack(masks).any(0)

    mask = union(blend.maps, spread=True)
    return mask & ~union(blend.subtracted, spread=False) if blend.subtracted else mask
