"""Faces: the subject is the person (geometry, skin, eyes, shirt), the setting is backdrop and framing."""

from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from p2p.world.drawing.pen import CANVAS, COLORS, Color, Nuisance, Pen, curve, gradient, mix, oval, shade

HAIR: dict[str, Color] = {
    "brown": (112, 68, 38),
    "black": (34, 30, 32),
    "red": (196, 74, 30),
    "blond": (240, 206, 106),
    "gray": (160, 162, 168),
}
_SKIN: tuple[Color, ...] = (
    (250, 218, 192),
    (240, 196, 160),
    (222, 168, 128),
    (190, 134, 98),
    (148, 98, 68),
    (110, 72, 52),
)
_EYES: tuple[Color, ...] = ((58, 104, 176), (64, 130, 74), (96, 58, 32), (50, 38, 34), (120, 130, 140))
_SHIRTS: tuple[Color, ...] = (
    (60, 90, 140),
    (150, 60, 70),
    (80, 130, 100),
    (200, 180, 140),
    (90, 80, 120),
    (230, 230, 225),
    (70, 70, 76),
    (210, 140, 80),
)
_BACKDROPS: tuple[Color, ...] = (
    (196, 214, 228),
    (222, 212, 196),
    (204, 222, 204),
    (220, 204, 220),
    (190, 196, 206),
    (236, 228, 206),
)
_DARK: Color = (44, 30, 30)
_WHITE: Color = (255, 255, 255)


@dataclass(frozen=True)
class Person:
    """The face's geometry and colours in canvas units about its centre."""

    skin: Color
    eyes: Color
    shirt: Color
    width: float
    height: float
    jaw: float
    eye_gap: float
    eye_size: float
    eye_y: float
    nose: float
    nose_width: float
    mouth: float
    mouth_y: float
    brow: float
    collar: int

    @classmethod
    def draw(cls, subject: Nuisance) -> "Person":
        """The person of a nuisance seed."""
        return cls(
            skin=subject.pick("skin", _SKIN),
            eyes=subject.pick("eyes", _EYES),
            shirt=subject.pick("shirt", _SHIRTS),
            width=subject.uniform("width", 48, 62),
            height=subject.uniform("height", 64, 78),
            jaw=subject.uniform("jaw", 0.55, 0.95),
            eye_gap=subject.uniform("eye gap", 21, 29),
            eye_size=subject.uniform("eye size", 8, 12),
            eye_y=subject.uniform("eye y", -14, -4),
            nose=subject.uniform("nose", 16, 28),
            nose_width=subject.uniform("nose width", 5, 12),
            mouth=subject.uniform("mouth", 22, 30),
            mouth_y=subject.uniform("mouth y", 38, 44),
            brow=subject.uniform("brow", 18, 23),
            collar=subject.stream("collar").randrange(3),
        )


def head_box(subject: Nuisance, setting: Nuisance) -> tuple[float, float, float, float]:
    """The head's middle (x, y), width and height, ears and chin included, as shares of the picture's sides."""
    person, (x, y, scale, _) = Person.draw(subject), _place(setting)
    chin = 0.98 * person.height  # where the curve of the jaw is lowest
    middle = y + scale * (chin - person.height) / 2
    size = 2 * scale * (person.width + 9), scale * (chin + person.height)
    return x / CANVAS, middle / CANVAS, size[0] / CANVAS, size[1] / CANVAS


def _place(setting: Nuisance) -> tuple[float, float, float, bool]:
    """The face's origin on the canvas, its scale, and whether it is mirrored."""
    x, y = 128 + setting.uniform("x", -10, 10), 128 + setting.uniform("y", -4, 8)
    return x, y, setting.uniform("size", 0.94, 1.1), setting.flag("mirrored")


