"""Pictures on disk: which are kept and how, loose or in archives, and the one reader of recorded paths.

A recorded path is relative to the sweep's folder: `images/target/<cell_id>.png`, or inside an archive
`images/<part>-<members>.zip/target/<cell_id>.png`.
"""

import errno
import hashlib
import io
import os
import re
import sys
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, get_args
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
from PIL import Image, features

from p2p.checks import check_choice, check_flag, check_keys, check_number, check_whole

if TYPE_CHECKING:  # torch takes seconds to import, which commands that only read a sweep need not wait for
    from jaxtyping import UInt8
    from torch import Tensor

Format = Literal["png", "webp", "jpeg"]
Keep = Literal["all", "sample", "none"]
Key = tuple[str, str]
"""A picture's kind (`source`, `target`, `cycle`) and name (a group's or cell's id)."""

_SHARES = {"png": 0.58, "webp": 0.46}
"""Encoded bytes per raw byte of photographs at `_OPTIONS`; drawn scenes take less."""
_JPEG_SHARES = {50: 0.065, 75: 0.094, 85: 0.12, 90: 0.15, 95: 0.21, 98: 0.31, 100: 0.45}
# PNG at level 4 takes half the time of the usual 6 for 1 % more bytes, WebP's method 1 a quarter of its 4 for 3 %.
_OPTIONS: dict[str, dict[str, Any]] = {
    "png": {"compress_level": 4},
    "webp": {"lossless": True, "quality": 0, "method": 1},
    "jpeg": {"subsampling": 0},
}
_THREADS = 8
_OPEN_ARCHIVES = 16


@dataclass(frozen=True)
class ImageSettings:
    """Which pictures a sweep keeps, and how. Nothing here decides pixels before they are stored.

    Attributes:
        format: `png` and `webp` are exact; `jpeg` is not: what is scored again later, from the store, is what it left.
        keep: the pictures of all groups, of a share of them, or none.
        sample: that share, in (0, 1].
        pack: one archive a part instead of one file a picture.
        quality: of `jpeg`, from 1 to 100.
    """

    format: Format = "png"
    keep: Keep = "all"
    sample: float = 0.1
    pack: bool = False
    quality: int = 95

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "ImageSettings":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, or a value that is not allowed.
        """
        check_keys("images", values, cls)
        settings = cls(**values)
        check_choice("images.format", settings.format, get_args(Format))
        check_choice("images.keep", settings.keep, get_args(Keep))
        if not 0 < check_number("images.sample", settings.sample) <= 1:
            raise ValueError(f"images.sample must be a share of the groups in (0, 1], got {settings.sample!r}")
        check_flag("images.pack", settings.pack)
        check_whole("images.quality", settings.quality, 1, 100)
        if settings.format == "webp" and not features.check("webp"):
            raise ValueError("images.format=webp needs a Pillow with WebP; this one has none: choose png")
        return settings

    def keeps(self, group_id: str) -> bool:
        """Whether the pictures of a group, a source with all its edits, are kept; always the same for the same id.

        A larger sample keeps what a smaller one keeps.
        """
        place = int(hashlib.sha256(group_id.encode()).hexdigest()[:16], 16) / 2**64
        return self.keep == "all" or (self.keep == "sample" and place < self.sample)


def estimate_bytes(settings: ImageSettings, width: int, height: int, pictures: int) -> int:
    """About how many bytes so many drawn pictures of width x height pixels take on disk, as far as they are kept."""
    kept = {"all": 1.0, "sample": settings.sample, "none": 0.0}[settings.keep]
    at, shares = list(_JPEG_SHARES), list(_JPEG_SHARES.values())
    share = _SHARES.get(settings.format) or float(np.interp(settings.quality, at, shares))
    return round(kept * pictures * width * height * 3 * share)


def pixel_hash(picture: "UInt8[Tensor, '3 height width']") -> str:
    """16 hex digits of a picture's size and raw pixels, whatever format it is stored in."""
    pixels = _pixels(picture)
    return hashlib.sha256(f"{pixels.shape}".encode() + pixels.tobytes()).hexdigest()[:16]


def encode(picture: "UInt8[Tensor, '3 height width']", settings: ImageSettings) -> bytes:
    """A picture as a file's bytes."""
    buffer = io.BytesIO()
    quality = {"quality": settings.quality} if settings.format == "jpeg" else {}
    Image.fromarray(_pixels(picture)).save(buffer, settings.format.upper(), **_OPTIONS[settings.format], **quality)
    return buffer.getvalue()


def write_loose(folder: Path, pictures: "Mapping[Key, Tensor]", settings: ImageSettings) -> dict[Key, str]:
    """Write pictures, uint8 (3, height, width), to a file each; their recorded paths.

    All are on disk when this returns. They are renamed to their names only when all are written.

    Raises:
        OSError: a folder is not writable, or the disk is full; no temporary file is left.
    """
    paths = {key: f"images/{_member(key, settings)}" for key in pictures}
    finals = [folder / path for path in paths.values()]
    temporaries = [_temporary(path) for path in finals]
    parents = {path.parent for path in finals}
    for parent in parents:
        parent.mkdir(parents=True, exist_ok=True)
    try:
        with ThreadPoolExecutor(_THREADS) as pool:  # syncing many files at once takes a tenth of one after another
            list(pool.map(lambda path, one: _write(path, encode(one, settings)), temporaries, pictures.values()))
        for temporary, final in zip(temporaries, finals, strict=True):
            temporary.replace(final)
    except BaseException:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)
        raise
    for parent in parents:
        _sync_folder(parent)
    return paths


