"""What the console scripts share: errors in one line, exit status 2."""

import difflib
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

SHOW_TRACE = os.environ.get("HYDRA_FULL_ERROR") == "1"
REFUSED = (HydraException, OmegaConfBaseException, ValueError, OSError)
"""Errors of the input or the machine."""


def run(program: str, task: Callable[[], Any], config_name: str) -> None:
    """Run a Hydra task; its exit status is the task's, 2 if it refused its input, 130 if interrupted."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # errors of composing reach us whole, not Hydra's report of them
    with refusals(program, config_name):
        task()


@contextmanager
def refusals(program: str, config_name: str = "config") -> Iterator[None]:
    """Turn an error of the input into one line and exit status 2; with HYDRA_FULL_ERROR=1 a traceback comes first."""
    try:
        yield
    except REFUSED as error:
        if SHOW_TRACE:
            traceback.print_exc()
        print(f"{program}: {explain(error, config_name)}", file=sys.stderr)
        raise SystemExit(2) from error
    except KeyboardInterrupt as stop:
        print(f"{program}: interrupted; the same command goes on where it stopped", file=sys.stderr)
        raise SystemExit(130) from stop


def explain(error: Exception, config_name: str = "config") -> str:
    """An error in one line, unknown keys and choices with the nearest known ones."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    unknown_key = re.match(r"Could not override '([^']+)'", lines[0]) if lines else None
    if unknown_key:
        return _unknown_key(unknown_key[1], config_name)
    unknown_choice = re.search(r"Could not find '([^']+)/([^'/]+)'", str(error))
    if unknown_choice:
        group, choice = unknown_choice.groups()
        known = [line for line in lines[lines.index(f"Available options in '{group}':") + 1 :] if " " not in line]
        return f"unknown {group} {choice!r}; known: {', '.join(known)}"
    return " ".join(lines) or type(error).__name__


def _unknown_key(key: str, config_name: str) -> str:
    with initialize_config_module("conf", version_base="1.3"):
        known = list(_leaves(OmegaConf.to_container(compose(config_name))))
    close = difflib.get_close_matches(key, known, n=3, cutoff=0.5)
    return f"unknown key {key}; " + (f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(known)}")


def _leaves(values: Any, prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
