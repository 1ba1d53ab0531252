"""From configuration values to checked cells. Everything is refused here, before any work starts."""

import dataclasses
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args

from metrics.loading import MetricsConfig, not_installed
from metrics.registry import Metric, get_metrics
from p2p.checks import check_keys, check_whole
from p2p.edits import Edit
from p2p.loading import (
    ModelFiles,
    Models,
    blend_downscale,
    check_device,
    check_dtype,
    load_models,
    load_tokenizer,
    locate_model,
    native_size,
    pinned_revision,
    unet_config,
)
from p2p.prompts import Prompt, tokenize
from p2p.sampling import SCHEDULERS
from p2p.world.captions import unknown_words
from sweeps.cells import Cell, CycleMode, ModelId, Sampler
from sweeps.digest import model_digest
from sweeps.pairs import Pair, choose_pair, is_pattern, load_pairs, match_pairs

T = TypeVar("T")
CYCLE_MODES = get_args(CycleMode)
WORLD_PATH = "pkg://p2p.world/weights"


@dataclass(frozen=True)
class ModelConfig:
    """Which diffusion model, and where it runs.

    Attributes:
        name: for people and tables.
        path: folder, `pkg://` folder, hub id, or a .safetensors checkpoint.
        revision: the hub's revision.
        config: for a checkpoint, the pipeline (folder or hub id) that it has the architecture of.
        lora: a .safetensors file of LoRA weights, or None.
        dtype: of the networks.
        device: `auto`, `cpu`, `cuda`, `cuda:1`, ...
        blend_resolution: side of the attention maps that local blend reads at the model's native size.
    """

    name: str
    path: str
    revision: str | None = None
    config: str | None = None
    lora: str | None = None
    dtype: str = "float32"
    device: str = "auto"
    blend_resolution: int | None = None

    def __hash__(self) -> int:
        return hash((self.name, self.path))

    @property
    def is_world(self) -> bool:
        """Whether it draws the embedded picture world, which its metrics judge and whose words it knows."""
        return self.path == WORLD_PATH and self.lora is None


@dataclass(frozen=True)
class PlannedCell:
    """A checked cell with what is loaded to draw and to score it; cells of a sweep share `model` and `metrics`.

    `left_out` are the metrics whose networks know the embedded world only, while the model draws something else, and
    those whose optional library is not installed.
    """

    cell: Cell
    model: ModelConfig
    metrics: MetricsConfig
    left_out: tuple[str, ...] = ()


def model_config(values: Mapping[str, Any]) -> ModelConfig:
    """The model's settings.

    Raises:
        ValueError: unknown key, dtype or device.
    """
    check_keys("model", values, ModelConfig)
    model = ModelConfig(**values)
    check_dtype(model.dtype)
    check_device(model.device)
    return model


def load_model(model: ModelConfig) -> Models:
    """The networks of a model's settings."""
    models = load_models(
        model.path,
        revision=model.revision,
        config=model.config,
        lora=model.lora,
        dtype=model.dtype,
        device=model.device,
        blend_resolution=model.blend_resolution,
    )
    if models.device.type == "cpu" and model.dtype in ("float16", "bfloat16"):
        print(f"model {model.name} computes on the CPU in {model.dtype}: no GPU is here, or asked for", file=sys.stderr)
    return models


def build_cell(config: Mapping[str, Any]) -> PlannedCell:
    """The cell that a composed configuration describes, everything checked.

    Raises:
        ValueError, FileNotFoundError: what is wrong, with what is allowed and the remedy.
    """
    return CellBuilder()(config)


