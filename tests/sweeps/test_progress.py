import io

import pytest

from sweeps import progress as module
from sweeps.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self):
        return True


def work(stream):
    with Progress("grid", 3, 60, stream) as progress:
        for failed in (0, 1, 0):
            progress.sampled(20)
            progress.finished(1, failed)


def test_a_terminal_gets_one_line_that_is_redrawn():
    stream = Terminal()
    work(stream)
    assert stream.getvalue().count("\n") == 1
    last = stream.getvalue().split("\r")[-1]
    assert "grid: 3/3 cells (1 failed), 60/60 UNet samples" in last
    assert "100%" in last


def test_a_log_gets_a_plain_line_at_the_end_and_now_and_then(monkeypatch):
    stream = io.StringIO()
    work(stream)
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("grid: 3/3 cells (1 failed), 60/60 UNet samples, ")
    assert line.endswith(" left")
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.0)
    work(stream)
    assert len(stream.getvalue().splitlines()) == 1 + 4


def test_a_log_before_the_first_picture_tells_no_time(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(module, "LOG_EVERY_S", 0.0)
    with Progress("grid", 3, 60, stream) as progress:
        progress.sampled(0)
    assert stream.getvalue() == "grid: 0/3 cells, 0/60 UNet samples, 0 samples/s\n"


@pytest.mark.parametrize(
    ("seconds", "text"), [(3, "3 s"), (200, "3:20 min"), (3600 * 5 + 240, "5:04 h"), (86400 * 3.2, "3.2 days")]
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text