def write_archive(folder: Path, part: str, pictures: "Mapping[Key, Tensor]", settings: ImageSettings) -> dict[Key, str]:
    """Write pictures, uint8 (3, height, width), to one archive, a ZIP without compression; their recorded paths.

    Its name is the part's and a hash of what it holds: a part drawn again replaces its archive, and one with other
    cells does not touch it. It is on disk when this returns.

    Raises:
        OSError: the folder is not writable, or the disk is full; the archive is then as it was.
    """
    if not pictures:
        return {}
    members = {key: _member(key, settings) for key in pictures}
    mark = hashlib.sha256("\n".join(sorted(members.values())).encode()).hexdigest()[:8]
    name = f"images/{_plain(part)}-{mark}.zip"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    with _replacing(folder / name) as file, ZipFile(file, "w", ZIP_STORED) as archive:
        for member, data in zip(members.values(), _encode_all(list(pictures.values()), settings), strict=True):
            archive.writestr(ZipInfo(member), data)
    _sync_folder((folder / name).parent)
    return {key: f"{name}/{member}" for key, member in members.items()}


def load_image(path: Path) -> Image.Image:
    """A stored picture in RGB: a file, or a member of an archive.

    Raises:
        FileNotFoundError: there is no such file or member.
        OSError: it cannot be read; the message names it.
    """
    try:
        with Image.open(_open(path)) as image:
            return image.convert("RGB")
    except FileNotFoundError:
        raise
    except (OSError, BadZipFile, EOFError, SyntaxError, ValueError, zlib.error) as error:
        raise OSError(f"{path} cannot be read as a picture ({error})") from error


def load_picture(path: Path) -> "UInt8[Tensor, '3 height width']":
    """A stored picture, uint8; raises as `load_image` does."""
    import torch

    return torch.from_numpy(np.array(load_image(path))).permute(2, 0, 1)


def present(folder: Path, paths: Iterable[str]) -> set[str]:
    """Those of the recorded paths whose pictures are there and not empty; each folder and archive is listed once."""
    holders: dict[str, dict[str, str]] = {}
    for path in set(paths):
        archive, packed, member = path.partition(".zip/")
        holder, _, name = (f"{archive}.zip", "", member) if packed else path.rpartition("/")
        holders.setdefault(holder, {})[name] = path
    with ThreadPoolExecutor(_THREADS) as pool:
        listings = pool.map(_listing, (folder / holder for holder in holders), holders.values())
        return {names[name] for names, there in zip(holders.values(), listings, strict=True) for name in there}


def _listing(holder: Path, names: Mapping[str, str]) -> list[str]:
    """Which of the names a folder or archive has, with more than 0 bytes."""
    try:
        if holder.suffix == ".zip":
            with ZipFile(holder) as archive:
                return [info.filename for info in archive.infolist() if info.file_size and info.filename in names]
        with os.scandir(holder) as entries:
            return [entry.name for entry in entries if entry.name in names and entry.stat().st_size]
    except FileNotFoundError:
        return []
    except (BadZipFile, OSError) as error:
        print(f"{holder}: unreadable ({error}); its pictures count as missing", file=sys.stderr)
        return []


def _split(path: Path) -> tuple[Path | None, str]:
    """The archive that a path leads through and the member's name; without one, None and the file's name."""
    archive = path.parents[1] if len(path.parents) > 1 else path
    return (archive, f"{path.parent.name}/{path.name}") if archive.suffix == ".zip" else (None, path.name)


def _open(path: Path) -> Path | io.BytesIO:
    archive, member = _split(path)
    if archive is None:
        return path
    stat = archive.stat()
    try:
        return io.BytesIO(_archive(archive, (stat.st_ino, stat.st_size, stat.st_mtime_ns), os.getpid()).read(member))
    except KeyError as error:
        raise FileNotFoundError(errno.ENOENT, "no such picture in the archive", str(path)) from error


@lru_cache(maxsize=_OPEN_ARCHIVES)
def _archive(path: Path, stamp: tuple[int, int, int], process: int) -> ZipFile:
    """An archive, kept open; one that was replaced, or that another process opened before it forked, is opened anew."""
    return ZipFile(path)


def _encode_all(pictures: "Sequence[Tensor]", settings: ImageSettings) -> Iterator[bytes]:
    """Encoded pictures in order, several at once, and only a few ahead of what is taken."""
    ahead = 4 * _THREADS
    with ThreadPoolExecutor(_THREADS) as pool:
        for at in range(0, len(pictures), ahead):
            yield from pool.map(lambda picture: encode(picture, settings), pictures[at : at + ahead])


@contextmanager
def _replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes `path`'s place, synced, when it is whole, and is removed if that fails."""
    temporary = _temporary(path)
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _write(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems sync no folders
            raise
    finally:
        os.close(handle)


def _pixels(picture: "Tensor") -> np.ndarray[Any, np.dtype[np.uint8]]:
    """(height, width, 3), contiguous."""
    if str(picture.dtype) != "torch.uint8" or picture.ndim != 3 or picture.shape[0] != 3:
        raise ValueError(f"a picture must be uint8 (3, height, width), got {picture.dtype} {tuple(picture.shape)}")
    return np.ascontiguousarray(picture.detach().permute(1, 2, 0).cpu().numpy())


def _member(key: Key, settings: ImageSettings) -> str:
    return f"{_plain(key[0])}/{_plain(key[1])}.{settings.format}"


def _plain(name: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or name.endswith(".zip"):
        raise ValueError(f"a picture's names are letters, digits, '_', '-' and '.', not ending in .zip, got {name!r}")
    return name
