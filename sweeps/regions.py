"""Where edits belong in their source picture, whatever their hyperparameters: the plain source's attention to words."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from p2p.blend import word_mask
from p2p.prompts import Prompt, differing_words
from p2p.sampling import Denoised
from p2p.streams import word_place
from sweeps.cells import Cell

THRESHOLD = 0.3
"""Share of a word map's maximum above which it shows the region of an edit."""


def region_words(cell: Cell) -> tuple[str, ...]:
    """The words of the source prompt that show where a cell's edit belongs; () where it names nothing there.

    They are the pair's blend words, else the words that differ, else those that are re-weighted. A sweep over the words
    of `edit.local_blend` has a region for each choice of words.
    """
    blend = cell.edit.local_blend
    if blend.source_words is None and blend.target_words is None:
        return differing_words(cell.source, cell.target)[0] or tuple(sorted(cell.edit.equalizer))
    return tuple(word for word in blend.source_words or () if _has(cell.source, word))


def _has(prompt: Prompt, word: str) -> bool:
    """Whether a prompt has a word; without local blend its words are not checked."""
    try:
        return bool(prompt.tokens_of(word, "edit.local_blend.source_words"))
    except ValueError:
        return False


def words_of(cells: Sequence[Cell]) -> tuple[tuple[str, ...], ...]:
    """The distinct words of some cells of one source, those that name nothing left out."""
    return tuple(dict.fromkeys(words for cell in cells if (words := region_words(cell))))


def source_regions(cells: Sequence[Cell], drawn: Denoised) -> tuple[Bool[Tensor, "height width"] | None, ...]:
    """The region of each cell's edit, on the CPU; None where its words name nothing. The same words share one tensor.

    Where the plain source, the first stream, attends to the words above 0.3 of its most, summed over steps, layers and
    heads and spread to neighbours as local blend does (Prompt-to-Prompt, "local editing").
    """
    source, maps, sampler = drawn.streams[0], drawn.word_maps[0], cells[0].sampler
    known = [] if source.indicators is None else list(source.indicators)
    masks: dict[tuple[str, ...], Tensor | None] = {(): None}
    for words in words_of(cells):
        assert maps is not None, "these words are watched"
        word_map = maps[word_place(source.prompt, words, known)].float()
        masks[words] = word_mask(word_map, THRESHOLD, (sampler.height, sampler.width)).cpu()
    return tuple(masks[region_words(cell)] for cell in cells)


def region_picture(region: Bool[Tensor, "height width"]) -> UInt8[Tensor, "3 height width"]:
    """A region as a black and white picture, to be stored beside the source's."""
    return (region.to(torch.uint8) * 255).expand(3, -1, -1)


def region_of_picture(picture: UInt8[Tensor, "3 height width"]) -> Bool[Tensor, "height width"]:
    """The region that `region_picture` made a picture of, also where JPEG blurred it."""
    return picture[0] > 127
