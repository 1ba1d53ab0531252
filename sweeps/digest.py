"""Digests of model folders, so that a cell's identity follows the weights and not their place."""

import hashlib
import json
import os
import re
from pathlib import Path

from p2p.loading import ModelFiles
from sweeps.files import write_atomically

PARTS = ("tokenizer", "tokenizer_2", "text_encoder", "text_encoder_2", "unet", "vae", "scheduler")
SUFFIXES = (".json", ".txt", ".safetensors")
_WEIGHTS = re.compile(r"[^.]+\.safetensors(\.index\.json)?")
"""Names of weights that are loaded; a variant's (`model.fp16.safetensors`) may lie beside them in the hub's cache."""


def model_digest(model: ModelFiles, cache: Path | None = None) -> str:
    """SHA-256 over the model's files that are loaded (their places in it and contents), 16 hex digits.

    Args:
        model: a located model.
        cache: file that remembers digests of single files by path, size and time of change.
    """
    cache = cache or default_cache()
    known = _read(cache)
    fresh: dict[str, str] = {}
    total = hashlib.sha256()
    for name, path in _named_files(model):
        stat = path.stat()
        key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}"
        fresh[key] = known.get(key) or _file_digest(path)
        total.update(f"{name} {fresh[key]}\n".encode())
    if not fresh.keys() <= known.keys():
        _write(cache, {**known, **fresh})
    return total.hexdigest()[:16]


def default_cache() -> Path:
    """Where digests are remembered: below XDG_CACHE_HOME or ~/.cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2p-sweep" / "digests.json"


def _named_files(model: ModelFiles) -> list[tuple[str, Path]]:
    found = [p for part in PARTS for p in (model.folder / part).rglob("*") if p.suffix in SUFFIXES and p.is_file()]
    found = [path for path in found if ".safetensors" not in path.name or _WEIGHTS.fullmatch(path.name)]
    if model.checkpoint is not None:
        found = [path for path in found if path.suffix != ".safetensors"]
    named = [(str(path.relative_to(model.folder)), path) for path in sorted(found)]
    single = {"checkpoint": model.checkpoint, "lora": model.lora}
    return named + [(name, path) for name, path in single.items() if path is not None]


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read(cache: Path) -> dict[str, str]:
    try:
        return dict(json.loads(cache.read_text()))
    except (OSError, ValueError):
        return {}


def _write(cache: Path, digests: dict[str, str]) -> None:
    """A cache that cannot be written only costs time."""
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(cache, json.dumps(digests).encode())
    except OSError:
        return
