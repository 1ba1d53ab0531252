"""Animations over a hyperparameter: source, edit and cycle side by side while its value goes up and down."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from scripts.report.analysis import ALL, Analysis
from scripts.report.results import Results
from scripts.report.views import RECOMMENDED, Walk, categories_in_order, walks
from sweeps.configurations import AXES
from sweeps.files import write_atomically

SIDE = 192
"""Pixels of a picture's longer side."""
_STEP_MS, _TURN_MS = 550, 1100
_GAP, _LINE, _SIZE = 10, 20, 14
_INK, _PALE, _ACCENT, _PAPER = "#202020", "#8c8c8c", "#0072B2", "white"
_KINDS = {"source_image": "source", "target_image": "edit", "cycle_image": "undone"}


@dataclass(frozen=True)
class Scene:
    """What an animation shows: captions, the values in order, and for each the pictures by what is written below."""

    title: str
    subtitle: str
    head: str
    values: tuple[str, ...]
    pictures: tuple[tuple[tuple[str, Path], ...], ...]


def write_animations(
    analysis: Analysis, results: Results, folder: Path, centres: Sequence[str] = (RECOMMENDED, "literature")
) -> list[Path]:
    """Write `animations/<category>-<hyperparameter>.webp`: one prompt pair a category, each hyperparameter.

    The other hyperparameters are those of the first of `centres` that the category has. The pair and seed are those
    with the most pictures, the first of several. Categories without pictures have no animation.

    Raises:
        ValueError: this Pillow cannot write WebP.
    """
    from PIL import features

    if not features.check("webp"):
        raise ValueError("animations need a Pillow with WebP, and this one has none: leave them out")
    folder = folder / "animations"
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for category in (name for name in categories_in_order(analysis) if name != ALL):
        cells = results.cells[(results.cells["category"] == category) & results.cells["target_image"].notna()]
        found: dict[str, Walk] = {}
        for centre in centres:
            for walk in walks(analysis, category, (centre,)):
                found.setdefault(walk.hyperparameter, walk)
        for walk in found.values():
            scene = plan_scene(cells, walk)
            if scene is None:
                continue
            path = folder / f"{category}-{AXES[walk.hyperparameter]}.webp"
            write_atomically(path, _encode(scene))
            written.append(path)
    for old in set(folder.glob("*.webp")) - set(written):
        old.unlink()
    return written


def plan_scene(cells: pd.DataFrame, walk: Walk) -> Scene | None:
    """The scene of a walk for the prompt pair and seed with the most pictures; None where fewer than two have any."""
    own = cells[cells["config_id"].isin(walk.config_ids)]
    if own.empty:
        return None
    most: Any = own.groupby(["pair", "seed"], sort=False)["config_id"].nunique().idxmax()
    pair, seed = most
    rows = own[(own["pair"] == pair) & (own["seed"] == seed)].drop_duplicates("config_id").set_index("config_id")
    steps = [
        (value, rows.loc[config_id])
        for value, config_id in zip(walk.values, walk.config_ids, strict=True)
        if config_id in rows.index
    ]
    if len(steps) < 2:
        return None
    first = steps[0][1]
    pictures = tuple(
        tuple(
            (name, Path(str(row["folder"])) / row[kind]) for kind, name in _KINDS.items() if isinstance(row[kind], str)
        )
        for _, row in steps
    )
    title = f"{first['source_prompt']} -> {first['target_prompt']}"
    values = tuple(value for value, _ in steps)
    return Scene(title, f"{walk.others} ({walk.centre})", AXES[walk.hyperparameter], values, pictures)


def draw_frames(scene: Scene) -> list[Image.Image]:
    """A picture for each value: the pictures side by side, and a scale with the value below."""
    from sweeps.pictures import load_image  # needs torch

    loaded = [[(name, _fit(load_image(path))) for name, path in row] for row in scene.pictures]
    most = max(loaded, key=len)
    width = max(sum(image.width + _GAP for _, image in most) + _GAP, 3 * SIDE + 4 * _GAP)
    height = max(image.height for row in loaded for _, image in row)
    return [_frame(scene, place, row, (width, height)) for place, row in enumerate(loaded)]


def _frame(scene: Scene, place: int, row: Sequence[tuple[str, Image.Image]], size: tuple[int, int]) -> Image.Image:
    width, height = size
    top = _GAP + 2 * _LINE
    frame = Image.new("RGB", (width, top + height + 3 * _LINE + 2 * _GAP), _PAPER)
    pen = ImageDraw.Draw(frame)
    pen.text((_GAP, _GAP - 2), _cut(scene.title, width - 2 * _GAP), fill=_INK, font=_font(_SIZE))
    pen.text((_GAP, _GAP + _LINE - 4), _cut(scene.subtitle, width - 2 * _GAP), fill=_PALE, font=_font(_SIZE - 2))
    left = _GAP
    for name, image in row:
        frame.paste(image, (left, top))
        pen.text((left, top + height + 2), name, fill=_PALE, font=_font(_SIZE - 2))
        left += image.width + _GAP
    _scale(pen, scene, place, (width, top + height + _LINE + _GAP))
    return frame


def _scale(pen: ImageDraw.ImageDraw, scene: Scene, place: int, at: tuple[int, int]) -> None:
    """A line with a tick for every value, the present one filled, and the value written at its left."""
    right, y = at[0] - 2 * _GAP, at[1] + _GAP // 2
    text = f"{scene.head} {scene.values[place]}"
    pen.text((_GAP, y - 9), text, fill=_INK, font=_font(_SIZE + 2))
    widest = max(_font(_SIZE + 2).getlength(f"{scene.head} {value}") for value in scene.values)
    left = int(_GAP + widest + 2 * _GAP)
    pen.line((left, y, right, y), fill=_PALE, width=2)
    for number, value in enumerate(scene.values):
        x = left + (right - left) * number // (len(scene.values) - 1)
        here = number == place
        radius = 7 if here else 4
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_ACCENT if here else _PAPER, outline=_INK)
        pen.text((x, y + 10), value, fill=_INK if here else _PALE, font=_font(_SIZE - 2), anchor="ma")


def _encode(scene: Scene) -> bytes:
    """Up and down again, without end, as WebP."""
    frames = draw_frames(scene)
    order = [*range(len(frames)), *range(len(frames) - 2, 0, -1)]
    times = [_TURN_MS if place in (0, len(frames) - 1) else _STEP_MS for place in order]
    first, *others = [frames[place] for place in order]
    buffer = io.BytesIO()
    options = {"save_all": True, "append_images": others, "duration": times, "loop": 0}
    first.save(buffer, "WEBP", quality=85, method=2, **options)
    return buffer.getvalue()


def _fit(image: Image.Image) -> Image.Image:
    scale = SIDE / max(image.size)
    return image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)


def _cut(text: str, width: int) -> str:
    """The text, or its beginning where it is wider."""
    while text and _font(_SIZE).getlength(text) > width:
        text = text[:-2]
    return text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
