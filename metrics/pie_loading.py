"""Settings and loading of PIE-Bench's metrics and their networks."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS
from transformers import CLIPModel, CLIPProcessor

from metrics.dino_loading import from_transformers, load_dino, not_to_be_had
from metrics.loading import NetworkConfig
from metrics.pie import PIE_METRICS, PieNetworks
from p2p.checks import check_keys
from p2p.loading import resolve_device, resolve_path

BACKENDS: Mapping[str, str] = {"lpips": "torchmetrics", "clip": "transformers", "structure": "transformers"}
_REMEDY = (
    "run p2p-prefetch metrics=pie on a machine with network that shares its cache, or set {where}.path to {instead}; "
    "metrics=pie_pixel needs no network"
)


@dataclass(frozen=True)
class PieConfig:
    """Which of PIE-Bench's metrics, and by which networks.

    Attributes:
        names: of metrics, in the order of columns.
        networks: by kind.
    """

    names: tuple[str, ...]
    networks: Mapping[str, NetworkConfig] = field(default_factory=dict)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "PieConfig":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, metric or backend, or a metric without its network.
        """
        check_keys("metrics", values, cls)
        names = _checked_names(values.get("names"))
        networks: dict[str, NetworkConfig] = {}
        for kind, settings in (values.get("networks") or {}).items():
            if kind not in BACKENDS:
                raise ValueError(f"unknown key metrics.networks.{kind}; known: {', '.join(BACKENDS)}")
            if settings is not None:
                networks[kind] = _network(kind, settings)
        for name in names:
            needed = PIE_METRICS[name].network
            if needed and needed not in networks:
                raise ValueError(f"metrics.names has {name}, which needs metrics.networks.{needed}; see metrics=pie")
        return cls(names, networks)


def load_pie_networks(config: PieConfig, device: str = "auto") -> PieNetworks:
    """Load the networks that the configured metrics need, no others.

    Raises:
        FileNotFoundError: a network is neither on this machine nor to be had.
        ValueError: the device is unknown, or a file holds other weights.
    """
    where = resolve_device(device)
    needed = sorted({kind for name in config.names if (kind := PIE_METRICS[name].network)})
    loaded: dict[str, Any] = {kind: _LOADERS[kind](config.networks[kind], where) for kind in needed}
    return PieNetworks(**loaded, device=where)


def is_pie(values: Mapping[str, Any]) -> bool:
    """Whether a `metrics` section asks for PIE-Bench's metrics."""
    names = values.get("names") or ()
    return not isinstance(names, str) and any(str(name).startswith("pie_") for name in names)


def _checked_names(names: Any) -> tuple[str, ...]:
    known = ", ".join(PIE_METRICS)
    if isinstance(names, str) or not names:
        raise ValueError(f"metrics.names must be a list of PIE-Bench's metrics, got {names!r}; known: {known}")
    for name in names:
        if name not in PIE_METRICS:
            close = difflib.get_close_matches(str(name), PIE_METRICS, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]}?" if close else ";"
            raise ValueError(f"{name!r} is no metric of PIE-Bench{hint} Known: {known}")
    if len(set(names)) < len(names):
        raise ValueError(f"metrics.names must have every metric once, got {', '.join(names)}")
    return tuple(names)


def _network(kind: str, values: Any) -> NetworkConfig:
    where = f"metrics.networks.{kind}"
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping such as {{backend: ..., path: ...}}, got {values!r}")
    check_keys(where, values, NetworkConfig)
    config = NetworkConfig(**{"backend": None, **values})
    if config.backend != BACKENDS[kind]:
        raise ValueError(f"{where}.backend must be {BACKENDS[kind]}, got {config.backend!r}")
    if config.pretrained is not None:
        raise ValueError(f"{where}.pretrained must be null, got {config.pretrained!r}; model or path say which")
    if kind == "lpips" and config.model != "squeeze":
        raise ValueError(f"{where}.model must be squeeze, got {config.model!r}")
    if config.model is None and config.path is None:
        raise ValueError(f"{where} must have model or path")
    return config


def _load_lpips(config: NetworkConfig, device: torch.device) -> nn.Module:
    """torchmetrics' LPIPS with its own linear heads; the trunk from torchvision, or from torchvision's file."""
    where = "metrics.networks.lpips"
    if config.path is None:
        try:
            network = _LPIPS(net="squeeze")
        except (URLError, OSError, RuntimeError) as error:
            raise not_to_be_had(where, "torchvision's SqueezeNet 1.1", "its weights' file", _REMEDY, error) from error
    else:
        network = _LPIPS(net="squeeze", pnet_rand=True)
        _load_trunk(network.net, where, config.path)
    return network.to(device).eval().requires_grad_(False)


def _load_trunk(trunk: nn.Module, where: str, path: str) -> None:
    file = resolve_path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{where}.path={path}: there is no such file; give torchvision's SqueezeNet 1.1")
    try:
        weights = load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu")
        names = {key: "features." + key.split(".", 2)[2] for key in trunk.state_dict()}  # slices.2.6.squeeze.weight
        trunk.load_state_dict({key: weights[name] for key, name in names.items()})
    except Exception as error:
        raise ValueError(f"{where}.path={path}: these are no weights of torchvision's SqueezeNet 1.1") from error


def _load_clip(config: NetworkConfig, device: torch.device) -> tuple[Any, Any]:
    def load(source: str) -> tuple[Any, Any]:
        return CLIPModel.from_pretrained(source), CLIPProcessor.from_pretrained(source)

    model, processor = from_transformers("metrics.networks.clip", config.model, config.path, _REMEDY, load)
    return model.to(device).eval().requires_grad_(False), processor


def _load_structure(config: NetworkConfig, device: torch.device) -> nn.Module:
    return load_dino("metrics.networks.structure", config.model, config.path, _REMEDY, device)


_LOADERS: Mapping[str, Callable[[NetworkConfig, torch.device], Any]] = {
    "lpips": _load_lpips,
    "clip": _load_clip,
    "structure": _load_structure,
}
