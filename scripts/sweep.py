"""`p2p-sweep`: one edit, or with `-m` a grid of them, drawn, scored and tabulated."""

import difflib
import os
import re
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException


@hydra.main(version_base="1.3", config_path="pkg://conf", config_name="config")
def sweep(config: DictConfig) -> None:
    """Run a single cell."""
    from sweeps.config import build_cell, sweep_settings
    from sweeps.launch import run_sweep

    values: Any = OmegaConf.to_container(config, resolve=True)
    settings = sweep_settings(values, HydraConfig.get().runtime.choices.get("experiment"))
    status = run_sweep([build_cell(values)], settings)
    if status:
        raise SystemExit(status)


def main() -> None:
    """The console script: errors of the command line are one line and exit status 2."""
    show_trace = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let errors reach us whole instead of Hydra's own report
    try:
        sweep()
    except (HydraException, OmegaConfBaseException, ValueError, FileNotFoundError) as error:
        if show_trace:
            raise
        print(f"p2p-sweep: {explain(error)}", file=sys.stderr)
        sys.exit(2)


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
