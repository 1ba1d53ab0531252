"""What the metrics read of one edit."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class EditPictures:
    """One cell's pictures as stored, uint8 (3, height, width) on the CPU, and what was asked.

    Attributes:
        cell_id, category, kind, source_prompt, target_prompt, cycle_mode: as in the edits table.
        source: the unedited picture.
        target: the edit.
        cycle: the edit undone, or None.
        words: for a re-weighting the words that it weighs.
        mask: the edit's region, bool (height, width): the exact one of a rendered picture, or the plain source's
            blend-word map; None where a segmenter is to find it or nothing tells.
    """

    cell_id: str
    category: str
    kind: str
    source_prompt: str
    target_prompt: str
    cycle_mode: str
    source: Tensor
    target: Tensor
    cycle: Tensor | None
    words: tuple[str, ...] = ()
    mask: Tensor | None = None
