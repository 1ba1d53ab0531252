"""What metrics share about the edits scored together: every picture and prompt goes through a network once."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property, partial
from itertools import groupby
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from metrics.attributes import Ask, Attributes, read_ask
from metrics.background import read_region
from metrics.images import to_unit_range
from metrics.networks import Networks, SourceMaps
from metrics.pictures import EditPictures
from metrics.registry import Null
from metrics.structure import structure_distance

T = TypeVar("T")


class Reading(NamedTuple):
    """What a prompt pair asks for and what the classifier reads from the pictures."""

    ask: Ask
    source: Attributes
    target: Attributes


class RegionKey(NamedTuple):
    """A source picture, by the id of its tensor, and a prompt pair; the id of a mask that was given with them."""

    source: int
    mask: int
    source_prompt: str
    target_prompt: str
    kind: str
    words: tuple[str, ...]


class Facts:
    """Facts about some edits, each computed when first asked for. Pictures are known by the identity of their tensor.

    Attributes:
        edits: what is scored.
        networks: what looks at it.
        batch_size: pictures a network sees at a time.
    """

    def __init__(self, edits: Sequence[EditPictures], networks: Networks, batch_size: int) -> None:
        self.edits, self.networks, self.batch_size = edits, networks, batch_size

    @cached_property
    def image_embeds(self) -> dict[int, Tensor]:
        """Unit embeddings of source and edited pictures, by the id of the picture."""
        return self._by_picture(self.edits, self.networks.needed("clip").embed_images)

    @cached_property
    def text_embeds(self) -> dict[str, Tensor | Null]:
        """Unit embeddings of the prompts."""
        clip = self.networks.needed("clip")
        prompts = dict.fromkeys(text for edit in self.edits for text in (edit.source_prompt, edit.target_prompt))
        return {text: Null.TOO_LONG_PROMPT if clip.is_too_long(text) else clip.embed_text(text) for text in prompts}

    @cached_property
    def faces(self) -> dict[int, Tensor | None]:
        """Identity embeddings in the pictures that the encoder can judge, by their ids; None where no face is found."""
        encoder = self.networks.needed("identity")
        faces = [edit for edit in self.edits if edit.category == "faces" and encoder.can_judge(edit.source)]
        return self._by_picture(faces, encoder.embed)

    def attributes_of(self, edit: EditPictures) -> Reading | Null:
        """What was asked and what the classifier reads, or why that cannot be told."""
        ask = self._asks[edit.source_prompt, edit.target_prompt]
        if isinstance(ask, Null):
            return ask
        found = self._attributes[ask.category]
        if id(edit.target) not in found:
            return Null.WRONG_SIZE
        return Reading(ask, found[id(edit.source)], found[id(edit.target)])

    @cached_property
    def outside(self) -> dict[RegionKey, Tensor | Null]:
        """The pixels outside the region of each source picture and prompt pair, bool (height, width), or why not."""
        pairs = {self.region_key(edit): edit for edit in self.edits}
        return {key: self._outside(edit) for key, edit in pairs.items()}

    @staticmethod
    def region_key(edit: EditPictures) -> RegionKey:
        """What an edit's region depends on: nothing of how it was made."""
        return RegionKey(id(edit.source), id(edit.mask), edit.source_prompt, edit.target_prompt, edit.kind, edit.words)

    def _outside(self, edit: EditPictures) -> Tensor | Null:
        region = self._region(edit) if edit.mask is None else edit.mask
        if isinstance(region, Null):
            return region
        return ~region if region.any() and not region.all() else Null.EMPTY_MASK

    def _region(self, edit: EditPictures) -> Tensor | Null:
        finder = self.networks.needed("segmenter")
        if isinstance(finder, SourceMaps):
            return Null.NO_MASK
        ask = read_region(edit)
        if isinstance(ask, Null):
            return ask
        if not finder.can_judge(edit.source):
            return Null.WRONG_SIZE
        found: Tensor = finder.find(edit.source[None], ask.category, ask.wanted, ask.free)[0]
        return found

    def structure_distances(self) -> list[float]:
        """Structure distance of every edit; each source picture goes through the network once, nothing else is kept."""
        network = self.networks.needed("dino")
        sources = {id(edit.source): edit.source for edit in self.edits}
        layouts = {key: network.self_similarity(picture[None])[0] for key, picture in sources.items()}
        values: list[float] = []
        for rows in self._batches(range(len(self.edits)), lambda i: self.edits[i].target.shape):
            edited = network.self_similarity(torch.stack([self.edits[i].target for i in rows]))
            before = torch.stack([layouts[id(self.edits[i].source)] for i in rows])
            values += structure_distance(before, edited).tolist()
        return values

    def masked_distances(
        self, triples: Sequence[tuple[Tensor, Tensor, Tensor]], measure: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> list[float]:
        """As `distances`, for pairs of pictures with the pixels that count."""
        device, values = self.networks.device, list[float]()
        for rows in self._batches(range(len(triples)), lambda i: triples[i][0].shape):
            first, second = self._pair([triples[i][:2] for i in rows])
            pixels = torch.stack([triples[i][2] for i in rows]).to(device)
            values += measure(first, second, pixels).tolist()
        return values

    def distances(
        self, pairs: Sequence[tuple[Tensor, Tensor]], measure: Callable[[Tensor, Tensor], Tensor]
    ) -> list[float]:
        """A distance for each pair of stored pictures, which `measure` gets as floats in [0, 1].

        A first picture that all pairs of a batch share comes to it once.
        """
        values: list[float] = []
        for rows in self._batches(range(len(pairs)), lambda i: pairs[i][0].shape):
            values += measure(*self._pair([pairs[i] for i in rows])).tolist()
        return values

    def _pair(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
        first, second = zip(*pairs, strict=True)
        shared = all(picture is first[0] for picture in first)
        both = (torch.stack(side).to(self.networks.device) for side in (first[:1] if shared else first, second))
        one, other = (to_unit_range(pictures) for pictures in both)
        return one, other

    @cached_property
    def _asks(self) -> dict[tuple[str, str], Ask | Null]:
        pairs = {(edit.source_prompt, edit.target_prompt) for edit in self.edits}
        return {pair: read_ask(*pair) for pair in pairs}

    @cached_property
    def _attributes(self) -> dict[str, dict[int, Attributes]]:
        """By category, then by the id of the picture."""
        reader = self.networks.needed("classifier")
        found: dict[str, dict[int, Attributes]] = {}
        for ask in self._asks.values():
            if isinstance(ask, Ask) and ask.category not in found:
                edits = [edit for edit in self._asked_in(ask.category) if reader.can_judge(edit.source)]
                found[ask.category] = self._by_picture(edits, partial(reader.read, category=ask.category))
        return found

    def _asked_in(self, category: str) -> Iterator[EditPictures]:
        for edit in self.edits:
            ask = self._asks[edit.source_prompt, edit.target_prompt]
            if isinstance(ask, Ask) and ask.category == category:
                yield edit

    def _by_picture(self, edits: Iterable[EditPictures], look: Callable[[Tensor], Iterable[T]]) -> dict[int, T]:
        """What `look` sees in each source and edited picture."""
        pictures = {id(picture): picture for edit in edits for picture in (edit.source, edit.target)}
        found: dict[int, T] = {}
        for ids in self._batches(pictures, lambda i: pictures[i].shape):
            found.update(zip(ids, look(torch.stack([pictures[i] for i in ids])), strict=True))
        return found

    def _batches(self, ids: Iterable[int], shape: Callable[[int], torch.Size]) -> Iterator[list[int]]:
        """Neighbours of one shape, at most `batch_size` at a time."""
        for _, alike in groupby(ids, key=shape):
            rows = list(alike)
            yield from (rows[start : start + self.batch_size] for start in range(0, len(rows), self.batch_size))
