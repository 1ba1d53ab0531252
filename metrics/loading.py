"""Loading of the networks that metrics use; the only module of `metrics` that reads files.

Libraries that take seconds to import are imported where a network of theirs is loaded.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import nn

from metrics.faces import FaceEncoder, WorldFaces
from metrics.faces_loading import is_installed, load_photographed_faces
from metrics.networks import (
    AttributeReader,
    ImageText,
    LayoutReader,
    Networks,
    PerceptualDistance,
    RegionFinder,
    SourceMaps,
)
from metrics.registry import METRICS, Metric, NetworkKind, get_metrics
from p2p.checks import check_keys
from p2p.loading import resolve_device, resolve_path
from p2p.world.scenes import SIZE

__all__ = ["MetricsConfig", "NetworkConfig", "Networks", "NetworksConfig", "load_networks"]

Module = TypeVar("Module", bound=nn.Module)
BACKENDS: Mapping[NetworkKind, tuple[str, ...]] = {
    "clip": ("open_clip",),
    "lpips": ("lpips", "world"),
    "identity": ("world", "insightface"),
    "classifier": ("world",),
    "segmenter": ("world", "source_map"),
    "dino": ("transformers",),
}
_EXAMPLES = {"dino": "real"}
_REMEDY = (
    "run p2p-prefetch metrics=real on a machine with network that shares its cache, or set {where}.path to {instead}"
)
LPIPS_TRUNKS = ("alex", "vgg", "squeeze")


@dataclass(frozen=True)
class NetworkConfig:
    """Which network to load, and from where.

    Attributes:
        backend: the library it comes from, see `BACKENDS`.
        model: its name there; for a network from `path`, the name that scores carry.
        pretrained: the library's tag of the weights.
        path: folder or file on this machine, or `pkg://package/folder`; None is the library's own place.
    """

    backend: str
    model: str | None = None
    pretrained: str | None = None
    path: str | None = None


@dataclass(frozen=True)
class NetworksConfig:
    """One network a kind, or None."""

    clip: NetworkConfig | None = None
    lpips: NetworkConfig | None = None
    identity: NetworkConfig | None = None
    classifier: NetworkConfig | None = None
    segmenter: NetworkConfig | None = None
    dino: NetworkConfig | None = None


@dataclass(frozen=True)
class RealismConfig:
    """Where the plain pictures are that `realism` holds edits against: a sweep's folder, or None for no realism."""

    reference: str | None = None


@dataclass(frozen=True)
class MetricsConfig:
    """What to score and with which networks."""

    names: tuple[str, ...] = ()
    networks: NetworksConfig = field(default_factory=NetworksConfig)
    realism: RealismConfig = field(default_factory=RealismConfig)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "MetricsConfig":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, metric or backend, or a metric without its network.
        """
        check_keys("metrics", values, cls)
        names = values.get("names") or ()
        if isinstance(names, str) or not all(isinstance(name, str) for name in names):
            raise ValueError(f"metrics.names must be a list of metrics, got {names!r}; known: {', '.join(METRICS)}")
        if any(name.startswith("pie_") for name in names):
            raise ValueError("PIE-Bench's metrics are for p2p-score pie.data=... pie.edited=..., not for sweeps")
        networks = values.get("networks") or {}
        check_keys("metrics.networks", networks, NetworksConfig)
        loaded = NetworksConfig(**{kind: _network(kind, networks[kind]) for kind in networks})
        config = cls(tuple(names), loaded, _realism(values.get("realism") or {}))
        for metric in get_metrics(config.names):
            for kind in metric.networks:
                if getattr(config.networks, kind) is None:
                    raise ValueError(
                        f"metrics.names has {metric.name}, which needs metrics.networks.{kind}; "
                        f"give it as conf/metrics/{_EXAMPLES.get(kind, 'world')}.yaml does, or leave the metric out"
                    )
        return config

    def networks_of(self, metric: Metric) -> tuple[NetworkConfig, ...]:
        """The networks that a metric uses, as configured."""
        found = (getattr(self.networks, kind) for kind in metric.networks)
        return tuple(network for network in found if network is not None)

    @property
    def needs_source_maps(self) -> bool:
        """Whether a metric asks for the plain source's blend-word map."""
        networks = [network for metric in get_metrics(self.names) for network in self.networks_of(metric)]
        return any(network.backend == "source_map" for network in networks)


def not_installed(config: MetricsConfig) -> tuple[str, ...]:
    """The configured metrics whose optional library is not installed; `faces_loading.INSTALL` is the remedy."""
    identity = config.networks.identity
    if identity is None or identity.backend != "insightface" or is_installed():
        return ()
    return tuple(metric.name for metric in get_metrics(config.names) if "identity" in metric.networks)


