"""Face encoders: each finds the face in a picture, aligns it, and embeds it alone; None where there is no face."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from metrics.images import to_unit_range

Pictures = UInt8[Tensor, "batch 3 height width"]
"""Stored pictures, 0 to 255."""
Embeddings = Sequence[Float[Tensor, " dim"] | None]
"""One a picture; None where no face was found."""

DETECTION_SIZES = ((640, 640), (320, 320))
"""What pictures are fitted into for detection: the library's usual size, then one in which a face that fills the
picture is small enough to be found. The second is used where the first finds none."""


class FaceEncoder(Protocol):
    """What `identity_distance` reads faces with."""

    @property
    def name(self) -> str:
        """Stored with scores."""

    def can_judge(self, picture: Tensor) -> bool:
        """Whether a picture has a size that the networks know."""

    def embed(self, pictures: Pictures) -> Embeddings:
        """The embedding of each picture's face."""


@dataclass(frozen=True)
class WorldFaces:
    """The embedded world's networks, for pictures of `size` pixels a side; they read them in [0, 1].

    Attributes:
        name: stored with scores.
        detect: which of some pictures show a face, bool (batch,), and where its head is, (batch, 4).
        align: pictures and heads to faces of `size`.
        encode: faces to embeddings of unit length.
        size, device: of the networks.
    """

    name: str
    detect: Callable[[Tensor], tuple[Tensor, Tensor]]
    align: Callable[[Tensor, Tensor], Tensor]
    encode: Callable[[Tensor], Tensor]
    size: int
    device: torch.device

    def can_judge(self, picture: Tensor) -> bool:
        """Whether a picture has the size that the networks were trained on."""
        return picture.shape[-2:] == (self.size, self.size)

    def embed(self, pictures: Pictures) -> Embeddings:
        """Embeddings of unit length of the heads, moved to the middle and enlarged to one height."""
        images = to_unit_range(pictures.to(self.device))
        found, boxes = self.detect(images)
        faces = iter(self.encode(self.align(images[found], boxes[found])).cpu() if found.any() else ())
        return [next(faces) if is_there else None for is_there in found.tolist()]


@dataclass(frozen=True)
class PhotographedFaces:
    """insightface's detector (SCRFD, Guo et al., 2022) and encoder (ArcFace, Deng et al., 2019), for any pictures.

    Attributes:
        name: stored with scores.
        detector: gives boxes (n, 5), left, top, right, bottom and score, and five landmarks each (n, 5, 2).
        encoder: aligns a picture, BGR, by its face's landmarks to 112 x 112 pixels and embeds it.
        new_face: makes what the encoder reads of a face.
    """

    name: str
    detector: Any
    encoder: Any
    new_face: Any

    def can_judge(self, picture: Tensor) -> bool:
        """Any picture."""
        return True

    def embed(self, pictures: Pictures) -> Embeddings:
        """Embeddings of the largest faces."""
        return [self._embed(_as_bgr(picture)) for picture in pictures]

    def _embed(self, picture: np.ndarray) -> Tensor | None:
        for size in DETECTION_SIZES:
            boxes, landmarks = self.detector.detect(picture, input_size=size)
            if len(boxes):
                largest = int(np.argmax((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])))
                face = self.new_face(kps=landmarks[largest])
                return torch.from_numpy(self.encoder.get(picture, face).astype(np.float32))
        return None


def _as_bgr(picture: UInt8[Tensor, "3 height width"]) -> np.ndarray:
    return np.ascontiguousarray(picture.permute(1, 2, 0).cpu().numpy()[..., ::-1])
