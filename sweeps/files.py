"""Files that are either whole or not there."""

import contextlib
import os
import re
import tempfile
import time
from pathlib import Path

LEFTOVER_S = 3600.0
"""Age of a temporary file from which no living process is still writing it."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old file or the new one, never a part, even after a crash.

    The bytes go to a temporary file in the same folder, are synced to disk and then renamed.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; `path` is then as it was.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def remove_leftovers(folder: Path) -> None:
    """Remove temporary files of this program that killed processes left below `folder`."""
    newest = time.time() - LEFTOVER_S
    for parent, _, names in os.walk(folder):
        for path in (Path(parent, name) for name in names if re.fullmatch(r"\..+\.[a-z0-9_]{8}", name)):
            with contextlib.suppress(OSError):  # another command may remove it too
                if path.stat().st_mtime < newest:
                    path.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
