"""The world's metric networks: attribute classifier, segmenter, face identity encoder and perceptual distance.

Each is built from its weights folder's config.json, `Network(**config)`, and reads pictures of shape
(batch, 3, 128, 128) in the range its docstring states.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import lpips
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

Head = tuple[str, str]

CATEGORY_HEAD: Head = ("all", "category")

Region = tuple[str, str]
"""A factor and the value that it would take."""
HEAD_CATEGORY, HEAD = "faces", "head"
HEAD_REGION: Region = (HEAD, HEAD)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        return F.relu(features + self.norm(self.conv(features)))


class Trunk(nn.Module):
    """Convolutions that halve the size once a stage; a stage's features have its number of channels."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        stages = []
        for before, after in zip((3, *channels[:-1]), channels, strict=True):
            halve = nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False)
            deeper = [] if before == 3 else [_Residual(after)]
            stages.append(nn.Sequential(halve, nn.BatchNorm2d(after), nn.ReLU(), *deeper))
        self.stages = nn.ModuleList(stages)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> list[Tensor]:
        """Every stage's features for pictures in [-1, 1], the finest first."""
        features = []
        for stage in self.stages:
            images = stage(images)
            features.append(images)
        return features


class _Embedder(nn.Module):
    """The trunk's last 4 x 4 map as one hidden vector."""

    def __init__(self, channels: Sequence[int], hidden: int) -> None:
        super().__init__()
        self.trunk = Trunk(channels)
        self.hidden = nn.Linear(channels[-1] * 16, hidden)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.trunk(images * 2 - 1)[-1]
        return F.relu(self.hidden(F.adaptive_avg_pool2d(maps, 4).flatten(1)))


class AttributeClassifier(nn.Module):
    """Names a picture's category and captioned factors; reads pictures in [0, 1].

    `factors` is the world's table category -> factor -> values, which fixes the heads and the order of the logits.
    """

    def __init__(
        self, channels: Sequence[int], hidden: int, factors: Mapping[str, Mapping[str, Sequence[str]]]
    ) -> None:
        super().__init__()
        self.values: dict[Head, tuple[str, ...]] = {CATEGORY_HEAD: tuple(factors)}
        for category, heads in factors.items():
            self.values.update({(category, factor): tuple(values) for factor, values in heads.items()})
        self.embedder = _Embedder(channels, hidden)
        self.heads = nn.ModuleDict({_key(head): nn.Linear(hidden, len(values)) for head, values in self.values.items()})

    def forward(self, images: Float[Tensor, "batch 3 128 128"]) -> dict[Head, Float[Tensor, "batch values"]]:
        """Logits of every head, by (category, factor); `CATEGORY_HEAD` tells the category."""
        hidden = self.embedder(images)
        return {head: self.heads[_key(head)](hidden) for head in self.values}

    @torch.no_grad()
    def predict(self, images: Float[Tensor, "batch 3 128 128"], category: str) -> dict[str, list[str]]:
        """The most likely value of each of the category's factors, one a picture."""
        logits = self(images)
        known = {head for head, _ in self.values} - {CATEGORY_HEAD[0]}
        if category not in known:
            raise ValueError(f"category must be one of {', '.join(sorted(known))}, got {category!r}")
        return {head[1]: self._named(head, logits[head]) for head in self.values if head[0] == category}

    @torch.no_grad()
    def predict_category(self, images: Float[Tensor, "batch 3 128 128"]) -> list[str]:
        """The most likely category of each picture."""
        return self._named(CATEGORY_HEAD, self(images)[CATEGORY_HEAD])

    def _named(self, head: Head, logits: Tensor) -> list[str]:
        return [self.values[head][index] for index in logits.argmax(-1).tolist()]


