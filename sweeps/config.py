"""From configuration values to checked cells. Everything is refused here, before any work starts."""

import dataclasses
import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

import yaml

from metrics.loading import MetricsConfig
from metrics.registry import Metric, get_metrics
from p2p.edits import Edit, check_keys
from p2p.loading import (
    ModelFiles,
    Models,
    check_dtype,
    load_models,
    load_tokenizer,
    locate_model,
    native_size,
    resolve_device,
)
from p2p.prompts import Prompt, tokenize
from p2p.sampling import SCHEDULERS
from p2p.world.captions import unknown_words
from sweeps.cells import Cell, CycleMode, ModelId, Sampler
from sweeps.digest import model_digest

TRACKING = ("none", "offline", "online")
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

    @property
    def is_world(self) -> bool:
        """Whether it draws the embedded picture world, which its metrics judge and whose words it knows."""
        return self.path == WORLD_PATH and self.lora is None


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep runs: nothing here decides pixels.

    Attributes:
        name: the folder below `results_dir`.
        folder: that folder.
        batch_size: edited streams per UNet call.
        tracking: `none`, `offline` or `online`.
        config: the whole configuration, for the records.
    """

    name: str
    folder: Path
    batch_size: int
    tracking: str
    config: Mapping[str, Any]


@dataclass(frozen=True)
class PlannedCell:
    """A checked cell with what is loaded to draw and to score it.

    `left_out` are the metrics whose networks know the embedded world only, while the model draws something else.
    """

    cell: Cell
    model: ModelConfig
    metrics: MetricsConfig
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pair:
    """A prompt pair of a category: what is edited into what, and the words that carry it."""

    name: str
    source: str
    target: str
    kind: str = "auto"
    source_words: tuple[str, ...] | None = None
    target_words: tuple[str, ...] | None = None
    equalizer: Mapping[str, float] = dataclasses.field(default_factory=dict)


def sweep_settings(config: Mapping[str, Any], experiment: str | None) -> SweepSettings:
    """The run's settings from the whole configuration.

    Raises:
        ValueError: a setting is not what it may be.
    """
    name = config["sweep"]["name"] or experiment or "custom"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", str(name)):
        raise ValueError(
            f"sweep.name must be a plain folder name of letters, digits, '_', '-' and '.', got {name!r}; "
            "results_dir says where the folder lies"
        )
    batch_size = config["sweep"]["batch_size"]
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"sweep.batch_size must be a number of pictures, at least 1, got {batch_size!r}")
    if config["tracking"] not in TRACKING:
        raise ValueError(f"tracking must be one of {', '.join(TRACKING)}, got {config['tracking']!r}")
    folder = Path(str(config["results_dir"])).expanduser() / str(name)
    return SweepSettings(str(name), folder, batch_size, config["tracking"], config)


def model_config(values: Mapping[str, Any]) -> ModelConfig:
    """The model's settings.

    Raises:
        ValueError: unknown key, dtype or device.
    """
    check_keys("model", values, ModelConfig)
    model = ModelConfig(**values)
    check_dtype(model.dtype)
    resolve_device(model.device)
    return model


def load_model(model: ModelConfig) -> Models:
    """The networks of a model's settings."""
    return load_models(
        model.path,
        revision=model.revision,
        config=model.config,
        lora=model.lora,
        dtype=model.dtype,
        device=model.device,
        blend_resolution=model.blend_resolution,
    )


def build_cell(config: Mapping[str, Any]) -> PlannedCell:
    """The cell that a composed configuration describes, everything checked.

    Raises:
        ValueError, FileNotFoundError: what is wrong, with what is allowed and the remedy.
    """
    model = model_config(config["model"])
    files = _locate(model.path, model.revision, model.config, model.lora)
    folder = files.folder
    sampler = _sampler(config["sampler"], native_size(folder))
    category = config["category"]
    pairs = load_pairs(category)
    pair = choose_pair(str(category["name"]), pairs, config["pair"])
    source, target = (_prompt(folder, text, model.is_world) for text in (pair.source, pair.target))
    _prompt(folder, sampler.negative_prompt, model.is_world)
    cycle_mode = config["cycle"]["mode"]
    if cycle_mode not in get_args(CycleMode):
        raise ValueError(f"cycle.mode must be one of {', '.join(get_args(CycleMode))}, got {cycle_mode!r}")
    cell = Cell(
        model=ModelId(model.name, _digest(files), model.dtype, model.blend_resolution),
        sampler=sampler,
        seed=_whole("seed", config["seed"], 0),
        category=str(category["name"]),
        pair=pair.name,
        source=source,
        target=target,
        edit=_edit(config["edit"], pair).resolve(source, target),
        cycle_mode=cycle_mode,
    )
    metrics = MetricsConfig.from_mapping(config["metrics"])
    left_out = (
        ()
        if model.is_world
        else tuple(metric.name for metric in get_metrics(metrics.names) if _is_of_world(metrics, metric))
    )
    names = tuple(name for name in metrics.names if name not in left_out)
    return PlannedCell(cell, model, dataclasses.replace(metrics, names=names), left_out)


