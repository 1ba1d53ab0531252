"""Contact sheets: a sweep's pictures beside their sources, one PNG a category, from the summary and the store."""

import io
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from sweeps.configurations import configurations, describe
from sweeps.files import write_atomically
from sweeps.pictures import load_image

SIDE = 128
"""Pixels of a picture's longer side on a sheet."""
MOST_ROWS = 12
MOST_COLUMNS = 32
COLUMNS_A_LINE = 8
_GAP = 6
_LINE = 16
_INK, _PALE, _EMPTY, _PAPER = "#202020", "#707070", "#c0c0c0", "white"


@dataclass(frozen=True)
class Sheet:
    """What a contact sheet shows.

    Attributes:
        title: the sheet's head.
        heads: what each column is, in short lines.
        rows: captions with a source picture and one picture a column; None is an empty frame.
        notes: what was left out.
    """

    title: str
    heads: tuple[tuple[str, ...], ...]
    rows: tuple["SheetRow", ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SheetRow:
    """One prompt pair and seed: pictures of its source and of its edits by column; None where there is none.

    A picture is a file, or a member of an archive as the store records it.
    """

    caption: str
    source: Path | None
    edits: tuple[Path | None, ...]


def write_contact_sheets(summary: pd.DataFrame, folder: Path) -> list[Path]:
    """Draw `figures/<category>.png` below the sweep's folder for every category of its summary.

    Rows are prompt pairs and seeds, columns configurations after the source picture. Those whose pictures were not
    kept are left out; if there is nothing to draw, one line says so.
    """
    written = []
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for category, cells in summary.groupby("category"):
        if not any(_is_shown(rows) for _, rows in _groups(cells)):
            continue
        name = re.sub(r"[^\w.-]+", "_", str(category))
        path = folder / "figures" / f"{name}.png"
        buffer = io.BytesIO()
        draw_sheet(plan_sheet(str(category), cells, folder)).save(buffer, format="PNG")
        write_atomically(path, buffer.getvalue())
        written.append(path)
    if not written and len(summary):
        print("contact sheets: nothing drawn, since no pictures were kept (images.keep)", file=sys.stderr)
    return written


def plan_sheet(category: str, cells: pd.DataFrame, folder: Path) -> Sheet:
    """What a category's sheet shows: at most `MOST_ROWS` by `MOST_COLUMNS` pictures, the named configurations first."""
    kinds = configurations(cells)
    columns = _spread(kinds)
    groups = _groups(cells)
    shown = [rows for _, rows in groups if _is_shown(rows)][:MOST_ROWS]
    notes = []
    if len(columns) < len(kinds):
        notes.append(f"{len(columns)} of {len(kinds)} configurations")
    if len(shown) < len(groups):
        notes.append(f"{len(shown)} of {len(groups)} prompt pairs and seeds")
    if any(_names(rows["source_image"]) > 1 for rows in shown):
        notes.append("of several sources the first")
    rows = tuple(_row(rows, columns, folder) for rows in shown)
    heads = tuple(tuple(describe(row)) for _, row in kinds.loc[columns].iterrows())
    return Sheet(category, heads, rows, tuple(notes))


def draw_sheet(sheet: Sheet) -> Image.Image:
    """The sheet as a picture; many columns are broken into several lines of the same rows."""
    width, height = _picture_size(sheet)
    lines = [range(at, min(at + COLUMNS_A_LINE, len(sheet.heads))) for at in range(0, len(sheet.heads), COLUMNS_A_LINE)]
    head_height = _LINE * max(len(head) for head in sheet.heads) + _GAP
    row_height = _LINE + height + 2 * _GAP
    line_height = head_height + row_height * len(sheet.rows) + 2 * _GAP
    columns = max(len(line) for line in lines)
    total = (max((width + _GAP) * (columns + 1), _text_width(sheet)) + 2 * _GAP, 2 * _LINE + 2 * _GAP)
    image = Image.new("RGB", (total[0], total[1] + line_height * len(lines)), _PAPER)
    pen = ImageDraw.Draw(image)
    pen.text((_GAP, _GAP), sheet.title, fill=_INK, font=_font(18))
    pen.text(
        (_GAP + pen.textlength(sheet.title, _font(18)) + 16, _GAP + 5), _subtitle(sheet), fill=_PALE, font=_font(13)
    )
    for number, line in enumerate(lines):
        _draw_line(image, sheet, line, (width, height), total[1] + number * line_height)
    return image


def _draw_line(image: Image.Image, sheet: Sheet, columns: range, size: tuple[int, int], top: int) -> None:
    """Every row's source and these columns of it, below their heads."""
    pen, (width, height) = ImageDraw.Draw(image), size
    lefts = [_GAP + (width + _GAP) * place for place in range(len(columns) + 1)]
    tallest = max(len(head) for head in sheet.heads)
    for left, head in zip(lefts, [("source",), *(sheet.heads[column] for column in columns)], strict=True):
        for i, text in enumerate(head):
            at = (left, top + _LINE * (tallest - len(head) + i))
            pen.text(at, _cut(text, width), fill=_INK, font=_font(13))
    y = top + _LINE * tallest + _GAP
    for row in sheet.rows:
        pen.text((_GAP, y), row.caption, fill=_INK, font=_font(13))
        y += _LINE + 2
        for left, path in zip(lefts, [row.source, *(row.edits[column] for column in columns)], strict=True):
            _draw_picture(image, path, (left, y), size)
        y += height + 2 * _GAP - 2


def _draw_picture(image: Image.Image, path: Path | None, at: tuple[int, int], size: tuple[int, int]) -> None:
    """A picture, or an empty frame where there is none."""
    try:
        if path is None:
            raise FileNotFoundError
        image.paste(load_image(path).resize(size, Image.Resampling.LANCZOS), at)
    except OSError:
        corner = (at[0] + size[0] - 1, at[1] + size[1] - 1)
        ImageDraw.Draw(image).rectangle((at, corner), outline=_EMPTY)


def _row(cells: pd.DataFrame, columns: Sequence[str], folder: Path) -> SheetRow:
    first = cells.iloc[0]
    paths = {row.config_id: row.target_image for row in cells.itertuples()}
    sources = cells["source_image"].dropna()
    caption = f"{first['source_prompt']} -> {first['target_prompt']}   ({first['pair']}, seed {first['seed']})"
    edits = tuple(_path(paths.get(config_id), folder) for config_id in columns)
    return SheetRow(caption, _path(sources.iloc[0] if len(sources) else None, folder), edits)


def _groups(cells: pd.DataFrame) -> list[tuple[Any, pd.DataFrame]]:
    """A category's cells by prompt pair and seed."""
    return list(cells.groupby(["pair", "seed", "source_prompt", "target_prompt"], sort=False))


def _is_shown(rows: pd.DataFrame) -> bool:
    """Whether a pair and seed has pictures, or only failures, which are empty frames; not if none were kept."""
    return bool(rows["target_image"].notna().any() or not (rows["status"] == "ok").any())


def _names(paths: pd.Series) -> int:
    """How many different pictures; a source is stored again, by the same name, in every archive with its edits."""
    return int(paths.dropna().map(lambda path: Path(path).name).nunique())


def _spread(kinds: pd.DataFrame) -> list[str]:
    """All configurations, or the named ones and others evenly from among the rest."""
    if len(kinds) <= MOST_COLUMNS:
        return list(kinds.index)
    marked = list(kinds.index[kinds["mark"] != ""])
    others = [config_id for config_id in kinds.index if config_id not in marked]
    room = MOST_COLUMNS - len(marked)
    kept = {*marked, *(others[i * len(others) // room] for i in range(room))}
    return [config_id for config_id in kinds.index if config_id in kept]


def _path(relative: object, folder: Path) -> Path | None:
    return folder / relative if isinstance(relative, str) else None


def _picture_size(sheet: Sheet) -> tuple[int, int]:
    """Width and height of the sheet's pictures: those of the first that is there, its longer side `SIDE`."""
    for path in (path for row in sheet.rows for path in (row.source, *row.edits) if path is not None):
        try:
            picture = load_image(path)
        except OSError:
            continue
        scale = SIDE / max(picture.size)
        return round(picture.width * scale), round(picture.height * scale)
    return SIDE, SIDE


def _subtitle(sheet: Sheet) -> str:
    text = "k: silhouette threshold; cross, self, V: shares of the steps"
    return "; ".join([text, f"shown are {' and '.join(sheet.notes)}"] if sheet.notes else [text])


def _text_width(sheet: Sheet) -> int:
    lengths = [_font(13).getlength(row.caption) for row in sheet.rows]
    return int(max([*lengths, _font(18).getlength(sheet.title) + 16 + _font(13).getlength(_subtitle(sheet))]))


def _cut(text: str, width: int) -> str:
    """The text, or its beginning where it is wider."""
    if _font(13).getlength(text) <= width:
        return text
    while text and _font(13).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
