"""Vehicles seen from the side, on a road or on water, before a landscape."""

from collections.abc import Callable, Mapping

from PIL import Image

from p2p.world.drawing.outdoors import lit, sky
from p2p.world.drawing.pen import COLORS, Color, Nuisance, Pen, curve, gradient, mix, oval, shade

HORIZON = 164
_DARK: Color = (26, 26, 30)
_WINDOW: Color = (198, 226, 244)
_LIGHT: Color = (255, 232, 130)


def paint(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint a vehicle in a landscape on the canvas."""
    night = factors["time"] == "night"
    sky(image, night, HORIZON, setting)
    _PLACES[factors["place"]](Pen(image), night, setting)
    color = lit(subject.tint("paint", COLORS[factors["color"]], 8), night, 0.15)
    pen = Pen(image).at(
        128 + setting.uniform("x", -12, 12),
        222 + setting.uniform("y", -8, 6),
        setting.uniform("size", 0.94, 1.1),
        setting.flag("mirrored"),
    )
    _way(image, factors["vehicle"] == "boat", night, setting)
    _VEHICLES[factors["vehicle"]](pen, color, night, subject)


def _way(image: Image.Image, water: bool, night: bool, setting: Nuisance) -> None:
    pen, stream = Pen(image), setting.stream("way")
    if water:
        blue = lit(setting.tint("water", (58, 132, 196)), night)
        gradient(image, 186, image.height, shade(blue, 1.2), shade(blue, 0.8))
        for _ in range(12):
            x, y = stream.uniform(0, 256), stream.uniform(194, 252)
            pen.line(curve((x - 16, y), (x, y - 6), (x + 16, y)), shade(blue, 1.35), 3)
        return
    gray = lit(setting.tint("road", (112, 112, 118)), night)
    gradient(image, 196, image.height, shade(gray, 0.9), gray)
    pen.box(0, 192, 256, 198, lit((206, 204, 196), night))
    start = stream.uniform(-40, 0)
    for n in range(5):
        pen.box(start + n * 64, 240, start + n * 64 + 34, 246, lit((244, 240, 220), night))


def _floor(pen: Pen, color: Color) -> None:
    gradient(pen.image, HORIZON, 200, shade(color, 0.92), color)


def _city(pen: Pen, night: bool, setting: Nuisance) -> None:
    stream, x = setting.stream("city"), -10.0
    while x < 256:
        width, top = stream.uniform(34, 52), stream.uniform(28, 100)
        wall = lit(stream.choice([(168, 172, 184), (190, 164, 148), (150, 160, 176), (206, 198, 184)]), night, 0.62)
        pen.box(x, top, x + width, HORIZON + 10, wall, shade(wall, 0.75))
        lights = stream.getrandbits(64)
        for n in range(16):
            wx, wy = x + 8 + (n % 2) * (width / 2 - 3), top + 12 + (n // 2) * 20
            if wy < HORIZON - 10:
                glow = _LIGHT if night and lights >> n & 1 else shade(wall, 0.62)
                pen.box(wx, wy, wx + 11, wy + 11, glow)
        x += width + stream.uniform(0, 5)
    _floor(pen, lit((150, 150, 152), night))


def _desert(pen: Pen, night: bool, setting: Nuisance) -> None:
    stream, sand = setting.stream("desert"), lit(setting.tint("sand", (234, 190, 110)), night)
    for x in (stream.uniform(0, 100), stream.uniform(130, 256)):
        pen.shape(
            [(x - 130, HORIZON + 2), *curve((x - 130, HORIZON + 2), (x, 56), (x + 130, HORIZON + 2))], shade(sand, 0.86)
        )
    _floor(pen, sand)
    green = lit((62, 132, 66), night)
    for x in (stream.uniform(14, 70), stream.uniform(186, 242)):
        cactus = pen.at(x, HORIZON + 14, stream.uniform(0.9, 1.2))
        cactus.line([(0, 0), (0, -84)], green, 17)
        cactus.line([(0, -30), (-22, -30), (-22, -56)], green, 11)
        cactus.line([(0, -44), (22, -44), (22, -70)], green, 11)


def _forest(pen: Pen, night: bool, setting: Nuisance) -> None:
    stream = setting.stream("forest")
    _floor(pen, lit(setting.tint("meadow", (96, 150, 72)), night))
    for n in range(9):
        x, size = n * 31 + stream.uniform(-8, 8), stream.uniform(0.9, 1.3)
        tree = pen.at(x, HORIZON + stream.uniform(2, 18), size)
        green = lit(stream.choice([(34, 104, 54), (48, 122, 62), (28, 88, 52)]), night)
        tree.box(-5, -16, 5, 2, lit((104, 70, 42), night))
        for y, half in ((-12, 28), (-42, 23), (-70, 17)):
            tree.shape([(-half, y), (half, y), (0, y - 46)], green, shade(green, 0.75), 2)


def _mountains(pen: Pen, night: bool, setting: Nuisance) -> None:
    stream = setting.stream("mountains")
    for center in (stream.uniform(10, 60), stream.uniform(190, 250), stream.uniform(100, 150)):
        top, half = stream.uniform(30, 66), stream.uniform(84, 112)
        rock = lit(stream.choice([(124, 128, 146), (140, 130, 136), (108, 118, 136)]), night)
        slope = half / (HORIZON - top)
        pen.shape([(center - half, HORIZON + 2), (center, top), (center + half, HORIZON + 2)], rock, shade(rock, 0.8))
        snow = lit((248, 250, 255), night, 0.35)
        low = top + 40
        pen.shape(
            [
                (center, top),
                (center + slope * 40, low),
                (center + slope * 16, low - 10),
                (center, low + 6),
                (center - slope * 16, low - 10),
                (center - slope * 40, low),
            ],
            snow,
        )
    _floor(pen, lit(setting.tint("slope", (136, 156, 112)), night))


def _wheel(pen: Pen, x: float, radius: float) -> None:
    pen.oval(x, -radius, radius, radius, _DARK)
    pen.oval(x, -radius, radius * 0.55, radius * 0.55, (196, 198, 204), (120, 120, 126))


def _edge(color: Color) -> Color:
    return mix(shade(color, 0.5), (84, 84, 92), 0.3)


def _car(pen: Pen, color: Color, night: bool, subject: Nuisance) -> None:
    edge, roof = _edge(color), subject.uniform("roof", -6, 4)
    body = [
        (-92, -16),
        (-94, -42),
        *curve((-92, -52), (-84, -54), (-62, -56)),
        (-38, -88 + roof),
        (28, -88 + roof),
        (58, -56),
        *curve((66, -54), (94, -52), (96, -34)),
        (96, -16),
    ]
    pen.shape(body, color, edge, 4)
    glass = lit(_WINDOW, night, 0.35)
    pen.shape([(-50, -57), (-32, -81 + roof), (-6, -81 + roof), (-6, -57)], glass, edge)
    pen.shape([(2, -57), (2, -81 + roof), (24, -81 + roof), (46, -57)], glass, edge)
    pen.line([(-2, -54), (-2, -20)], edge, 3)
    pen.line([(4, -44), (16, -44)], edge, 4)
    pen.oval(90, -40, 6, 7, _LIGHT, edge, 2)
    pen.oval(-91, -40, 4, 7, (216, 40, 36))
    for x in (-54, 56):
        pen.oval(x, -20, 27, 25, edge)
        _wheel(pen, x, 22)


def _bus(pen: Pen, color: Color, night: bool, subject: Nuisance) -> None:
    pen = pen.inside(0, 0, 0.9)
    edge, glass, top = _edge(color), lit(_WINDOW, night, 0.35), -126 + subject.uniform("roof", -6, 6)
    pen.box(-106, top, 106, -16, color, edge, 4, radius=12)
    for x in (-94, -54, -14, 26):
        pen.box(x, top + 18, x + 34, top + 54, glass, edge, radius=4)
    pen.box(70, top + 18, 100, -22, glass, edge, radius=4)
    pen.line([(85, top + 20), (85, -24)], edge, 3)
    pen.box(-104, -46, 64, -38, shade(color, 1.5) if sum(color) < 600 else shade(color, 0.7))
    pen.oval(100, -28, 5, 6, _LIGHT)
    for x in (-64, 44):
        pen.oval(x, -20, 25, 24, edge)
        _wheel(pen, x, 21)


def _bicycle(pen: Pen, color: Color, night: bool, subject: Nuisance) -> None:
    radius = 40 + subject.uniform("wheels", -2, 3)
    back, front, crank, seat, head = (
        (-58.0, -radius),
        (62.0, -radius),
        (-4.0, -radius + 2),
        (-24.0, -96.0),
        (42.0, -100.0),
    )
    tire = lit((30, 30, 34), night, 0.0)
    for x, y in (back, front):
        rim = oval(x, y, radius, radius)
        pen.line([*rim, rim[1]], (214, 216, 220) if night else tire, 11 if night else 8)
        if night:
            pen.line([*rim, rim[1]], tire, 7)
        for angle in (0, 60, 120):
            spoke = oval(x, y, radius - 5, radius - 5, angle, 0, 180)
            pen.line([spoke[0], spoke[-1]], (170, 172, 178), 2)
    edge = _edge(color)
    frame = [[back, crank, seat, back], [seat, head, crank], [(36.0, -118.0), head, front]]
    for ink, width in ((edge, 16), (color, 11)):
        for bar in frame:
            pen.line(bar, ink, width)
    pen.line([seat, (-28, -112)], edge, 7)
    pen.shape(oval(-30, -116, 24, 8), _DARK, (120, 120, 124), 2)
    pen.line(curve((36, -118), (48, -134), (64, -122)), _DARK, 10)
    pen.oval(crank[0], crank[1], 9, 9, (150, 152, 158), _DARK)
    pen.line([crank, (crank[0] + 12, crank[1] + 22)], _DARK, 6)


def _boat(pen: Pen, color: Color, night: bool, subject: Nuisance) -> None:
    edge, top = _edge(color), -172 + subject.uniform("mast", -8, 6)
    pen.line([(2, -40), (2, top)], (122, 82, 48), 8)
    canvas = lit((250, 248, 238), night, 0.25)
    pen.shape([(-4, top + 8), *curve((-4, top + 8), (-34, -90), (-76, -58)), (-4, -58)], canvas, (130, 130, 136))
    pen.shape(
        [(10, top + 20), *curve((10, top + 20), (40, -90), (66, -58)), (10, -58)], shade(canvas, 0.9), (130, 130, 136)
    )
    pen.shape(
        [
            (-100, -44),
            (104, -44),
            *curve((104, -44), (88, 0), (56, 4)),
            (-64, 4),
            *curve((-64, 4), (-92, 0), (-100, -44)),
        ],
        color,
        edge,
        4,
    )
    pen.line([(-98, -41), (102, -41)], shade(color, 0.6), 7)


_PLACES: Mapping[str, Callable[[Pen, bool, Nuisance], None]] = {
    "city": _city,
    "desert": _desert,
    "forest": _forest,
    "mountains": _mountains,
}
_VEHICLES: Mapping[str, Callable[[Pen, Color, bool, Nuisance], None]] = {
    "car": _car,
    "bus": _bus,
    "bicycle": _bicycle,
    "boat": _boat,
}
