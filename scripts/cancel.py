"""`p2p-cancel results/SWEEP`: stop what works on a sweep: its SLURM jobs, and its processes on this machine."""

import argparse
from pathlib import Path

from scripts.command_line import refusals


def main() -> None:
    """The console script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the sweep's folder, as results/quickstart")
    options = parser.parse_args()
    from sweeps.status import cancel

    with refusals("p2p-cancel"):
        stopped = cancel(options.folder)
        print("\n".join(stopped) or "nothing works on it")
        print("what is stored stays; the same p2p-sweep command goes on from there")


if __name__ == "__main__":
    main()
