"""Animals: cats sit, dogs stand, rabbits crouch under long ears, birds perch on thin legs."""

from collections.abc import Callable, Mapping

from PIL import Image

from p2p.world.drawing.outdoors import lit, sky
from p2p.world.drawing.pen import Color, Nuisance, Pen, curve, gradient, mix, oval, shade

FUR: dict[str, Color] = {
    "white": (246, 244, 240),
    "black": (42, 40, 46),
    "brown": (122, 76, 42),
    "orange": (236, 134, 38),
    "gray": (146, 150, 158),
}
GROUND: dict[str, Color] = {"grass": (92, 170, 66), "sand": (236, 206, 132), "snow": (232, 240, 248)}
_PINK: Color = (238, 150, 150)
_DARK: Color = (26, 22, 26)


def paint(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint an animal outdoors on the canvas."""
    night = factors["time"] == "night"
    horizon = setting.uniform("horizon", 116, 140)
    sky(image, night, horizon, setting)
    _ground(image, factors["ground"], night, horizon, setting)
    pen = Pen(image).at(
        128 + setting.uniform("x", -14, 14),
        212 + setting.uniform("y", -8, 16),
        setting.uniform("size", 0.94, 1.12),
        setting.flag("mirrored"),
    )
    fur = lit(subject.tint("fur", FUR[factors["color"]], 8), night, 0.18)
    pen.oval(0, 0, 78, 10, lit(shade(GROUND[factors["ground"]], 0.66), night))
    _ANIMALS[factors["animal"]](pen, fur, subject)


def _ground(image: Image.Image, ground: str, night: bool, horizon: float, setting: Nuisance) -> None:
    color = lit(setting.tint("ground", GROUND[ground]), night)
    gradient(image, horizon, image.height, shade(color, 0.88), color)
    pen, stream = Pen(image), setting.stream("ground marks " + ground)
    for _ in range(26):
        x, y = stream.uniform(0, 256), stream.uniform(horizon + 6, 252)
        if ground == "grass":
            pen.line([(x - 4, y - 9), (x, y), (x + 5, y - 10)], shade(color, 0.74), 3)
        elif ground == "sand":
            pen.line(curve((x - 14, y), (x, y - 6), (x + 14, y)), shade(color, 0.85), 3)
        else:
            pen.oval(x, y, 15, 4, shade(color, 1.6) if not night else shade(color, 1.2))
    _background(pen, ground, night, horizon, color, setting)


def _background(pen: Pen, ground: str, night: bool, horizon: float, color: Color, setting: Nuisance) -> None:
    stream = setting.stream("background")
    for side in (-1, 1):
        x, size = 128 + side * stream.uniform(70, 116), stream.uniform(0.8, 1.2)
        plant = pen.at(x, horizon + 4, size)
        green = lit((46, 118, 60), night)
        if ground == "grass":
            plant.box(-4, -26, 4, 0, lit((112, 74, 44), night))
            plant.oval(0, -42, 24, 24, green)
        elif ground == "snow":
            for y in (0, -18, -36):
                plant.shape([(-24 - y * 0.2, y), (24 + y * 0.2, y), (0, y - 32)], mix(green, color, 0.25))
        else:
            plant.shape([(-56, 0), *curve((-56, 0), (-6, -46), (56, 0))], shade(color, 0.9))


def _face(pen: Pen, x: float, y: float, gap: float, size: float, iris: Color) -> None:
    for side in (-1, 1):
        pen.oval(x + side * gap, y, size, size * 1.15, iris, _DARK, 2)
        pen.oval(x + side * gap, y, size * 0.45, size * 0.9, _DARK)


def _cat(pen: Pen, fur: Color, subject: Nuisance) -> None:
    edge = mix(shade(fur, 0.5), (90, 90, 96), 0.35)
    light = shade(fur, 1.3)
    tail = curve((34, -10), (112, -6), (82, -86), 16)
    pen.line(tail, edge, 21)
    pen.line(tail, fur, 15)
    body = [(-34, -2), *curve((-46, -4), (-50, -56), (-20, -96)), *curve((20, -96), (50, -56), (46, -4)), (34, -2)]
    pen.shape(body, fur, edge)
    pen.oval(0, -48, 18, 36, light)
    for side in (-1, 1):
        pen.oval(side * 14, -6, 14, 10, fur, edge)
        pen.shape([(side * 40, -118), (side * 36, -178), (side * 6, -146)], fur, edge)
        pen.shape([(side * 33, -132), (side * 32, -162), (side * 16, -146)], _PINK)
    width = 42 + subject.uniform("cheeks", -3, 4)
    pen.oval(0, -118, width, 34, fur, edge)
    _face(pen, 0, -122, 18, 9, (140, 204, 84))
    pen.shape([(-7, -109), (7, -109), (0, -101)], _PINK, _DARK, 2)
    for side in (-1, 1):
        pen.line(curve((0, -101), (side * 5, -92), (side * 13, -96)), _DARK, 3)
        for y in (-106, -98):
            pen.line([(side * 18, -103), (side * 56, y - 4)], mix(edge, (230, 230, 230), 0.35), 2)


def _dog(pen: Pen, fur: Color, subject: Nuisance) -> None:
    pen = pen.inside(-14, 0, 0.96)
    edge = mix(shade(fur, 0.5), (90, 90, 96), 0.35)
    dark = shade(fur, 0.72)
    pen.line(curve((-58, -74), (-92, -84), (-88, -126)), edge, 17)
    pen.line(curve((-58, -74), (-92, -84), (-88, -126)), fur, 11)
    for x in (-38, 44):
        pen.box(x - 9, -44, x + 9, -6, dark, edge, radius=6)
    length = subject.uniform("length", -5, 5)
    pen.shape(
        [
            *curve((-64 - length, -80), (-76 - length, -38), (-40, -34)),
            *curve((40, -36), (66, -40), (58, -96)),
            *curve((40, -98), (0, -88), (-64 - length, -80)),
        ],
        fur,
        edge,
    )
    for x in (-56, 30):
        pen.box(x - 10, -48, x + 10, 0, fur, edge, radius=7)
        pen.box(x - 7, -54, x + 7, -36, fur)
        pen.oval(x + 5, -4, 14, 6, fur, edge)
    pen.shape([(30, -96), (58, -70), (74, -110), (48, -132)], fur)
    pen.line([(30, -95), (44, -124)], edge, 3)
    pen.line([(58, -68), (70, -100)], edge, 3)
    pen.box(40, -136, 116, -106, fur, edge, radius=14)
    pen.oval(58, -134, 33, 30, fur, edge)
    pen.box(62, -134, 104, -108, fur)
    pen.oval(112, -128, 9, 8, _DARK)
    pen.line(curve((82, -112), (96, -104), (110, -113)), _DARK, 3)
    pen.shape([*curve((102, -108), (96, -84), (88, -108))], (226, 86, 100), edge, 2)
    pen.line([(32, -92), (60, -70)], (206, 40, 44), 9)
    pen.shape(oval(36, -124, 14, 34, 14), dark, edge)
    pen.oval(72, -144, 7, 8, (250, 250, 246), _DARK, 2)
    pen.oval(74, -143, 4, 5, _DARK)


def _rabbit(pen: Pen, fur: Color, subject: Nuisance) -> None:
    edge = mix(shade(fur, 0.5), (90, 90, 96), 0.35)
    pen.oval(-64, -34, 17, 17, shade(fur, 1.6), edge)
    pen.oval(-10, -44, 56, 42, fur, edge)
    pen.shape(oval(-26, -28, 32, 27), shade(fur, 0.92), edge)
    pen.oval(-20, -5, 34, 8, fur, edge)
    pen.oval(44, -6, 20, 8, fur, edge)
    lean = subject.uniform("ears", -5, 5)
    for x, tilt in ((30, -20 + lean), (52, 4 + lean)):
        pen.shape(oval(x, -152, 13, 46, tilt), fur, edge)
        pen.shape(oval(x, -150, 6, 34, tilt), _PINK)
    pen.oval(46, -90, 36, 31, fur, edge)
    pen.oval(62, -76, 20, 15, shade(fur, 1.3))
    pen.oval(55, -99, 8, 9, (92, 44, 40), _DARK, 2)
    pen.oval(57, -102, 3, 3, (255, 255, 255))
    pen.shape([(74, -89), (86, -89), (80, -81)], _PINK, _DARK, 2)
    pen.box(71, -72, 81, -60, (252, 252, 252), edge, 2)


def _bird(pen: Pen, fur: Color, subject: Nuisance) -> None:
    pen = pen.inside(2, 0, 0.94)
    edge = mix(shade(fur, 0.5), (90, 90, 96), 0.35)
    leg: Color = (232, 150, 40)
    for x in (-6, 18):
        pen.line([(x, -44), (x, -4)], leg, 6)
        pen.line([(x - 10, -1), (x, -5), (x + 14, -1)], leg, 6)
    spread = subject.uniform("tail", -6, 6)
    pen.shape([(-40, -82), (-112, -74 + spread), (-108, -50 + spread), (-34, -58)], shade(fur, 0.72), edge)
    pen.shape(
        [
            *curve((-52, -80), (-30, -30), (20, -34)),
            *curve((20, -34), (70, -44), (62, -104)),
            *curve((62, -104), (20, -110), (-52, -80)),
        ],
        fur,
        edge,
    )
    pen.shape([(76, -132), (112, -120), (76, -112)], (248, 186, 36), (170, 110, 20), 2)
    pen.oval(52, -122, 31, 30, fur, edge)
    pen.oval(50, -74, 15, 24, shade(fur, 1.35), tilt=24)
    pen.shape(
        [(24, -92), *curve((24, -92), (20, -40), (-58, -54)), *curve((-58, -54), (-30, -84), (24, -92))],
        shade(fur, 0.76),
        edge,
    )
    pen.oval(61, -128, 8, 8, (252, 252, 250), _DARK, 2)
    pen.oval(63, -128, 4, 4, _DARK)


_ANIMALS: Mapping[str, Callable[[Pen, Color, Nuisance], None]] = {
    "cat": _cat,
    "dog": _dog,
    "rabbit": _rabbit,
    "bird": _bird,
}
