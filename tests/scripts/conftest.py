import sys
from collections.abc import Callable

import pytest

Run = Callable[..., tuple[int, str, str]]
"""A command's arguments to its exit status, stdout and stderr."""


@pytest.fixture
def run_command(monkeypatch, capsys, tmp_path) -> Run:
    """Run a module's `main` with arguments, in an empty folder and with an empty cache."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(module, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [f"p2p-{module.__name__.rpartition('.')[2]}", *arguments])
        try:
            module.main()
            status = 0
        except SystemExit as stop:
            status = stop.code
        return status, *capsys.readouterr()

    return run
