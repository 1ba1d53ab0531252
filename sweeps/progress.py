"""Progress of a sweep: one line in a terminal, plain lines now and then in a log."""

import shutil
import sys
import time
from typing import Any, TextIO

from tqdm import tqdm

LOG_EVERY_S = 30.0
SHOW_EVERY_S = 0.5


class Progress:
    """Cells and UNet samples done, rate and time left; a context manager.

    Args:
        name: the sweep's.
        cells: to draw.
        unet_samples: to take.
        stream: where to write; a terminal gets one line that is redrawn, anything else a line each half minute.
    """

    def __init__(self, name: str, cells: int, unet_samples: int, stream: TextIO | None = None):
        self.name, self.cells, self.unet_samples = name, cells, unet_samples
        self.stream = stream or sys.stderr
        self.drawn = self.failed = self.taken = 0
        self._start = self._logged = time.monotonic()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "Progress":
        if self.stream.isatty():
            self._bar = tqdm(
                total=self.unet_samples,
                bar_format="{desc} |{bar}| {percentage:.0f}% [{elapsed}<{remaining}]",
                file=self.stream,
                ncols=shutil.get_terminal_size((100, 24)).columns,
            )
            self._show()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self.taken or self.drawn:
            self._log()

    def sampled(self, unet_samples: int) -> None:
        """Count latents that went through the UNet."""
        self.taken += unet_samples
        if self._bar is not None:
            self._bar.update(unet_samples)
            self._show()
        elif time.monotonic() - self._logged >= LOG_EVERY_S:
            self._log()

    def finished(self, cells: int, failed: int) -> None:
        """Count cells that are stored."""
        self.drawn += cells
        self.failed += failed
        self._show()

    def _show(self) -> None:
        if self._bar is not None:
            self._bar.set_description_str(f"{self.name}: {self._text()}", refresh=False)
            if time.monotonic() - self._logged >= SHOW_EVERY_S or self.drawn >= self.cells:
                self._logged = time.monotonic()
                self._bar.refresh()

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._start, 1e-9)
        failed = f" ({self.failed} failed)" if self.failed else ""
        rate = f"{self.taken / seconds:.0f} samples/s"
        return f"{self.drawn}/{self.cells} cells{failed}, {self.taken}/{self.unet_samples} UNet samples, {rate}"

    def _log(self) -> None:
        self._logged = time.monotonic()
        rate = self.taken / max(self._logged - self._start, 1e-9)
        left = f", {duration(max(self.unet_samples - self.taken, 0) / rate)} left" if rate else ""
        print(f"{self.name}: {self._text()}{left}", file=self.stream, flush=True)


def duration(seconds: float) -> str:
    """Seconds as `45 s`, `3:20 min`, `5:04 h` or `3.2 days`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d} min"
    if seconds < 86400 * 2:
        return f"{int(seconds) // 3600}:{int(seconds) % 3600 // 60:02d} h"
    return f"{seconds / 86400:.1f} days"
