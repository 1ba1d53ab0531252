"""How a sweep runs: nothing here decides pixels."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from p2p.checks import check_keys, check_whole
from sweeps.pictures import ImageSettings
from sweeps.slurm import SlurmSettings
from sweeps.tracking import TrackingSettings

PLANS = (None, "only", "json")
LAUNCHERS = ("process", "local", "slurm")


@dataclass(frozen=True)
class LocalSettings:
    """How many workers run on this machine.

    Attributes:
        workers: processes; None: one a GPU, without GPUs one for every four processors. On a machine with GPUs they
            take turns on them, without they share the processors.
    """

    workers: int | None = None

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "LocalSettings":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, or no positive number of workers.
        """
        check_keys("launcher", values, cls)
        settings = cls(**values)
        workers = settings.workers
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise ValueError(f"launcher.workers must be a number of processes, at least 1, or null, got {workers!r}")
        return settings

    @property
    def number(self) -> int:
        """Of workers."""
        return self.workers or torch.cuda.device_count() or max(1, processors() // 4)


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep runs.

    Attributes:
        name: the folder below `results_dir`.
        folder: that folder.
        batch_size: edited latents per UNet call.
        part_size: cells of one group drawn and stored at once, at most.
        wait: whether the command stays until workers elsewhere have done all; None: on this machine yes, on SLURM no.
        plan: `only` and `json` tell what the sweep would take, and run nothing.
        images: how pictures are stored.
        tracking: what W&B gets.
        launcher: where workers run; None: in this process.
        config: the whole configuration, for the records.
    """

    name: str
    folder: Path
    batch_size: int
    part_size: int
    wait: bool | None
    plan: str | None
    images: ImageSettings
    tracking: TrackingSettings
    launcher: LocalSettings | SlurmSettings | None
    config: Mapping[str, Any]


def sweep_settings(config: Mapping[str, Any], experiment: str | None) -> SweepSettings:
    """The run's settings from the whole configuration.

    Raises:
        ValueError: a setting is not what it may be.
    """
    sweep = config["sweep"]
    name = sweep["name"] or experiment or "custom"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", str(name)):
        raise ValueError(
            f"sweep.name must be a plain folder name of letters, digits, '_', '-' and '.', got {name!r}; "
            "results_dir says where the folder lies"
        )
    if sweep["wait"] not in (None, True, False):
        raise ValueError(f"sweep.wait must be true, false or null, got {sweep['wait']!r}")
    if config["plan"] not in PLANS:
        raise ValueError(f"plan must be only, json or null, got {config['plan']!r}")
    return SweepSettings(
        name=str(name),
        folder=Path(str(config["results_dir"])).expanduser() / str(name),
        batch_size=check_whole("sweep.batch_size", sweep["batch_size"], 1),
        part_size=check_whole("sweep.part_size", sweep["part_size"], 1),
        wait=sweep["wait"],
        plan=config["plan"],
        images=ImageSettings.from_mapping(config["images"]),
        tracking=TrackingSettings.from_mapping(config["tracking"]),
        launcher=_launcher(config["launcher"]),
        config=config,
    )


def processors() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _launcher(values: Mapping[str, Any]) -> LocalSettings | SlurmSettings | None:
    own = {key: value for key, value in values.items() if key != "kind"}
    kind = values.get("kind")
    if kind == "slurm":
        return SlurmSettings.from_mapping(own)
    if kind == "local":
        return LocalSettings.from_mapping(own)
    if kind != "process":
        raise ValueError(f"launcher.kind must be one of {', '.join(LAUNCHERS)}, got {kind!r}")
    if own:
        raise ValueError(f"launcher=process has no settings, got {', '.join(own)}")
    return None
