"""`p2p-sweep`: one edit, or with `-m` a grid of them, drawn, scored and tabulated."""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

SHOW_TRACE = os.environ.get("HYDRA_FULL_ERROR") == "1"
REFUSED = (HydraException, OmegaConfBaseException, ValueError, OSError)
"""Errors of the input or the machine: one line and exit status 2."""


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def sweep(config: DictConfig) -> None:
    """Run a single cell."""
    from sweeps.config import build_cell, sweep_settings
    from sweeps.launch import run_sweep

    with refusals():  # here too, before Hydra reports them in its own way
        values: Any = OmegaConf.to_container(config, resolve=True)
        settings = sweep_settings(values, HydraConfig.get().runtime.choices.get("experiment"))
        status = run_sweep([build_cell(values)], settings)
    if status:
        raise SystemExit(status)


def main() -> None:
    """The console script. Exit status: 0 all there, 1 some cells failed, 2 nothing could be started."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors of composing reach us whole, not Hydra's report of them
    with refusals():
        sweep()


@contextmanager
def refusals() -> Iterator[None]:
    """Turn an error of the input into one line and exit status 2; with HYDRA_FULL_ERROR=1 into a traceback."""
    try:
        yield
    except REFUSED as error:
        if SHOW_TRACE:
            traceback.print_exc()
        print(f"p2p-sweep: {explain(error)}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt as stop:
        print("p2p-sweep: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from stop


def explain(error: Exception) -> str:
    """An error in one line, unknown keys and choices with the nearest known ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    unknown_key = re.match(r"Could not override '([^']+)'", lines[0]) if lines else None
    if unknown_key:
        return _unknown_key(unknown_key[1])
    unknown_choice = re.search(r"Could not find '([^']+)/([^'/]+)'", str(error))
    if unknown_choice:
        group, choice = unknown_choice.groups()
        known = [line for line in lines[lines.index(f"Available options in '{group}':") + 1 :] if " " not in line]
        return f"unknown {group} {choice!r}; known: {', '.join(known)}"
    return " ".join(lines)


def _unknown_key(key: str) -> str:
    from hydra import compose, initialize_config_module

    with initialize_config_module("conf", version_base="1.3"):
        known = list(_leaves(OmegaConf.to_container(compose("config"))))
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    return f"unknown key {key}; " + (f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}")


def _leaves(values: Any, prefix: str = "") -> Any:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")


if __name__ == "__main__":
    main()
