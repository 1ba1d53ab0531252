"""`python scripts/study.py`: the whole study on the embedded model, sweeps and then their report.

Run again it goes on where it stopped. Each process has one thread, so that the same libraries give the same numbers on
any number of processors. Further arguments go to every sweep, as model=sd14.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from scripts.command_line import refusals

EXPERIMENTS = ("grid", "reweight", "cycle", "cycle-invert", "generation", "oat")
"""In order of what the findings need first."""
PICTURES_MB = 3
"""Of the published page's pictures; all of the report stays under 20 MB."""


def main() -> None:
    """Run what is left of the study; exits with 0, with 1 if cells failed, or as the command that stopped it."""
    with refusals("study"):
        raise SystemExit(_main(sys.argv[1:]))


def _main(arguments: Sequence[str]) -> int:
    lines = (__doc__ or "").splitlines()
    epilog = " ".join(lines[2:])
    parser = argparse.ArgumentParser(prog="study", description=lines[0], epilog=epilog, allow_abbrev=False)
    parser.add_argument("--results", type=Path, default=Path("results/study"), help="folder (results/study)")
    parser.add_argument("--out", type=Path, default=Path("results/world"), help="of the report (results/world)")
    parser.add_argument("--workers", type=int, metavar="N", help="processes (one a processor; with GPUs one a GPU)")
    parser.add_argument("--dry-run", action="store_true", help="print the commands; nothing is run")
    options, overrides = parser.parse_known_args(arguments)
    if any("=" not in override or override.startswith("-") for override in overrides):
        raise ValueError(f"further arguments are overrides of the sweeps, as model=sd14, got {' '.join(overrides)}")
    run = _print if options.dry_run else _run
    worst = 0
    for command in sweep_commands(options.results, options.workers or _workers(), overrides):
        worst = max(worst, status := run(command))
        if status > 1:
            print(f"study: stopped with status {status}; the same command goes on from here", file=sys.stderr)
            return status
    for command in report_commands(options.results, options.out):
        if status := run(command):
            print(f"study: all is drawn, the report stopped with status {status}", file=sys.stderr)
            return status
    return worst


def sweep_commands(results: Path, workers: int, overrides: Sequence[str] = ()) -> list[list[str]]:
    """The study's sweeps, each a module of Python's and its arguments.

    Args:
        results: folder of the sweeps.
        workers: processes that draw.
        overrides: further settings of every sweep.
    """
    common = ["launcher=local", f"launcher.workers={workers}", "tracking=none", f"results_dir={results}", *overrides]
    return [["scripts.sweep", "-m", f"+experiment={name}", *common] for name in EXPERIMENTS]


def report_commands(results: Path, out: Path) -> list[list[str]]:
    """What comes after the sweeps: the report to publish, and the grid that the one-at-a-time sweep suggests.

    The report is on the grid; the claims are held against all sweeps.
    """
    report = ["scripts.report.command"]
    grid, *others = (str(results / name) for name in EXPERIMENTS)
    publish = ["--evidence", *others, "--out", str(out), "--publish", str(PICTURES_MB)]
    return [[*report, grid, *publish], [*report, "suggest", str(results / "oat")]]


def _print(command: Sequence[str]) -> int:
    print(f"$ python -m {' '.join(command)}", flush=True)
    return 0


def _run(command: Sequence[str]) -> int:
    _print(command)
    began = time.monotonic()
    status = subprocess.run([sys.executable, "-m", *command], check=False).returncode
    print(f"{time.monotonic() - began:.0f} s\n", flush=True)
    return status if status >= 0 else 128 - status  # a signal, as a shell tells it


def _workers() -> int:
    import torch

    from sweeps.settings import processors

    return torch.cuda.device_count() or processors()


if __name__ == "__main__":
    main()
