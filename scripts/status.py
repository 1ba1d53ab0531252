"""`p2p-status results/SWEEP`: how a sweep stands, from its folder alone; with --watch, live."""

import argparse
import json
import sys
import time
from pathlib import Path

from scripts.command_line import refusals


def main() -> None:
    """The console script."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="the sweep's folder, as results/quickstart")
    parser.add_argument("--watch", action="store_true", help="again every few seconds, until nothing is left to do")
    parser.add_argument("--every", type=float, default=5.0, metavar="S", help="seconds between two looks (5)")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    from sweeps.status import read_status

    with refusals("p2p-status"):
        status = read_status(options.folder)
        print(json.dumps(vars(status)) if options.json else status, flush=True)
        while options.watch and (status.running or status.missing):
            time.sleep(options.every)
            status = read_status(options.folder)
            if sys.stdout.isatty():
                print(f"\x1b[1A\x1b[2K{str(status).splitlines()[0]}", flush=True)
            else:
                print(status, flush=True)


if __name__ == "__main__":
    main()