def _is_of_world(metrics: MetricsConfig, metric: Metric) -> bool:
    """Whether a metric's network was trained on the embedded picture world, whose pictures alone it can judge."""
    network = getattr(metrics.networks, metric.network) if metric.network else None
    return network is not None and str(network.path).startswith(WORLD_PATH)


def load_pairs(category: Mapping[str, Any]) -> list[Pair]:
    """The prompt pairs of a category's configuration, or of the user's own file `category.file`.

    Raises:
        ValueError: the file or a pair is malformed.
        FileNotFoundError: there is no such file.
    """
    rows, where = category["pairs"], f"conf/category/{category['name']}.yaml"
    if category.get("file"):
        where = str(category["file"])
        rows = _read_pairs(Path(where).expanduser())
    pairs = [_pair(row, f"{where}, pair {i}") for i, row in enumerate(rows)]
    names = [pair.name for pair in pairs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if not pairs or twice:
        raise ValueError(f"{where}: " + (f"pair names must differ, twice: {', '.join(twice)}" if twice else "no pairs"))
    return pairs


def choose_pair(category: str, pairs: list[Pair], choice: int | str) -> Pair:
    """A pair by index or name.

    Raises:
        ValueError: no such pair; the message lists the pairs.
    """
    for i, pair in enumerate(pairs):
        if choice in (i, pair.name) and not isinstance(choice, bool):
            return pair
    close = difflib.get_close_matches(str(choice), [pair.name for pair in pairs], n=1)
    raise ValueError(
        f"pair={choice}: {category} has pairs 0 to {len(pairs) - 1}: {', '.join(pair.name for pair in pairs)}"
        + (f"; did you mean {close[0]}?" if close else "")
    )


def _pair(row: Any, where: str) -> Pair:
    if not isinstance(row, Mapping):
        raise ValueError(f"{where}: a pair has the keys name, source, target (and more), got {row!r}")
    check_keys(where, row, Pair)
    missing = [key for key in ("name", "source", "target") if not isinstance(row.get(key), str)]
    if missing:
        raise ValueError(f"{where}: {', '.join(missing)} must be given as text")
    return Pair(**{**row, "equalizer": dict(row.get("equalizer") or {})})


def _read_pairs(path: Path) -> list[Any]:
    if not path.is_file():
        raise FileNotFoundError(f"category.file={path}: there is no such file")
    try:
        content = yaml.safe_load(path.read_text())
    except yaml.YAMLError as error:
        raise ValueError(f"category.file={path} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, Mapping) or not isinstance(content.get("pairs"), list):
        raise ValueError(f"category.file={path} must have a list `pairs`, as conf/category/faces.yaml has")
    return list(content["pairs"])


def _edit(values: Mapping[str, Any], pair: Pair) -> Edit:
    """The edit's settings, with the pair's kind, blend words and scales where the settings leave them open."""
    filled = dict(values)
    if filled.get("kind", "auto") == "auto":
        filled["kind"] = pair.kind
    blend = dict(filled.get("local_blend") or {})
    if blend.get("source_words") is None and blend.get("target_words") is None:
        blend["source_words"], blend["target_words"] = pair.source_words, pair.target_words
    filled["local_blend"] = blend
    filled["equalizer"] = filled.get("equalizer") or pair.equalizer
    return Edit.from_mapping(filled)


def _sampler(values: Mapping[str, Any], native: int) -> Sampler:
    check_keys("sampler", values, Sampler)
    if values["scheduler"] not in SCHEDULERS:
        raise ValueError(f"sampler.scheduler must be one of {', '.join(SCHEDULERS)}, got {values['scheduler']!r}")
    guidance = values["guidance_scale"]
    if isinstance(guidance, bool) or not isinstance(guidance, int | float) or guidance < 1:
        raise ValueError(f"sampler.guidance_scale must be at least 1 (1 is off), got {guidance!r}")
    height, width = (native if values[side] is None else _whole(f"sampler.{side}", values[side], 8) for side in _SIDES)
    if height % 8 or width % 8:
        raise ValueError(f"sampler.height and sampler.width must be multiples of 8, got {height} and {width}")
    steps = _whole("sampler.num_inference_steps", values["num_inference_steps"], 1)
    if steps > 1000:
        raise ValueError(f"sampler.num_inference_steps must be at most 1000, got {steps}")
    return Sampler(values["scheduler"], steps, float(guidance), str(values["negative_prompt"] or ""), height, width)


_SIDES = ("height", "width")


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number, at least {least}, got {value!r}")
    return value


@cache
def _locate(path: str, revision: str | None, config: str | None, lora: str | None) -> ModelFiles:
    return locate_model(path, revision, config, lora)


@cache
def _digest(files: ModelFiles) -> str:
    return model_digest(files)


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