class CellBuilder:
    """`build_cell` for many configurations: what several of them have in common is checked once and is one object.

    A section (`config["edit"]`, ...) is known again by being the same object, so sections must not change meanwhile.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def __call__(self, config: Mapping[str, Any]) -> PlannedCell:
        """The cell of one configuration.

        Raises:
            ValueError, FileNotFoundError: what is wrong, with what is allowed and the remedy.
        """
        model = self._once(_located, config["model"])
        sampler = self._once(_sampler, config["sampler"], model)
        task = self._once(_task, config["category"], config["pair"], model)
        cycle_mode = config["cycle"]["mode"]
        if cycle_mode not in CYCLE_MODES:
            raise ValueError(f"cycle.mode must be one of {', '.join(CYCLE_MODES)}, got {cycle_mode!r}")
        seed = check_whole("seed", config["seed"], 0)
        edit = self._once(_edit, self._once(_edit_settings, config["edit"]), task)
        metrics, left_out = self._once(_metrics, config["metrics"], model)
        cell = Cell(
            model.identity, sampler, seed, task.category, task.pair.name, task.source, task.target, edit, cycle_mode
        )
        return PlannedCell(cell, model.config, metrics, left_out)

    def each_pair(self, config: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        """The configuration once for every pair that `pair='glob(...)'` chooses; else itself.

        Raises:
            ValueError: the pattern chooses none of the category's pairs that the model draws.
        """
        if not is_pattern(config["pair"]):
            return (config,)
        model = self._once(_located, config["model"])
        return [{**config, "pair": name} for name in self._once(_matching, config["category"], config["pair"], model)]

    def _once(self, make: Callable[..., T], *parts: Any) -> T:
        """`make(*parts)`, remembered; the parts are kept, so that an id stays theirs."""
        key = (make, *map(id, parts))
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = (make(*parts), parts)
        made: T = found[0]
        return made


@dataclass(frozen=True)
class _Located:
    """A model's settings, with the commit it was found at, its folder, and what of it decides pixels."""

    config: ModelConfig
    folder: Path
    identity: ModelId


@dataclass(frozen=True)
class _Task:
    """A pair of a category with its prompts, tokenized."""

    category: str
    pair: Pair
    source: Prompt
    target: Prompt


@dataclass(frozen=True)
class _EditSettings:
    """An edit as configured, and the scale of the words that its pair will name."""

    edit: Edit
    equalizer_scale: float | None


def _located(values: Mapping[str, Any]) -> _Located:
    model = model_config(values)
    files = _locate(model.path, model.revision, model.config, model.lora)
    blend_downscale(unet_config(files.folder), model.blend_resolution)
    model = dataclasses.replace(model, revision=pinned_revision(files) or model.revision)
    return _Located(model, files.folder, ModelId(model.name, _digest(files), model.dtype, model.blend_resolution))


def _matching(category: Mapping[str, Any], pattern: str, model: _Located) -> list[str]:
    return match_pairs(str(category["name"]), load_pairs(category), pattern, model.config.is_world)


def _task(category: Mapping[str, Any], choice: int | str, model: _Located) -> _Task:
    name = str(category["name"])
    pair = choose_pair(name, load_pairs(category), choice, model.config.is_world)
    source, target = (_prompt(model.folder, text, model.config.is_world) for text in (pair.source, pair.target))
    return _Task(name, pair, source, target)


def _edit_settings(values: Mapping[str, Any]) -> _EditSettings:
    own = {key: value for key, value in values.items() if key != "equalizer_scale"}
    edit, scale = Edit.from_mapping(own), values.get("equalizer_scale")
    if scale is not None:
        if isinstance(scale, bool) or not isinstance(scale, int | float):
            raise ValueError(f"edit.equalizer_scale must be a number, or null, got {scale!r}")
        if edit.equalizer:
            raise ValueError("edit.equalizer names words with scales, edit.equalizer_scale scales the pair's; give one")
    return _EditSettings(edit, scale)


def _edit(settings: _EditSettings, task: _Task) -> Edit:
    """The edit of a pair, with the pair's kind, blend words and scales where the settings leave them open."""
    edit, pair, blend = settings.edit, task.pair, settings.edit.local_blend
    if blend.source_words is None and blend.target_words is None:
        blend = dataclasses.replace(blend, source_words=pair.source_words, target_words=pair.target_words)
    filled = dataclasses.replace(
        edit,
        kind=pair.kind if edit.kind == "auto" else edit.kind,
        local_blend=blend,
        equalizer=edit.equalizer or _scales(settings.equalizer_scale, task),
    )
    return filled.resolve(task.source, task.target)


