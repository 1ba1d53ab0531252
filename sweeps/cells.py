"""Cells: the points of a sweep, checked, resolved and named by what decides their pixels."""

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Literal

from p2p.edits import DEFAULT, Edit, reverse_edit
from p2p.prompts import Prompt

IDENTITY_VERSION = 1
"""Raised when the way a cell is hashed changes."""
PIXELS_VERSION = 1
"""Raised when our code or a required library changes pixels."""

CycleMode = Literal["none", "swap", "invert"]


@dataclass(frozen=True)
class Sampler:
    """How pictures are sampled. height and width in pixels; guidance_scale 1.0 is off."""

    scheduler: str
    num_inference_steps: int
    guidance_scale: float
    negative_prompt: str
    height: int
    width: int

    @cached_property
    def canonical_json(self) -> str:
        """All of it as JSON with sorted keys."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)


@dataclass(frozen=True)
class ModelId:
    """What of a model decides pixels, and its name for people."""

    name: str
    digest: str
    dtype: str
    blend_resolution: int | None

    @cached_property
    def canonical_json(self) -> str:
        """What decides pixels as JSON with sorted keys."""
        values = dataclasses.asdict(self)
        values.pop("name")
        return json.dumps(values, sort_keys=True)


@dataclass(frozen=True)
class Cell:
    """One point of a sweep: everything that decides the pixels of one edited picture.

    The cells of a sweep share models, samplers, prompts and edits, and each of these keeps its part of what is hashed.

    Attributes:
        model, sampler, seed: what the source picture depends on, with the source prompt.
        category, pair: where the prompts come from.
        source, target: the two prompts, tokenized.
        edit: resolved for the prompts.
        cycle_mode: how the edit is undone for the cycle scores.
    """

    model: ModelId
    sampler: Sampler
    seed: int
    category: str
    pair: str
    source: Prompt
    target: Prompt
    edit: Edit
    cycle_mode: CycleMode = "none"

    @cached_property
    def cell_id(self) -> str:
        """Hash of what decides the pixels and of nothing else, 16 hex digits."""
        return self._hashed(self.model, _VERSIONS)

    @property
    def settings_id(self) -> str:
        """Hash of what was asked for: the cell whatever the model's weights and our versions are."""
        return self._hashed(dataclasses.replace(self.model, digest=""), "null")

    @cached_property
    def group_id(self) -> str:
        """Hash of what the source picture depends on: cells that share it share one source stream."""
        return _shared_digest(self._group_json(self.model))

    @cached_property
    def config_id(self) -> str:
        """Hash of the hyperparameters: the cell without its prompts, their words and the seed."""
        return _shared_digest(
            _object(
                cycle_mode=json.dumps(self.cycle_mode),
                edit=_without_words(self.edit.canonical_json),
                model=self.model.canonical_json,
                sampler=self.sampler.canonical_json,
            )
        )

    @cached_property
    def reverse(self) -> Edit | None:
        """The edit that undoes this one, where the cycle asks for it and there is one."""
        return reverse_edit(self.edit, self.source, self.target) if self.cycle_mode != "none" else None

    def _hashed(self, model: ModelId, versions: str) -> str:
        return _digest(
            _object(
                cycle_mode=json.dumps(self.cycle_mode),
                edit=self.edit.canonical_json,
                group=self._group_json(model),
                target_prompt=json.dumps(self.target.text),
                versions=versions,
            )
        )

    def _group_json(self, model: ModelId) -> str:
        return _object(
            model=model.canonical_json,
            sampler=self.sampler.canonical_json,
            seed=json.dumps(self.seed),
            source_prompt=json.dumps(self.source.text),
        )


_VERSIONS = json.dumps([IDENTITY_VERSION, PIXELS_VERSION])


@lru_cache(maxsize=1 << 16)
def _without_words(edit_json: str) -> str:
    """The JSON of an edit without what depends on its prompts: the kind, and words wherever they stand."""
    edit = json.loads(edit_json)
    edit.pop("kind")
    edit["equalizer"] = sorted(edit["equalizer"].values())
    windows = edit["cross_replace_steps"]
    if isinstance(windows, dict):
        edit["cross_replace_steps"] = [windows.pop(DEFAULT, None), sorted(windows.values())]
    if "local_blend" in edit:
        edit["local_blend"] = edit["local_blend"]["start_blend"]
    return json.dumps(edit, sort_keys=True)


def _object(**members: str) -> str:
    """A JSON object as `json.dumps` with sorted keys writes it, from members in JSON."""
    return "{" + ", ".join([f'"{key}": {text}' for key, text in sorted(members.items())]) + "}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@lru_cache(maxsize=1 << 12)
def _shared_digest(text: str) -> str:
    return _digest(text)
