"""`python scripts/study.py`: the whole study on the embedded model, sweeps and then their report.

Run again it goes on where it stopped. Each process has one thread and draws 16 edits at a time, so that the same
libraries give the same numbers on any number of processors. Further arguments go to every sweep, as model=sd14.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.command_line import refusals

EXPERIMENTS = ("grid", "oat", "reweight", "cycle", "cycle-invert", "generation")
"""In order of what the findings need first."""


def main() -> None:
    """Run what is left of the study; exits with the status of the first command that fails."""
    with refusals("study"):
        raise SystemExit(_main(sys.argv[1:]))


def _main(arguments: Sequence[str]) -> int:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="study", description=lines[0], epilog=" ".join(lines[2:]))
    parser.add_argument("--results", type=Path, default=Path("results/world"), help="folder (results/world)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one a processor; with GPUs one a GPU)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands; nothing is run")
    options, overrides = parser.parse_known_args(arguments)
    if any("=" not in override for override in overrides):
        raise ValueError(f"further arguments are overrides of the sweeps, as model=sd14, got {' '.join(overrides)}")
    for command in commands(options.results, options.workers or _workers(), overrides):
        print(f"\n$ {' '.join(command)}", flush=True)
        began = time.monotonic()
        status = 0 if options.dry_run else subprocess.run([sys.executable, "-m", *command], check=False).returncode
        if status:
            print(f"study: stopped with status {status}; the same command goes on from here", file=sys.stderr)
            return status
        if not options.dry_run:
            print(f"{time.monotonic() - began:.0f} s", flush=True)
    return 0


def commands(results: Path, workers: int, overrides: Sequence[str] = ()) -> list[list[str]]:
    """The study's commands, each a module of Python's and its arguments.

    Args:
        results: folder of the sweeps and of their report.
        workers: processes that draw.
        overrides: further settings of every sweep.
    """
    common = ["launcher=local", f"launcher.workers={workers}", "sweep.batch_size=16", "tracking=none"]
    sweeps = [
        ["scripts.sweep", "-m", f"+experiment={name}", *common, f"results_dir={results}", *overrides]
        for name in EXPERIMENTS
    ]
    folders = [str(results / name) for name in EXPERIMENTS]
    return [*sweeps, ["scripts.report.command", *folders, "--out", str(results / "report")]]


def _workers() -> int:
    import torch

    from sweeps.settings import processors

    return torch.cuda.device_count() or processors()


if __name__ == "__main__":
    main()
