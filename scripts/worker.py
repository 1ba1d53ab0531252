"""`python -m scripts.worker FILE`: a worker that a launcher has written to a file, in a process of its own."""

import pickle
import sys
from pathlib import Path

from scripts.command_line import refusals


def main() -> None:
    """Run it; exit status 2 if it could not start."""
    with refusals("p2p-sweep worker"):
        file = Path(sys.argv[1])
        worker = pickle.loads(file.read_bytes())
        file.unlink()
        worker()


if __name__ == "__main__":
    main()