def _scales(scale: float | None, task: _Task) -> Mapping[str, float]:
    """The pair's scales, its words with another scale if there is one."""
    if scale is None:
        return task.pair.equalizer
    words = task.pair.scaled_words(task.source, task.target)
    if not words:
        raise ValueError(
            f"edit.equalizer_scale={scale:g}: pair {task.pair.name} of {task.category} names no word to scale; "
            "give words with edit.equalizer={word: scale}, or the pair an equalizer"
        )
    return dict.fromkeys(words, scale)


def _metrics(values: Mapping[str, Any], model: _Located) -> tuple[MetricsConfig, tuple[str, ...]]:
    """What is scored, and the names left out: of networks that know the embedded world only, or lack their library."""
    metrics = MetricsConfig.from_mapping(values)
    chosen = () if model.config.is_world else get_metrics(metrics.names)
    left_out = (*(m.name for m in chosen if knows_world_only(metrics, m)), *not_installed(metrics))
    names = tuple(name for name in metrics.names if name not in left_out)
    return dataclasses.replace(metrics, names=names), left_out


def knows_world_only(metrics: MetricsConfig, metric: Metric) -> bool:
    """Whether a metric's network was trained on the embedded picture world, whose pictures alone it can judge."""
    return any(str(network.path).startswith(WORLD_PATH) for network in metrics.networks_of(metric))


def _sampler(values: Mapping[str, Any], model: _Located) -> Sampler:
    check_keys("sampler", values, Sampler)
    if values["scheduler"] not in SCHEDULERS:
        raise ValueError(f"sampler.scheduler must be one of {', '.join(SCHEDULERS)}, got {values['scheduler']!r}")
    guidance = values["guidance_scale"]
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or guidance < 1:
        raise ValueError(f"sampler.guidance_scale must be at least 1 (1 is off), got {guidance!r}")
    native = native_size(model.folder)
    height, width = (
        native if values[side] is None else check_whole(f"sampler.{side}", values[side], 8) for side in _SIDES
    )
    if height % 8 or width % 8:
        raise ValueError(f"sampler.height and sampler.width must be multiples of 8, got {height} and {width}")
    steps = check_whole("sampler.num_inference_steps", values["num_inference_steps"], 1)
    if steps > 1000:
        raise ValueError(f"sampler.num_inference_steps must be at most 1000, got {steps}")
    negative = str(values["negative_prompt"] or "")
    _prompt(model.folder, negative, model.config.is_world)
    return Sampler(values["scheduler"], steps, float(guidance), negative, height, width)


_SIDES = ("height", "width")


@cache
def _locate(path: str, revision: str | None, config: str | None, lora: str | None) -> ModelFiles:
    return locate_model(path, revision, config, lora)


@cache
def _digest(files: ModelFiles) -> str:
    return model_digest(files)


def world_digest() -> str:
    """The digest of the embedded model, whose pictures networks trained on its world can judge."""
    return _digest(_locate(WORLD_PATH, None, None, None))


@cache
def _tokenizer(folder: Path) -> Any:
    return load_tokenizer(folder)


@cache
def _prompt(folder: Path, text: str, is_world: bool) -> Prompt:
    unknown = unknown_words(text) if is_world else []
    if unknown:
        raise ValueError(
            f"the embedded model does not know {', '.join(map(repr, unknown))} in the prompt {text!r}; "
            "p2p/world/captions.py has its words; any words work with model=sd14"
        )
    return tokenize(_tokenizer(folder), text)


def describe(values: Mapping[str, Any]) -> str:
    """A cell's axis values in one line, for messages."""
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in values.items()}
    return " ".join(f"{key}={text}" for key, text in texts.items())
