"""What animals and vehicles share: sky, sun, moon and stars, and the darkness of night."""

from PIL import Image

from p2p.world.drawing.pen import Color, Nuisance, Pen, gradient, mix, shade

_NIGHT: Color = (14, 18, 44)


def lit(color: Color, night: bool, darkness: float = 0.5) -> Color:
    """The colour as seen by day, or darkened at night."""
    return mix(color, _NIGHT, darkness) if night else color


def sky(image: Image.Image, night: bool, horizon: float, setting: Nuisance) -> None:
    """Sky down to `horizon`: sun and clouds by day, moon and stars at night."""
    pen = Pen(image)
    x, y = setting.uniform("sun x", 30, 226), setting.uniform("sun y", 26, 46)
    if night:
        gradient(image, 0, horizon, (10, 14, 40), setting.tint("night", (40, 50, 98)))
        _stars(pen, horizon, setting)
        pen.oval(x, y, 17, 17, (246, 240, 206))
        pen.oval(x + 8, y - 4, 14, 14, (14, 18, 46))
        return
    blue = setting.tint("day", (118, 184, 238))
    gradient(image, 0, horizon, blue, shade(blue, 1.6))
    pen.oval(x, y, 19, 19, (255, 226, 92))
    _clouds(pen, setting)


def _stars(pen: Pen, horizon: float, setting: Nuisance) -> None:
    stream = setting.stream("stars")
    for _ in range(22):
        x, y, size = stream.uniform(4, 252), stream.uniform(4, horizon - 8), stream.uniform(1.6, 3.0)
        pen.oval(x, y, size, size, (238, 238, 224))


def _clouds(pen: Pen, setting: Nuisance) -> None:
    stream = setting.stream("clouds")
    for _ in range(stream.randrange(1, 4)):
        x, y, size = stream.uniform(20, 236), stream.uniform(18, 70), stream.uniform(0.7, 1.2)
        cloud = pen.at(x, y, size)
        for dx, dy, radius in ((-18, 3, 11), (0, -3, 15), (18, 3, 11)):
            cloud.oval(dx, dy, radius * 1.3, radius * 0.8, (250, 252, 255))
