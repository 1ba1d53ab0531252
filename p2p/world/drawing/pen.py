"""Drawing in local coordinates, and the nuisances that vary a picture without a word for them."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from PIL import Image, ImageDraw

Color = tuple[int, int, int]
Point = tuple[float, float]

CANVAS = 256  # pictures are drawn at twice their size and reduced

COLORS: dict[str, Color] = {
    "red": (212, 42, 42),
    "orange": (244, 138, 28),
    "yellow": (247, 214, 48),
    "green": (52, 158, 70),
    "blue": (42, 92, 212),
    "purple": (142, 62, 184),
    "white": (244, 244, 244),
    "black": (40, 40, 46),
}


def shade(color: Color, factor: float) -> Color:
    """Darken (`factor` below 1) or lighten (above 1, towards white) a colour."""
    if factor <= 1:
        red, green, blue = (round(channel * factor) for channel in color)
    else:
        red, green, blue = (round(255 - (255 - channel) * (2 - factor)) for channel in color)
    return red, green, blue


def mix(first: Color, second: Color, amount: float) -> Color:
    """`amount` 0 gives the first colour, 1 the second."""
    red, green, blue = (round(a + (b - a) * amount) for a, b in zip(first, second, strict=True))
    return red, green, blue


def curve(start: Point, control: Point, end: Point, steps: int = 12) -> list[Point]:
    """Points of a quadratic Bezier curve."""
    points = []
    for step in range(steps + 1):
        t = step / steps
        a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t * t
        points.append((a * start[0] + b * control[0] + c * end[0], a * start[1] + b * control[1] + c * end[1]))
    return points


def oval(
    cx: float, cy: float, rx: float, ry: float, tilt: float = 0.0, start: float = 0, stop: float = 360
) -> list[Point]:
    """Points of an ellipse, or of its arc from `start` to `stop` (clockwise from the right); angles are degrees."""
    cos, sin = math.cos(math.radians(tilt)), math.sin(math.radians(tilt))
    steps = max(8, round(28 * (stop - start) / 360))
    points = []
    for step in range(steps + 1):
        angle = math.radians(start + (stop - start) * step / steps)
        x, y = rx * math.cos(angle), ry * math.sin(angle)
        points.append((cx + x * cos - y * sin, cy + x * sin + y * cos))
    return points


@dataclass(frozen=True)
class Pen:
    """Draws on `image` in coordinates that are shifted to (x, y), scaled and perhaps mirrored."""

    image: Image.Image
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0
    mirrored: bool = False

    @cached_property
    def draw(self) -> ImageDraw.ImageDraw:
        """Pillow's drawing object for the image."""
        return ImageDraw.Draw(self.image)

    def at(self, x: float, y: float, scale: float = 1.0, mirrored: bool = False) -> "Pen":
        """A pen with its origin at (x, y) of the canvas."""
        return replace(self, x=x, y=y, scale=scale, mirrored=mirrored)

    def inside(self, dx: float, dy: float, scale: float = 1.0) -> "Pen":
        """A pen with its origin at (dx, dy) of this pen's coordinates, scaled further."""
        sign = -1 if self.mirrored else 1
        return replace(self, x=self.x + sign * self.scale * dx, y=self.y + self.scale * dy, scale=self.scale * scale)

    def _place(self, points: Sequence[Point]) -> list[Point]:
        sign = -1 if self.mirrored else 1
        return [(self.x + sign * self.scale * x, self.y + self.scale * y) for x, y in points]

    def shape(self, points: Sequence[Point], fill: Color, edge: Color | None = None, width: float = 3.0) -> None:
        """A filled polygon, outlined where `edge` is given."""
        placed = self._place(points)
        self.draw.polygon(placed, fill=fill)
        if edge is not None:
            self.draw.line([*placed, placed[0], placed[1]], fill=edge, width=self._width(width), joint="curve")

    def line(self, points: Sequence[Point], color: Color, width: float) -> None:
        """A line through the points, with round ends."""
        placed = self._place(points)
        self.draw.line(placed, fill=color, width=self._width(width), joint="curve")
        radius = self.scale * width / 2
        for x, y in (placed[0], placed[-1]):
            self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    def oval(
        self,
        cx: float,
        cy: float,
        rx: float,
        ry: float,
        fill: Color,
        edge: Color | None = None,
        width: float = 3.0,
        tilt: float = 0.0,
    ) -> None:
        """A filled ellipse, tilted by degrees."""
        self.shape(oval(cx, cy, rx, ry, tilt), fill, edge, width)

    def box(
        self,
        x0: float,
        y0: float,
        x1: float,
        y1: float,
        fill: Color,
        edge: Color | None = None,
        width: float = 3.0,
        radius: float = 0,
    ) -> None:
        """A filled rectangle with rounded corners."""
        if radius:
            corners = [
                (x1 - radius, y1 - radius),
                (x0 + radius, y1 - radius),
                (x0 + radius, y0 + radius),
                (x1 - radius, y0 + radius),
            ]
            points = [p for n, (x, y) in enumerate(corners) for p in oval(x, y, radius, radius, 0, 90 * n, 90 * n + 90)]
        else:
            points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
        self.shape(points, fill, edge, width)

    def _width(self, width: float) -> int:
        return max(1, round(self.scale * width))


@dataclass(frozen=True)
class Nuisance:
    """Values without a word: each has a name and depends on that name and the seed alone, never on what is drawn."""

    seed: int

    def stream(self, name: str) -> random.Random:
        """A random stream of its own for one name."""
        return random.Random(f"{self.seed}/{name}")

    def uniform(self, name: str, low: float, high: float) -> float:
        """A number in [low, high]."""
        return self.stream(name).uniform(low, high)

    def flag(self, name: str, probability: float = 0.5) -> bool:
        """True with the probability."""
        return self.stream(name).random() < probability

    def pick(self, name: str, colors: Sequence[Color]) -> Color:
        """One of the colours, slightly changed."""
        return self.tint(name + " tint", self.stream(name).choice(colors))

    def tint(self, name: str, color: Color, amount: int = 10) -> Color:
        """The colour with each channel moved by up to `amount`."""
        stream = self.stream(name)
        red, green, blue = (min(255, max(0, channel + stream.randint(-amount, amount))) for channel in color)
        return red, green, blue


def gradient(image: Image.Image, top: float, bottom: float, first: Color, last: Color) -> None:
    """Fill the rows from `top` to `bottom` with a vertical gradient."""
    column = Image.new("RGB", (1, 16))
    for row in range(16):
        column.putpixel((0, row), mix(first, last, row / 15))
    rows = round(bottom) - round(top)
    image.paste(column.resize((image.width, rows), Image.Resampling.BILINEAR), (0, round(top)))