def load_networks(config: MetricsConfig, device: str | torch.device = "auto") -> Networks:
    """Load the networks that the configured metrics need, no others.

    Args:
        config: what is scored.
        device: where networks compute; `auto` is a GPU if there is one.

    Raises:
        FileNotFoundError: a network is neither on this machine nor to be had.
        ValueError: the device is unknown, a network does not fit its weights, or its optional library is missing.
    """
    where = resolve_device(str(device))
    needed = {kind for metric in get_metrics(config.names) for kind in metric.networks}
    loaded: dict[str, Any] = {kind: _LOADERS[kind](getattr(config.networks, kind), where) for kind in sorted(needed)}
    return Networks(**loaded, device=where)


def _realism(values: Any) -> RealismConfig:
    if not isinstance(values, Mapping):
        raise ValueError(f"metrics.realism must be a mapping such as {{reference: results/generation}}, got {values!r}")
    check_keys("metrics.realism", values, RealismConfig)
    reference = values.get("reference")
    return RealismConfig(None if reference is None else str(reference))


def _network(kind: str, values: Any) -> NetworkConfig | None:
    if values is None:
        return None
    where = f"metrics.networks.{kind}"
    if not isinstance(values, Mapping):
        raise ValueError(f"{where} must be a mapping such as {{backend: ..., path: ...}}, got {values!r}")
    check_keys(where, values, NetworkConfig)
    config = NetworkConfig(**{"backend": None, **values})
    backends = BACKENDS[kind]  # type: ignore[index]
    if config.backend not in backends:
        raise ValueError(f"{where}.backend must be one of {', '.join(backends)}, got {config.backend!r}")
    if config.backend == "world" and config.path is None:
        raise ValueError(f"{where}.path must be the network's folder, got null")
    if kind == "lpips" and config.backend == "lpips" and config.model not in LPIPS_TRUNKS:
        raise ValueError(f"{where}.model must be one of {', '.join(LPIPS_TRUNKS)}, got {config.model!r}")
    if kind == "dino" and config.model is None:
        raise ValueError(f"{where}.model must be a hub id, or the name of what {where}.path holds, got null")
    if config.backend == "insightface" and not config.model:
        raise ValueError(f"{where}.model must be one of insightface's packages, such as buffalo_l, got null")
    if kind == "clip" and config.path is None and (config.model is None or config.pretrained is None):
        raise ValueError(f"{where} must have path, or model and pretrained; open_clip.list_pretrained() has them")
    return config


def _load_clip(config: NetworkConfig, device: torch.device) -> ImageText:
    import open_clip

    where = "metrics.networks.clip"
    if config.path is not None:
        folder = _folder(where, config.path, ("open_clip_config.json",))
        source, name, options = f"local-dir:{folder}", config.model or folder.name, {}
    else:
        source, name = str(config.model), f"{config.model}/{config.pretrained}"
        options = _tagged_weights(where, source, str(config.pretrained))
    try:
        with _quiet():
            model, _, preprocess = open_clip.create_model_and_transforms(source, device=device, **options)
            tokenize = open_clip.get_tokenizer(source)
    except Exception as error:
        raise FileNotFoundError(
            f"{where}: {name} cannot be loaded ({_first_line(error)}); run once on a machine with network, or set "
            f"{where}.path to a folder in open_clip's format"
        ) from error
    return ImageText(name, model.eval().requires_grad_(False), preprocess, tokenize, device)


def _tagged_weights(where: str, model: str, tag: str) -> dict[str, Any]:
    """open_clip's options for one of its own weights, with the activation that they were trained with."""
    import open_clip

    known = open_clip.list_pretrained_tags_by_model(model)
    if tag not in known:
        have = f"has {', '.join(known)}" if known else "is unknown to open_clip"
        raise ValueError(f"{where}: {model} {have}, got pretrained={tag!r}")
    quick_gelu = bool((open_clip.get_pretrained_cfg(model, tag) or {}).get("quick_gelu", False))
    return {"pretrained": tag, "force_quick_gelu": quick_gelu}


def _load_lpips(config: NetworkConfig, device: torch.device) -> PerceptualDistance:
    if config.backend == "world":
        from p2p.world.networks import WorldLPIPS

        world, name = _load_world(WorldLPIPS, "lpips", config)
        return PerceptualDistance(name, world.to(device))
    assert config.model, "checked when configured"
    network = _lpips_package(config.model, config.path)
    return PerceptualDistance(config.model, network.to(device).eval().requires_grad_(False))