def paint(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint a face on the canvas."""
    person = Person.draw(subject)
    backdrop = setting.pick("backdrop", _BACKDROPS)
    gradient(image, 0, image.height, shade(backdrop, 1.25), shade(backdrop, 0.85))
    pen = Pen(image).at(*_place(setting))
    woman = factors["gender"] == "woman"
    hair = subject.tint("hair tint", HAIR[factors["hair"]], 8)
    _hair_behind(pen, person, hair, woman, subject)
    _body(pen, person, woman)
    _head(pen, person, woman)
    _eyes(pen, person, woman)
    _brows(pen, person, hair, factors["mood"], woman)
    _nose(pen, person)
    _mouth(pen, person, factors["mood"], woman)
    _hair_front(pen, person, hair, woman)
    if factors["glasses"] == "glasses":
        _glasses(pen, person)
    if factors["hat"] != "none":
        _hat(pen, person, subject.tint("hat tint", COLORS[factors["hat"]], 8))


def paint_head(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint where `paint` has the head, crown to chin and both ears, white; hair and hat hide some of it there."""
    person, pen = Person.draw(subject), Pen(image).at(*_place(setting))
    for side in (-1, 1):
        pen.oval(side * person.width, 2, 9, 15, _WHITE, _WHITE)
    pen.shape(_face_outline(person, factors["gender"] == "woman"), _WHITE, _WHITE, 3)


def _hair_behind(pen: Pen, person: Person, hair: Color, woman: bool, subject: Nuisance) -> None:
    if not woman:
        return
    width, bottom = person.width + 20, subject.uniform("hair length", 72, 100)
    dark = shade(hair, 0.72)
    points = [
        *oval(0, -18, width, person.height + 4, 0, 180, 360),
        *curve((width, -18), (width + 14, 40), (width + 4, bottom)),
        (-width - 4, bottom),
        *curve((-width - 4, bottom), (-width - 14, 40), (-width, -18)),
    ]
    pen.shape(points, dark, shade(hair, 0.5))


def _body(pen: Pen, person: Person, woman: bool) -> None:
    shoulder = 78 if woman else 104
    neck = 20 if woman else 30
    top = person.height + 12
    shirt = [
        (-neck - 4, top),
        *curve((-neck - 4, top), (-shoulder, top + 4), (-shoulder - 8, 190)),
        *curve((shoulder + 8, 190), (shoulder, top + 4), (neck + 4, top)),
    ]
    pen.shape(shirt, person.shirt, shade(person.shirt, 0.6))
    pen.shape([(-neck, 30), (neck, 30), (neck, top), (0, top + 16), (-neck, top)], shade(person.skin, 0.82))
    light = shade(person.shirt, 1.45)
    if person.collar == 0:
        for side in (-1, 1):
            pen.shape(
                [(side * neck, top - 2), (0, top + 18), (side * (neck - 2), top + 34), (side * (neck + 14), top + 6)],
                light,
            )
    elif person.collar == 1:
        for y in range(round(top) + 26, 190, 14):
            pen.line([(-shoulder + 22, y), (shoulder - 22, y)], light, 5)


def _face_outline(person: Person, woman: bool) -> list[tuple[float, float]]:
    width, height = person.width, person.height
    jaw = person.jaw * (0.72 if woman else 1.0) * width
    return [
        *oval(0, -8, width, height - 8, 0, 180, 360),
        *curve((width, -8), (width, height * 0.55), (jaw * 0.62, height * 0.88)),
        *curve((jaw * 0.62, height * 0.88), (0, height * 1.08), (-jaw * 0.62, height * 0.88)),
        *curve((-jaw * 0.62, height * 0.88), (-width, height * 0.55), (-width, -8)),
    ]


def _head(pen: Pen, person: Person, woman: bool) -> None:
    edge = shade(person.skin, 0.7)
    for side in (-1, 1):
        pen.oval(side * person.width, 2, 9, 15, person.skin, edge)
    pen.shape(_face_outline(person, woman), person.skin, edge, 3)
    blush = mix(person.skin, (226, 104, 100), 0.22)
    for side in (-1, 1):
        pen.oval(side * person.width * 0.6, 24, 11, 8, blush)


def _eyes(pen: Pen, person: Person, woman: bool) -> None:
    size = person.eye_size
    for side in (-1, 1):
        x, y = side * person.eye_gap, person.eye_y
        pen.oval(x, y, size * 1.35, size * 0.95, (250, 250, 250), _DARK, 3 if woman else 2)
        pen.oval(x, y, size * 0.72, size * 0.8, person.eyes)
        pen.oval(x, y, size * 0.36, size * 0.4, (16, 14, 16))
        if woman:
            pen.line(
                [
                    (x - size * 1.4, y - 2),
                    *curve((x - size * 1.4, y - 2), (x, y - size * 1.9), (x + size * 1.4, y - 2)),
                ],
                _DARK,
                4,
            )


def _brows(pen: Pen, person: Person, hair: Color, mood: str, woman: bool) -> None:
    color = mix(shade(hair, 0.55), _DARK, 0.3)
    thickness = 5 if woman else 9
    inner, outer = {"neutral": (0, 0), "smiling": (-5, -1), "sad": (-11, 7)}[mood]
    lift = -person.brow + (-4 if mood == "smiling" else 0)
    for side in (-1, 1):
        near, far = side * (person.eye_gap - 13), side * (person.eye_gap + 15)
        y = person.eye_y + lift
        pen.line(
            curve((near, y + inner), (side * person.eye_gap, y - 5 + (inner + outer) / 2), (far, y + outer)),
            color,
            thickness,
        )


def _nose(pen: Pen, person: Person) -> None:
    color = shade(person.skin, 0.68)
    bottom = person.eye_y + 12 + person.nose
    pen.line([(-2, person.eye_y + 8), (-person.nose_width, bottom), (person.nose_width, bottom)], color, 4)


def _mouth(pen: Pen, person: Person, mood: str, woman: bool) -> None:
    lip: Color = (196, 48, 62) if woman else mix(person.skin, (150, 50, 50), 0.6)
    half, y = person.mouth, person.mouth_y
    if mood == "smiling":
        pen.shape(
            [
                *curve((-half - 6, y - 7), (0, y - 1), (half + 6, y - 7)),
                *curve((half + 6, y - 7), (0, y + 40), (-half - 6, y - 7)),
            ],
            (250, 248, 244),
            lip,
            6,
        )
        pen.line([(-half - 6, y - 7), *curve((-half - 6, y - 7), (0, y - 1), (half + 6, y - 7))], lip, 6)
    elif mood == "sad":
        pen.line(curve((-half, y + 14), (0, y - 22), (half, y + 14)), lip, 10)
    else:
        pen.shape(
            [*curve((-half + 2, y), (0, y - 10), (half - 2, y)), *curve((half - 2, y), (0, y + 12), (-half + 2, y))],
            lip,
            shade(lip, 0.7),
            3,
        )


def _hair_front(pen: Pen, person: Person, hair: Color, woman: bool) -> None:
    width, top = person.width, -person.height
    edge = shade(hair, 0.6)
    if woman:
        out, low = width + 17, 84
        for side in (-1, 1):
            lock = [
                (0, top - 8),
                *curve((0, top - 8), (side * out, top - 6), (side * out, -8)),
                *curve((side * out, -8), (side * (out + 6), 40), (side * (out - 2), low)),
                *curve((side * (out - 20), low), (side * (width - 8), 20), (side * (width - 6), -14)),
                *curve((side * (width - 6), -14), (side * width * 0.8, top + 22), (-6, top + 26)),
            ]
            pen.shape(lock, hair, edge)
        return
    out = width + 9
    cap = [
        *curve((-out, -2), (-out - 6, top - 18), (0, top - 18)),
        *curve((0, top - 18), (out + 6, top - 18), (out, -2)),
        (width - 6, 0),
        (width - 8, -24),
        *curve((width - 8, -26), (width * 0.4, top + 34), (-width * 0.1, top + 22)),
        *curve((-width * 0.1, top + 22), (-width + 14, top + 30), (-width + 8, -24)),
        (-width + 6, 0),
    ]
    pen.shape(cap, hair, edge)


def _glasses(pen: Pen, person: Person) -> None:
    frame: Color = (24, 24, 30)
    y, half = person.eye_y + 1, min(20.0, person.eye_gap - 3)
    for side in (-1, 1):
        x = side * person.eye_gap
        rim = oval(x, y, half, 18)
        pen.line([*rim, rim[1]], frame, 6)
        pen.line([(x + side * half, y - 3), (side * (person.width + 4), y - 6)], frame, 6)
    pen.line([(-person.eye_gap + half, y - 3), (person.eye_gap - half, y - 3)], frame, 6)


def _hat(pen: Pen, person: Person, color: Color) -> None:
    width, brim = person.width, -person.height + 30
    edge = shade(color, 0.6)
    crown = [
        (-width - 8, brim),
        *curve((-width - 8, brim), (-width - 2, brim - 58), (-width * 0.5, brim - 58)),
        *curve((width * 0.5, brim - 58), (width + 2, brim - 58), (width + 8, brim)),
    ]
    pen.shape(crown, color, edge)
    pen.shape(
        [(-width - 8, brim - 16), (width + 8, brim - 16), (width + 8, brim), (-width - 8, brim)], shade(color, 0.55)
    )
    pen.oval(0, brim, width + 36, 11, color, edge)
