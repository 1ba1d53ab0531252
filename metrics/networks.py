"""The networks that metrics take as arguments. Each knows its name, which is stored with every score."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from metrics.faces import FaceEncoder
from metrics.images import to_unit_range
from metrics.registry import Metric, NetworkKind
from metrics.structure import self_similarity

Pictures = UInt8[Tensor, "batch 3 height width"]
"""Stored pictures, 0 to 255."""


@dataclass(frozen=True)
class ImageText:
    """An image-text model in open_clip's form.

    Attributes:
        name: stored with scores.
        model: gives embeddings by `encode_image` and `encode_text`.
        preprocess: a PIL image to the model's input.
        tokenize: texts to tokens, cut or padded to `context_length`.
        device: where the model is.
    """

    name: str
    model: Any
    preprocess: Callable[[Image.Image], Tensor]
    tokenize: Callable[..., Tensor]
    device: torch.device

    def embed_images(self, pictures: Pictures) -> Float[Tensor, "batch dim"]:
        """Embeddings of unit length."""
        images = [Image.fromarray(picture.permute(1, 2, 0).cpu().numpy()) for picture in pictures]
        batch = torch.stack([self.preprocess(image) for image in images])
        return F.normalize(self.model.encode_image(batch.to(self.device)).float(), dim=-1).cpu()

    def embed_text(self, text: str) -> Float[Tensor, " dim"]:
        """An embedding of unit length."""
        tokens = self.tokenize([text]).to(self.device)
        return F.normalize(self.model.encode_text(tokens)[0].float(), dim=-1).cpu()

    def is_too_long(self, text: str) -> bool:
        """Whether the model would read only the text's beginning."""
        length = int(self.model.context_length)
        cut, whole = self.tokenize([text], context_length=length), self.tokenize([text], context_length=4 * length)
        return not torch.equal(cut, whole[:, :length])


@dataclass(frozen=True)
class PerceptualDistance:
    """An LPIPS network: pictures in [-1, 1] to distances of shape (batch, 1, 1, 1)."""

    name: str
    module: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class AttributeReader:
    """An attribute classifier: its `predict` takes pictures in [0, 1] of `size` pixels a side, and their category."""

    name: str
    module: Any
    size: int
    device: torch.device

    def can_judge(self, picture: Tensor) -> bool:
        """Whether a picture has the size that the network was trained on."""
        return picture.shape[-2:] == (self.size, self.size)

    def read(self, pictures: Pictures, category: str) -> list[dict[str, str]]:
        """Each picture's factors of the category, by name."""
        images = to_unit_range(pictures.to(self.device))
        found = self.module.predict(images, category)
        return [{factor: values[i] for factor, values in found.items()} for i in range(len(pictures))]


@dataclass(frozen=True)
class RegionFinder:
    """A segmenter: its `predict` shows where pictures in [0, 1] of `size` pixels a side change with a factor."""

    name: str
    module: Any
    size: int
    device: torch.device

    def can_judge(self, picture: Tensor) -> bool:
        """Whether a picture has the size that the network was trained on."""
        return picture.shape[-2:] == (self.size, self.size)

    def find(
        self, pictures: Pictures, category: str, wanted: Mapping[str, str], free: Collection[str]
    ) -> Bool[Tensor, "batch height width"]:
        """Where the pictures change if some factors take the wanted values, or any where they are free."""
        found = self.module.predict(to_unit_range(pictures.to(self.device)), category, wanted)
        return torch.stack([found[factor] for factor in (*wanted, *free)]).any(0).cpu()


@dataclass(frozen=True)
class LayoutReader:
    """A DINO vision transformer of the transformers library, whose keys tell a picture's layout."""

    name: str
    module: Any
    device: torch.device

    def self_similarity(self, pictures: Pictures) -> Float[Tensor, "batch tokens tokens"]:
        """Cosines between the keys of each picture's tokens."""
        return self_similarity(self.module, to_unit_range(pictures.to(self.device)))


@dataclass(frozen=True)
class SourceMaps:
    """No network: the region is the plain source's blend-word map, drawn with the source and given with the edit."""

    name: str = "source-map"


@dataclass(frozen=True)
class Networks:
    """What is loaded for scoring, and where it computes."""

    clip: ImageText | None = None
    lpips: PerceptualDistance | None = None
    identity: FaceEncoder | None = None
    classifier: AttributeReader | None = None
    segmenter: RegionFinder | SourceMaps | None = None
    dino: LayoutReader | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def needed(self, kind: NetworkKind) -> Any:
        """The network of a kind.

        Raises:
            ValueError: it is not loaded.
        """
        network = getattr(self, kind)
        if network is None:
            raise ValueError(f"no {kind} network is loaded; give metrics.networks.{kind}, or leave its metrics out")
        return network

    def name_of(self, metric: Metric) -> str:
        """The name that a metric's scores carry: of its networks, `none` without any."""
        return "+".join(str(self.needed(kind).name) for kind in metric.networks) or "none"
