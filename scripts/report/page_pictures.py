"""The pictures of a report's page: files of the sweep where they lie, or a reduced set in sprite sheets beside it."""

import hashlib
import io
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
from PIL import Image

from scripts.report.page_data import PAIR, numbers, texts
from scripts.report.results import Results
from sweeps.files import write_atomically
from sweeps.pictures import load_image

KINDS = ("source", "target", "cycle")
_FOLDER = "pictures"
_INDEX = "index.json"
_SHEET = 2048
"""Pixels of a sheet's longest side: what a phone holds in memory."""
_BLOCK = 16
"""Pictures begin at multiples of a codec's block, so that none bleeds into the next."""


@dataclass(frozen=True)
class PictureSettings:
    """A reduced set of pictures to publish with a page: whole source groups, spread over the categories.

    Attributes:
        max_bytes: of all its sheets together.
        side: pixels of a picture's longer side at most.
        quality: of lossy WebP, from 1 to 100.
    """

    max_bytes: int = 12_000_000
    side: int = 128
    quality: int = 60

    def __post_init__(self) -> None:
        """Raise ValueError for a value that is not allowed."""
        for name, most in (("max_bytes", None), ("side", _SHEET), ("quality", 100)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1 or (most and value > most):
                allowed = f"from 1 to {most:,}" if most else "of at least 1"
                raise ValueError(f"pictures: {name} must be a whole number {allowed}, got {value!r}")


@dataclass(frozen=True)
class Sheets:
    """Sprite sheets and where in them the pictures lie.

    Attributes:
        files: of each sheet its file's name, columns, a picture's width and height, the pixels from one picture to the
            next, and the number of its first picture.
        places: of a cell its pictures' numbers by kind; -1 where there is none.
    """

    files: Sequence[Mapping[str, Any]] = ()
    places: Mapping[str, Sequence[int]] = field(default_factory=dict)


def page_pictures(results: Results, page: Path, settings: PictureSettings | None) -> dict[str, Any]:
    """Where a page in the folder `page` finds every cell's pictures: a number in its sheets, or a file.

    Without settings, pictures in files are left where they are, and only those in archives are reduced, by the default
    settings. Sheets that an earlier page has here stay where the sweep's own pictures are gone.
    """
    files = _files(results)
    packed = files.map(lambda path: isinstance(path, str) and ".zip/" in path)
    reduced = files if settings else files.where(packed)
    if reduced.notna().any(axis=None):
        sheets = _write_sheets(results.cells, reduced, page / _FOLDER, settings or PictureSettings())
    else:
        sheets = _read_sheets(page / _FOLDER) if files.isna().all(axis=None) else Sheets()
    loose = files.where(reduced.isna())
    places = [sheets.places.get(cell_id, (-1, -1, -1)) for cell_id in results.cells["cell_id"]]
    return {
        "sheets": [{**sheet, "file": f"{_FOLDER}/{quote(sheet['file'])}"} for sheet in sheets.files],
        "places": [numbers([place[kind] for place in places]) for kind in range(len(KINDS))],
        "files": [_patterns(results.cells["cell_id"], loose[kind], page) for kind in KINDS],
    }


def _files(results: Results) -> pd.DataFrame:
    """Paths of the recorded pictures, by kind, in the order of the cells."""
    cells = results.cells
    found = {
        kind: [
            f"{folder}/{path}" if isinstance(path, str) else None
            for folder, path in zip(cells["folder"], cells[f"{kind}_image"], strict=True)
        ]
        for kind in KINDS
    }
    return pd.DataFrame(found, cells.index, dtype=object)


def _patterns(ids: pd.Series, paths: pd.Series, page: Path) -> dict[str, Any]:
    """Paths relative to the page, as addresses, with `*` for the cell's id: few of them are different."""
    here = page.absolute()
    folders: dict[str, str] = {}
    found: list[str | None] = []
    for cell_id, path in zip(ids, paths, strict=True):
        if not isinstance(path, str):
            found.append(None)
            continue
        parent, _, name = path.rpartition("/")
        if parent not in folders:
            folders[parent] = quote(Path(os.path.relpath(Path(parent).absolute(), here)).as_posix())
        found.append(f"{folders[parent]}/{quote(name).replace(cell_id, '*')}")
    return texts(pd.Series(found, dtype=object))


def _write_sheets(cells: pd.DataFrame, files: pd.DataFrame, folder: Path, settings: PictureSettings) -> Sheets:
    """Write the groups that fit, in turn one of each category, in place of what an earlier page had there."""
    sheets: list[dict[str, Any]] = []
    places, contents = {}, {}
    left, count = settings.max_bytes, 0
    for name, group in _spread_groups(cells[files["target"].notna()]):
        numbers_of, pictures = _group_pictures(files.loc[group.index], settings.side)
        drawn = list(_draw_sheets(pictures, settings.quality))
        size = sum(len(data) for _, data in drawn)
        if size > left:
            if not sheets:
                print(f"page: no pictures; one source with its edits takes {size:,} bytes of {left:,}", file=sys.stderr)
            break
        left -= size
        for layout, data in drawn:
            file = f"{name}-{hashlib.sha256(data).hexdigest()[:8]}.webp"
            contents[file] = data
            sheets.append({**layout, "file": file, "first": layout["first"] + count})
        for cell_id, own in zip(group["cell_id"], numbers_of, strict=True):
            places[cell_id] = [number + count if number >= 0 else -1 for number in own]
        count += len(pictures)
    contents[_INDEX] = json.dumps({"sheets": sheets, "places": places}).encode()
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in contents.items():
        write_atomically(folder / file, data)
    for path in folder.glob("*.webp"):
        if path.name not in contents:
            path.unlink()
    return Sheets(sheets, places)


def _read_sheets(folder: Path) -> Sheets:
    """The sheets that an earlier page has, or none."""
    try:
        index = json.loads((folder / _INDEX).read_text())
    except FileNotFoundError:
        return Sheets()
    return Sheets(index["sheets"], index["places"])


def _spread_groups(cells: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Source groups by name: the first of every category, then the second of each; first seeds first, pairs in turn."""
    of_category: dict[str, list[tuple[str, pd.DataFrame]]] = {}
    for (seed, category, pair, *_), group in cells.groupby(["seed", *PAIR], sort=True, dropna=False):
        name = re.sub(r"[^\w.-]+", "_", f"{category}-{pair}-{seed}")
        of_category.setdefault(str(category), []).append((name, group))
    for turn in zip_longest(*of_category.values()):
        yield from (group for group in turn if group is not None)


def _group_pictures(files: pd.DataFrame, side: int) -> tuple[list[tuple[int, ...]], list[Image.Image]]:
    """Of each cell its pictures' numbers by kind, -1 where there is none, and the pictures; equal ones are one."""
    pictures: list[Image.Image] = []
    by_path: dict[str, int] = {}
    by_pixels: dict[bytes, int] = {}
    for path in dict.fromkeys(path for row in files.itertuples(index=False) for path in row if isinstance(path, str)):
        picture = load_image(Path(path))
        digest = hashlib.sha256(str(picture.size).encode() + picture.tobytes()).digest()
        if digest not in by_pixels:
            by_pixels[digest] = len(pictures)
            picture.thumbnail((side, side), Image.Resampling.LANCZOS)
            pictures.append(picture)
        by_path[path] = by_pixels[digest]
    return [tuple(by_path.get(path, -1) for path in row) for row in files.itertuples(index=False)], pictures


def _draw_sheets(pictures: Sequence[Image.Image], quality: int) -> Iterator[tuple[dict[str, int], bytes]]:
    """Sheets of so many pictures as fit, with their layout; pictures of another size begin another sheet."""
    at = 0
    while at < len(pictures):
        width, height = size = pictures[at].size
        across, down = (-(-pixels // _BLOCK) * _BLOCK for pixels in size)
        most = max(1, _SHEET // across) * max(1, _SHEET // down)
        sizes = [picture.size for picture in pictures[at : at + most]]
        own = pictures[at : at + next((place for place, other in enumerate(sizes) if other != size), len(sizes))]
        columns = min(max(1, _SHEET // across), len(own))
        sheet = Image.new("RGB", (columns * across, -(-len(own) // columns) * down))
        for place, picture in enumerate(own):
            sheet.paste(picture, (place % columns * across, place // columns * down))
        buffer = io.BytesIO()
        sheet.save(buffer, "WEBP", quality=quality, method=4)
        layout = {"first": at, "count": len(own), "columns": columns}
        yield layout | {"width": width, "height": height, "across": across, "down": down}, buffer.getvalue()
        at += len(own)