class IdentityEncoder(nn.Module):
    """Tells people apart whatever their hair, hat, glasses and mood; reads pictures in [0, 1]."""

    def __init__(self, channels: Sequence[int], hidden: int, dim: int) -> None:
        super().__init__()
        self.embedder = _Embedder(channels, hidden)
        self.project = nn.Linear(hidden, dim)

    def forward(self, images: Float[Tensor, "batch 3 128 128"]) -> Float[Tensor, "batch dim"]:
        """Embeddings of unit length; their dot product is the similarity of two people."""
        return F.normalize(self.project(self.embedder(images)), dim=-1)


class Segmenter(nn.Module):
    """Shows where a picture would change if a captioned factor had another value, and where a face's head is.

    A U-Net (Ronneberger et al., 2015) from half the picture's size downwards, with an output a value. Reads pictures in
    [0, 1]; `factors` is the world's table category -> factor -> values, which fixes the regions and their order.
    """

    def __init__(self, channels: Sequence[int], factors: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        super().__init__()
        self.regions: dict[str, tuple[Region, ...]] = {
            category: tuple((factor, value) for factor, values in rows.items() for value in values)
            + ((HEAD_REGION,) if category == HEAD_CATEGORY else ())
            for category, rows in factors.items()
        }
        self.trunk = Trunk(channels)
        widths = list(reversed(channels))
        self.merges = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(deep + fine, fine, 3, padding=1, bias=False), nn.BatchNorm2d(fine), nn.ReLU(), _Residual(fine)
            )
            for deep, fine in pairwise(widths)
        )
        self.heads = nn.ModuleDict(
            {category: nn.Conv2d(channels[0], 4 * len(regions), 1) for category, regions in self.regions.items()}
        )

    def features(self, images: Float[Tensor, "batch 3 128 128"]) -> Float[Tensor, "batch channels 64 64"]:
        """What `locate` reads, of any category."""
        *finer, features = self.trunk(images * 2 - 1)
        for merge, fine in zip(self.merges, reversed(finer), strict=True):
            features = merge(torch.cat([F.interpolate(features, scale_factor=2), fine], dim=1))
        return features

    def locate(
        self, features: Float[Tensor, "batch channels 64 64"], category: str
    ) -> Float[Tensor, "batch regions 128 128"]:
        """Logits of the category's `regions`."""
        return F.pixel_shuffle(self.heads[category](features), 2)

    @torch.no_grad()
    def predict(
        self, images: Float[Tensor, "batch 3 128 128"], category: str, wanted: Mapping[str, str] | None = None
    ) -> dict[str, Bool[Tensor, "batch 128 128"]]:
        """For each factor of the category the pixels that change with it; for faces, under `head`, those of the head.

        Args:
            images: pictures of the category.
            category: which.
            wanted: the new values of factors; others may take any value.

        Raises:
            ValueError: no such category, factor or value.
        """
        if category not in self.regions:
            raise ValueError(f"category must be one of {', '.join(self.regions)}, got {category!r}")
        regions, wanted = self.regions[category], wanted or {}
        for region in wanted.items():
            if region not in regions:
                known = ", ".join(f"{factor}={value}" for factor, value in regions)
                raise ValueError(f"wanted must be among {known}, got {'='.join(region)}")
        seen = self.locate(self.features(images), category) > 0
        found: dict[str, Tensor] = {}
        for (factor, value), mask in zip(regions, seen.unbind(1), strict=True):
            if wanted.get(factor, value) == value:
                found[factor] = found[factor] | mask if factor in found else mask
        return found


class WorldLPIPS(lpips.LPIPS):
    """LPIPS on a trunk trained in the world, averaging plainly over channels; reads pictures in [-1, 1].

    `forward(x, y)` gives distances of shape (batch, 1, 1, 1), 0 for equal pictures.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        nn.Module.__init__(self)
        self.version = "0.1"
        self.pnet_type = "world"
        self.pnet_tune = False
        self.pnet_rand = False
        self.spatial = False
        self.lpips = False
        self.scaling_layer = nn.Identity()
        self.net = Trunk(channels)
        self.chns = list(channels)
        self.L = len(channels)


def _key(head: Head) -> str:
    return "-".join(head)
