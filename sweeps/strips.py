"""Pictures side by side with captions."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

WIDTH = 256
"""Pixels of a picture's width in a strip, at least."""
_GAP, _LINE, _SIZE = 8, 19, 15


class Captioned(NamedTuple):
    """A picture, uint8 (3, height, width), and what is written below it."""

    picture: Tensor
    caption: str


def draw_strips(rows: Sequence[Sequence[Captioned]]) -> Image.Image:
    """Rows of pictures, each with its caption broken into lines below it."""
    drawn = [[_captioned(one) for one in row] for row in rows]
    heights = [max(cell.height for cell in row) for row in drawn]
    width = max(sum(cell.width + _GAP for cell in row) for row in drawn) + _GAP
    sheet = Image.new("RGB", (width, sum(heights) + _GAP * (len(rows) + 1)), "white")
    top = _GAP
    for row, height in zip(drawn, heights, strict=True):
        left = _GAP
        for cell in row:
            sheet.paste(cell, (left, top))
            left += cell.width + _GAP
        top += height + _GAP
    return sheet


def attention_over(
    picture: UInt8[Tensor, "3 height width"], word_map: Float[Tensor, "map_height map_width"]
) -> UInt8[Tensor, "3 height width"]:
    """A picture lit where a word's attention is, as a share of the word's maximum."""
    size = (picture.shape[1], picture.shape[2])
    smooth = F.interpolate(word_map[None, None].float().cpu(), size=size, mode="bicubic")[0, 0].clamp(min=0)
    light = 0.15 + 0.85 * smooth / smooth.max().clamp(min=1e-12)
    return (picture * light).round().clamp(0, 255).to(torch.uint8)


def to_image(picture: UInt8[Tensor, "3 height width"]) -> Image.Image:
    """As a PIL image."""
    return Image.fromarray(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()))


def _captioned(one: Captioned) -> Image.Image:
    image = to_image(one.picture)
    scale = max(1, round(WIDTH / image.width))
    image = image.resize((image.width * scale, image.height * scale), Image.Resampling.LANCZOS)
    font = ImageFont.load_default(_SIZE)
    lines = _lines(one.caption, image.width, font)
    cell = Image.new("RGB", (image.width, image.height + _LINE * len(lines) + 4), "white")
    cell.paste(image, (0, 0))
    for i, line in enumerate(lines):
        ImageDraw.Draw(cell).text((0, image.height + 3 + _LINE * i), line, fill="#202020", font=font)
    return cell


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines
