"""Cells: the points of a sweep, checked, resolved and named by what decides their pixels."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

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


@dataclass(frozen=True)
class ModelId:
    """What of a model decides pixels, and its name for people."""

    name: str
    digest: str
    dtype: str
    blend_resolution: int | None


@dataclass(frozen=True)
class Cell:
    """One point of a sweep: everything that decides the pixels of one edited picture.

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
        return _hash(
            {
                "versions": [IDENTITY_VERSION, PIXELS_VERSION],
                "group": self._group_values(),
                "target_prompt": self.target.text,
                "edit": self.edit.canonical(),
                "cycle_mode": self.cycle_mode,
            }
        )

    @cached_property
    def group_id(self) -> str:
        """Hash of what the source picture depends on: cells that share it share one source stream."""
        return _hash(self._group_values())

    @cached_property
    def config_id(self) -> str:
        """Hash of the hyperparameters: the cell without its prompts, their words and the seed."""
        edit = self.edit.canonical()
        edit.pop("kind")
        edit["equalizer"] = sorted(edit["equalizer"].values())
        windows = edit["cross_replace_steps"]
        if isinstance(windows, dict):
            edit["cross_replace_steps"] = [windows.pop(DEFAULT, None), sorted(windows.values())]
        if "local_blend" in edit:
            edit["local_blend"] = edit["local_blend"]["start_blend"]
        values = {"model": self._model_values(), "sampler": dataclasses.asdict(self.sampler)}
        return _hash({**values, "edit": edit, "cycle_mode": self.cycle_mode})

    @cached_property
    def reverse(self) -> Edit | None:
        """The edit that undoes this one, where the cycle asks for it and there is one."""
        return reverse_edit(self.edit, self.source, self.target) if self.cycle_mode != "none" else None

    def _group_values(self) -> dict[str, Any]:
        return {
            "model": self._model_values(),
            "sampler": dataclasses.asdict(self.sampler),
            "seed": self.seed,
            "source_prompt": self.source.text,
        }

    def _model_values(self) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(self.model).items() if name != "name"}


def _hash(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:16]
