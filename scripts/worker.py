"""`python -m scripts.worker results/SWEEP`: a worker that a launcher gives it, in a process of its own."""

import pickle
import sys
from pathlib import Path

from scripts.command_line import refusals
from sweeps.claims import Claims


def main() -> None:
    """Run the worker that stdin brings; exit status 2 if it could not start."""
    with refusals("p2p-sweep worker"), Claims(Path(sys.argv[1]) / "claims"):  # p2p-cancel finds it
        pickle.load(sys.stdin.buffer)()


if __name__ == "__main__":
    main()
