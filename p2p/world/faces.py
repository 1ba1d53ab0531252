"""Where a drawn face is: detection and alignment before people are told apart."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from p2p.world.drawing.faces import head_box
from p2p.world.drawing.pen import Nuisance
from p2p.world.networks import Trunk
from p2p.world.scenes import Scene

MIDDLE, HEIGHT = (0.5, 0.505), 0.555
"""Where alignment puts heads: the means of drawn ones, so that the identity encoder sees pictures as it was trained."""
SIDE = 64
"""Of the pictures that the detector looks at, whatever it is given."""


def true_box(scene: Scene) -> tuple[float, float, float, float]:
    """A face's head, exactly: its middle (x, y), width and height, as shares of the picture's sides.

    Raises:
        ValueError: the scene is no face.
    """
    if scene.category != "faces":
        raise ValueError(f"scene: expected a face, got one of {scene.category}")
    return head_box(Nuisance(scene.subject), Nuisance(scene.setting))


class FaceDetector(nn.Module):
    """Finds the head in a picture of the world, if there is one; reads pictures in [0, 1]."""

    def __init__(self, channels: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.hidden = nn.Linear(channels[-1] * 16, hidden)
        self.answer = nn.Linear(hidden, 5)

    def forward(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Float[Tensor, " batch"], Float[Tensor, "batch 4"]]:
        """Logits of a face being there, and its head's middle (x, y), width and height as shares of the sides."""
        small = F.interpolate(images, size=(SIDE, SIDE), mode="area")
        maps = F.adaptive_avg_pool2d(self.trunk(small * 2 - 1)[-1], 4)
        answer = self.answer(F.relu(self.hidden(maps.flatten(1))))
        return answer[:, 0], answer[:, 1:].sigmoid()

    @torch.no_grad()
    def detect(
        self, images: Float[Tensor, "batch 3 height width"]
    ) -> tuple[Bool[Tensor, " batch"], Float[Tensor, "batch 4"]]:
        """Whether each picture shows a face, and where its head would be, as `forward` gives it."""
        logits, boxes = self(images)
        return logits > 0, boxes


def align(
    images: Float[Tensor, "batch 3 height width"], boxes: Float[Tensor, "batch 4"]
) -> Float[Tensor, "batch 3 height width"]:
    """Pictures shifted and scaled so that their heads are at `MIDDLE` and `HEIGHT` high; their borders are repeated."""
    scale = boxes[:, 3] / HEIGHT
    zero = torch.zeros_like(scale)
    across, down = (2 * boxes[:, side] - 1 - scale * (2 * MIDDLE[side] - 1) for side in (0, 1))
    rows = torch.stack([scale, zero, across, zero, scale, down], dim=1).view(-1, 2, 3)
    grid = F.affine_grid(rows, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid.to(images.dtype), padding_mode="border", align_corners=False)
