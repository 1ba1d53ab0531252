"""Rooms: one piece of furniture on the floor, perhaps one thing beside it or on the wall."""

from collections.abc import Callable, Mapping

from PIL import Image

from p2p.world.drawing.pen import COLORS, Color, Nuisance, Pen, curve, gradient, mix, shade

_WALLS: tuple[Color, ...] = (
    (226, 218, 200),
    (200, 214, 220),
    (210, 220, 200),
    (226, 206, 200),
    (208, 204, 218),
    (190, 186, 178),
)
_FLOORS: tuple[Color, ...] = ((168, 122, 82), (140, 100, 70), (190, 160, 124), (150, 146, 142))
_RUGS: tuple[Color, ...] = ((190, 170, 160), (150, 160, 170), (180, 150, 150), (160, 172, 150))
_LEG: Color = (84, 56, 38)


def paint(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint a room on the canvas."""
    _room(image, setting)
    mirrored = setting.flag("mirrored")
    color = subject.tint("paint", COLORS[factors["color"]], 8)
    shift = setting.uniform("x", -6, 6)
    if factors["decor"] != "none":
        _DECOR[factors["decor"]](Pen(image).at(128 + shift, 0, 1.0, mirrored), setting)
    pen = Pen(image).at(
        128 + shift + (14 if mirrored else -14),
        226 + setting.uniform("y", -8, 4),
        setting.uniform("size", 0.94, 1.08),
        mirrored,
    )
    pen.oval(0, 0, 96, 9, shade(setting.pick("floor", _FLOORS), 0.62))
    _FURNITURE[factors["furniture"]](pen, color, subject)


def _room(image: Image.Image, setting: Nuisance) -> None:
    wall, floor = setting.pick("wall", _WALLS), setting.pick("floor", _FLOORS)
    edge = setting.uniform("floor height", 168, 184)
    gradient(image, 0, edge, shade(wall, 1.2), wall)
    gradient(image, edge, image.height, shade(floor, 0.85), shade(floor, 1.1))
    pen = Pen(image)
    pen.box(0, edge - 8, 256, edge, shade(wall, 1.5), shade(wall, 0.7), 2)
    if setting.flag("stripes", 0.3):
        for x in range(12, 256, 32):
            pen.box(x, 0, x + 10, edge - 9, shade(wall, 0.95))
    if setting.flag("boards", 0.5):
        for n in range(-2, 12):
            pen.line([(n * 26, edge + 2), (128 + (n * 26 - 128) * 1.4, 256)], shade(floor, 0.78), 2)
    if setting.flag("rug", 0.5):
        pen.oval(128, 230, 116, 20, setting.pick("rug", _RUGS), shade(floor, 0.6))


def _edge(color: Color) -> Color:
    return mix(shade(color, 0.5), (84, 84, 92), 0.3)


def _sofa(pen: Pen, color: Color, subject: Nuisance) -> None:
    edge, back = _edge(color), -96 + subject.uniform("back", -8, 8)
    for x in (-80, 80):
        pen.box(x - 6, -14, x + 6, 0, _LEG)
    pen.box(-84, back, 84, -30, shade(color, 0.86), edge, 4, radius=16)
    pen.line([(0, back + 6), (0, -50)], edge, 3)
    for x in (-70, 2):
        pen.box(x, -56, x + 68, -28, color, edge, 3, radius=8)
    pen.box(-76, -32, 76, -10, shade(color, 0.8), edge, 3)
    for x in (-86, 86):
        pen.box(x - 16, -72, x + 16, -8, color, edge, 4, radius=14)
    if subject.flag("pillow"):
        pen.shape([(-58, -84), (-26, -80), (-30, -50), (-62, -54)], (232, 222, 200), (150, 140, 120))


def _bed(pen: Pen, color: Color, subject: Nuisance) -> None:
    edge, wood = _edge(color), subject.tint("wood", (134, 88, 52))
    pen.box(-106, -112 + subject.uniform("head", -10, 8), -90, 0, wood, shade(wood, 0.6), 3, radius=5)
    pen.box(94, -58, 108, 0, wood, shade(wood, 0.6), 3, radius=5)
    pen.box(-92, -26, 96, -12, wood, shade(wood, 0.6))
    pen.box(-90, -52, 96, -24, (246, 244, 240), (160, 160, 166), 3, radius=5)
    pen.box(-86, -76, -34, -48, (252, 252, 252), (160, 160, 166), 3, radius=13)
    blanket = [
        *curve((-34, -52), (-30, -66), (-10, -66)),
        *curve((70, -66), (98, -66), (98, -44)),
        (98, -14),
        (-34, -14),
    ]
    pen.shape(blanket, color, edge, 4)
    pen.shape(
        [(-34, -52), *curve((-34, -52), (-30, -66), (-10, -66)), (2, -66), (2, -14), (-34, -14)],
        shade(color, 0.8),
        edge,
    )


def _table(pen: Pen, color: Color, subject: Nuisance) -> None:
    edge, dark = _edge(color), shade(color, 0.72)
    for x in (-62, 62):
        pen.box(x - 6, -70, x + 6, -16, shade(color, 0.6), edge)
    pen.box(-88, -64, 88, -50, dark, edge)
    for x in (-82, 82):
        pen.box(x - 8, -56, x + 8, 0, color, edge)
    pen.shape([(-72, -92), (72, -92), (100, -66), (-100, -66)], color, edge, 4)
    pen.box(-100, -66, 100, -56, dark, edge)
    if subject.flag("bowl"):
        pen.shape([*curve((-20, -96), (0, -62), (20, -96))], (206, 214, 222), (120, 126, 136), 2)
        pen.oval(0, -96, 20, 6, (170, 178, 188), (120, 126, 136), 2)


def _chair(pen: Pen, color: Color, subject: Nuisance) -> None:
    edge, top = _edge(color), -148 + subject.uniform("back", -8, 8)
    for x in (-34, 34):
        pen.box(x - 5, -60, x + 5, -12, shade(color, 0.55), edge)
    for x in (-42, 42):
        pen.box(x - 6, top, x + 6, -52, color, edge)
    pen.box(-48, top, 48, top + 26, color, edge, 4, radius=8)
    pen.box(-38, top + 42, 38, top + 56, color, edge)
    pen.shape([(-44, -72), (44, -72), (56, -50), (-56, -50)], color, edge, 4)
    pen.box(-56, -50, 56, -40, shade(color, 0.72), edge)
    for x in (-49, 49):
        pen.box(x - 7, -42, x + 7, 0, color, edge)


def _lamp(pen: Pen, setting: Nuisance) -> None:
    x, top = 100, 44 + setting.uniform("lamp", -8, 10)
    glow = mix(setting.pick("wall", _WALLS), (255, 244, 180), 0.6)
    pen.oval(x, top + 22, 46, 40, glow)
    pen.line([(x, top + 36), (x, 206)], (56, 50, 48), 7)
    pen.oval(x, 208, 22, 7, (56, 50, 48))
    pen.shape([(x - 16, top), (x + 16, top), (x + 30, top + 42), (x - 30, top + 42)], (255, 222, 110), (180, 134, 40))


def _plant(pen: Pen, setting: Nuisance) -> None:
    x, green = 100, setting.tint("leaves", (46, 140, 64))
    for dx, top in ((-34, 110), (34, 106), (-20, 78), (22, 74), (0, 62)):
        tip = (x + dx, top + setting.uniform("leaf", -6, 6))
        leaf = [
            *curve((x, 170), (x + dx * 1.5 - 16, (170 + top) / 2), tip),
            *curve(tip, (x + dx * 0.6 + 16, (170 + top) / 2), (x, 170)),
        ]
        pen.shape(leaf, green, shade(green, 0.6))
    pen.shape([(x - 24, 164), (x + 24, 164), (x + 17, 210), (x - 17, 210)], (196, 98, 58), (130, 58, 32))
    pen.box(x - 27, 158, x + 27, 170, (210, 112, 70), (130, 58, 32))


def _picture(pen: Pen, setting: Nuisance) -> None:
    y = 22 + setting.uniform("picture", -4, 6)
    pen.box(-58, y, 42, y + 66, (128, 82, 38), (80, 48, 20), 3)
    pen.box(-49, y + 9, 33, y + 57, (246, 226, 180))
    pen.oval(14, y + 22, 9, 9, (236, 90, 50))
    pen.shape([(-49, y + 57), (-26, y + 24), (-2, y + 57)], (84, 112, 150))
    pen.shape([(-18, y + 57), (10, y + 36), (33, y + 57)], (90, 140, 90))


def _window(pen: Pen, setting: Nuisance) -> None:
    y, cloth = (
        12 + setting.uniform("window", -4, 4),
        setting.pick("curtain", ((214, 120, 110), (120, 150, 190), (230, 200, 120), (150, 180, 140))),
    )
    pen.box(-66, y, 50, y + 92, (250, 250, 250), (150, 150, 156))
    pen.box(-58, y + 8, 42, y + 84, (126, 196, 244))
    pen.oval(14, y + 34, 18, 8, (250, 252, 255))
    pen.shape([(-58, y + 84), *curve((-58, y + 68), (-20, y + 52), (42, y + 74)), (42, y + 84)], (110, 180, 96))
    pen.box(-12, y + 4, -4, y + 88, (250, 250, 250))
    pen.box(-62, y + 42, 46, y + 49, (250, 250, 250))
    for inner, outer in ((-46, -78), (30, 62)):
        pen.shape(
            [
                (outer, y - 2),
                (inner, y - 2),
                *curve(
                    (inner, y - 2), (inner + (outer - inner) * 0.2, y + 60), (inner + (outer - inner) * 0.4, y + 98)
                ),
                (outer, y + 98),
            ],
            cloth,
            shade(cloth, 0.65),
        )
    pen.line([(-84, y - 3), (68, y - 3)], _LEG, 6)


_FURNITURE: Mapping[str, Callable[[Pen, Color, Nuisance], None]] = {
    "sofa": _sofa,
    "bed": _bed,
    "table": _table,
    "chair": _chair,
}
_DECOR: Mapping[str, Callable[[Pen, Nuisance], None]] = {
    "lamp": _lamp,
    "plant": _plant,
    "picture": _picture,
    "window": _window,
}