def _lpips_package(trunk: str, path: str | None) -> nn.Module:
    """The package's network with its own linear heads; the trunk from torchvision, or from torchvision's file."""
    where = "metrics.networks.lpips"
    if path is None:
        try:
            return _lpips(trunk)
        except (URLError, OSError, RuntimeError) as error:
            raise FileNotFoundError(
                f"{where}: torchvision's weights of {trunk} are not to be had ({_first_line(error)}); run once on a "
                f"machine with network, or set {where}.path to their file"
            ) from error
    file = resolve_path(path)
    if not file.is_file():
        raise FileNotFoundError(f"{where}.path={path}: there is no such file; give torchvision's weights of {trunk}")
    network = _lpips(trunk, pnet_rand=True)
    weights = load_file(file) if file.suffix == ".safetensors" else torch.load(file, map_location="cpu")
    try:
        network.net.load_state_dict({key: weights[_torchvision_key(key)] for key in network.net.state_dict()})
    except (KeyError, RuntimeError) as error:
        raise ValueError(f"{where}.path={path}: these are no weights of torchvision's {trunk}") from error
    return network


def _lpips(trunk: str, **options: Any) -> Any:
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the package names the trunk's weights as older torchvision did
        return lpips.LPIPS(net=trunk, verbose=False, **options)


def _torchvision_key(key: str) -> str:
    """A weight of an lpips trunk, `slice2.3.weight`, by torchvision's name, `features.3.weight`."""
    return f"features.{key.partition('.')[2]}"


def _load_identity(config: NetworkConfig, device: torch.device) -> FaceEncoder:
    if config.backend == "insightface":
        assert config.model, "checked when configured"
        folder = None if config.path is None else resolve_path(config.path)
        return load_photographed_faces(config.model, folder, device)
    from p2p.world.faces import FaceDetector, align
    from p2p.world.networks import IdentityEncoder

    encoder, name = _load_world(IdentityEncoder, "identity", config)
    detector, _ = _load_world(FaceDetector, "identity", replace(config, path=f"{config.path}/detector"))
    return WorldFaces(name, detector.to(device).detect, align, encoder.to(device), SIZE, device)


def _load_classifier(config: NetworkConfig, device: torch.device) -> AttributeReader:
    from p2p.world.networks import AttributeClassifier

    network, name = _load_world(AttributeClassifier, "classifier", config)
    return AttributeReader(name, network.to(device), SIZE, device)


def _load_segmenter(config: NetworkConfig, device: torch.device) -> RegionFinder | SourceMaps:
    if config.backend == "source_map":
        return SourceMaps()
    from p2p.world.networks import Segmenter

    network, name = _load_world(Segmenter, "segmenter", config)
    return RegionFinder(name, network.to(device), SIZE, device)


def _load_dino(config: NetworkConfig, device: torch.device) -> LayoutReader:
    from metrics.dino_loading import load_dino

    network = load_dino("metrics.networks.dino", config.model, config.path, _REMEDY, device)
    return LayoutReader(str(config.model), network, device)


_LOADERS: Mapping[str, Callable[[NetworkConfig, torch.device], Any]] = {
    "clip": _load_clip,
    "lpips": _load_lpips,
    "identity": _load_identity,
    "classifier": _load_classifier,
    "segmenter": _load_segmenter,
    "dino": _load_dino,
}


def _load_world(kind: type[Module], key: str, config: NetworkConfig) -> tuple[Module, str]:
    """One of the embedded world's networks, in single precision, and its name."""
    where = f"metrics.networks.{key}"
    assert config.path, "checked when configured"
    folder = _folder(where, config.path, ("config.json", "model.safetensors"))
    try:
        network = kind(**json.loads((folder / "config.json").read_text()))
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except (TypeError, RuntimeError, ValueError) as error:
        raise ValueError(f"{where}.path={config.path}: no {kind.__name__} is there ({_first_line(error)})") from error
    return network.eval().requires_grad_(False), config.model or f"world-{key}"


def _folder(where: str, path: str, files: tuple[str, ...]) -> Path:
    folder = resolve_path(path)
    missing = [name for name in files if not (folder / name).is_file()]
    if missing:
        found = f"lacks {', '.join(missing)}" if folder.is_dir() else "does not exist"
        raise FileNotFoundError(
            f"{where}.path={path}: the folder {found}; give the network's folder, or choose metrics=pixel, "
            "which needs no networks"
        )
    return folder


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """Without open_clip's messages about what it loads."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
