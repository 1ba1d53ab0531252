"""Food seen slightly from above, on a plate or a wooden board."""

from collections.abc import Callable, Mapping

from PIL import Image

from p2p.world.drawing.pen import Color, Nuisance, Pen, Point, curve, gradient, mix, oval, shade

_CLOTHS: tuple[Color, ...] = (
    (156, 190, 206),
    (206, 164, 158),
    (170, 196, 164),
    (190, 178, 206),
    (226, 214, 186),
    (120, 138, 158),
)
_WOOD: Color = (178, 122, 70)
_SPOTS: Mapping[str, tuple[Point, ...]] = {
    "cake": ((-46, -92), (-16, -104), (18, -104), (47, -92), (-22, -82), (14, -80)),
    "pizza": ((-58, -34), (-24, -58), (22, -56), (58, -34), (-26, -14), (28, -14), (0, -36)),
    "burger": ((-38, -100), (-12, -110), (17, -110), (42, -99), (2, -90)),
    "pancakes": ((-46, -80), (-20, -92), (20, -92), (47, -80), (-24, -68), (22, -68)),
}
_SIDES: tuple[Point, ...] = ((-88, 4), (86, 6))


def paint(image: Image.Image, factors: Mapping[str, str], subject: Nuisance, setting: Nuisance) -> None:
    """Paint a dish on the canvas."""
    cloth = setting.pick("cloth", _CLOTHS)
    gradient(image, 0, image.height, shade(cloth, 0.86), shade(cloth, 1.15))
    _pattern(Pen(image), cloth, setting)
    pen = Pen(image).at(
        128 + setting.uniform("x", -10, 10),
        182 + setting.uniform("y", -8, 10),
        setting.uniform("size", 0.96, 1.1),
        setting.flag("mirrored"),
    )
    if factors["surface"] == "plate":
        _plate(pen, cloth)
    else:
        _board(pen, cloth, setting)
    _DISHES[factors["dish"]](pen, subject)
    if factors["topping"] != "none":
        _scatter(pen, _TOPPINGS[factors["topping"]], factors["dish"], subject)


def _pattern(pen: Pen, cloth: Color, setting: Nuisance) -> None:
    kind, step = setting.stream("pattern").randrange(3), 32
    color = shade(cloth, 1.28)
    for n in range(0, 257, step):
        if kind != 2:
            pen.line([(n, 0), (n, 256)], color, 4)
        if kind == 1:
            pen.line([(0, n), (256, n)], color, 4)


def _plate(pen: Pen, cloth: Color) -> None:
    pen.oval(0, 6, 116, 54, shade(cloth, 0.6))
    pen.oval(0, -4, 116, 54, (250, 250, 250), (176, 180, 190))
    pen.oval(0, -8, 86, 37, (232, 234, 240), (204, 208, 216))


def _board(pen: Pen, cloth: Color, setting: Nuisance) -> None:
    wood = setting.tint("wood", _WOOD)
    pen.box(-112, -48, 112, 56, shade(cloth, 0.6), radius=14)
    pen.box(-112, -56, 112, 44, wood, shade(wood, 0.6), 4, radius=14)
    for y in (-38, -20, 0, 20, 34):
        pen.line([(-100, y), (-30, y + 3), (40, y - 2), (100, y + 1)], shade(wood, 0.8), 3)
    pen.oval(96, -40, 7, 7, shade(wood, 0.35))


def _cake(pen: Pen, subject: Nuisance) -> None:
    sponge: Color = (228, 178, 110)
    icing = subject.pick("icing", ((252, 244, 232), (250, 206, 214), (112, 66, 44)))
    side = [(-74, -84), (-74, -14), *oval(0, -14, 74, 26, 0, 180, 0), (74, -84)]
    pen.shape(side, sponge, shade(sponge, 0.65))
    for y, color in ((-52, (250, 236, 214)), (-26, (190, 66, 74))):
        pen.line(oval(0, y, 71, 25, 0, 175, 5), color, 9)
    drip: list[Point] = [(-76, -86)]
    for n in range(7):
        x = -76 + n * 152 / 7
        drip += curve((x, -72), (x + 11, -28 - 10 * (n % 2) + abs(n - 3) * -5), (x + 22, -70))
    pen.shape([*drip, (76, -86)], icing, shade(icing, 0.8), 2)
    pen.oval(0, -88, 76, 28, icing, shade(icing, 0.75))


def _pizza(pen: Pen, subject: Nuisance) -> None:
    crust, sauce = subject.tint("crust", (214, 152, 82)), (200, 62, 36)
    pen.oval(0, -28, 98, 52, shade(crust, 0.7))
    pen.oval(0, -36, 98, 52, crust, shade(crust, 0.6))
    pen.oval(0, -37, 82, 41, sauce)
    melted: Color = (250, 214, 116)
    stream = subject.stream("melted")
    for n in range(11):
        x, y = (-56 + 28 * (n % 5), -58 + 20 * (n // 4))
        pen.oval(
            x + stream.uniform(-6, 6), y + stream.uniform(-3, 3), stream.uniform(16, 24), stream.uniform(8, 12), melted
        )
    for x in (-48, 46):
        pen.line([(x, -72), (-x, 0)], shade(sauce, 0.75), 3)


def _burger(pen: Pen, subject: Nuisance) -> None:
    bun = subject.tint("bun", (222, 148, 66))
    edge = shade(bun, 0.6)
    pen.box(-74, -26, 74, 12, bun, edge, radius=17)
    pen.box(-80, -46, 80, -20, (98, 54, 36), (60, 34, 24), radius=12)
    pen.shape([(-80, -52), (80, -52), (58, -30), (30, -50), (0, -26), (-34, -50), (-58, -34)], (250, 196, 40))
    leaf = [(-84.0, -56.0)] + [(-84 + 14 * n, -44 if n % 2 else -60) for n in range(13)] + [(84.0, -56.0)]
    pen.shape([*leaf, (84, -66), (-84, -66)], (104, 184, 62), (64, 130, 40), 2)
    pen.box(-76, -74, 76, -60, (214, 52, 40), (160, 30, 26), 2, radius=6)
    pen.shape([*oval(0, -70, 80, 60, 0, 180, 360)], bun, edge, 4)
    stream = subject.stream("seeds")
    for n in range(9):
        x = -54 + 13.5 * n
        pen.oval(x, -84 - stream.uniform(0, 24) * (1 - abs(x) / 80), 4, 2.5, (250, 232, 186))


def _pancakes(pen: Pen, subject: Nuisance) -> None:
    batter = subject.tint("batter", (224, 164, 84))
    for n in range(5):
        y = -2 - 17 * n
        shift = (-4, 5, -3, 4, 0)[n]
        pen.oval(shift, y + 3, 84, 29, shade(batter, 0.62))
        pen.oval(shift, y - 5, 84, 29, shade(batter, 1.3), shade(batter, 0.7), 2)
    pen.oval(0, -76, 74, 23, mix(batter, (196, 118, 44), 0.55))
    syrup: Color = (132, 66, 20)
    pen.oval(0, -78, 50, 15, syrup)
    for x, low in ((-58, -30), (-14, -22), (44, -34)):
        pen.line([(x, -64), (x + 2, low)], syrup, 10)
    pen.shape([(-14, -82), (6, -90), (18, -80), (-4, -72)], (255, 238, 140), (214, 186, 80), 2)


def _strawberry(pen: Pen, x: float, y: float) -> None:
    red: Color = (222, 30, 48)
    pen.shape(
        [
            *curve((x, y + 19), (x - 24, y - 4), (x - 10, y - 13)),
            *curve((x + 10, y - 13), (x + 24, y - 4), (x, y + 19)),
        ],
        red,
        (140, 14, 28),
    )
    pen.shape(
        [(x - 12, y - 10), (x - 6, y - 19), (x, y - 13), (x + 6, y - 19), (x + 12, y - 10), (x, y - 5)], (66, 158, 58)
    )
    for dx, dy in ((-5, 0), (5, 1), (0, 8)):
        pen.oval(x + dx, y + dy, 1.8, 1.8, (255, 224, 150))


def _blueberry(pen: Pen, x: float, y: float) -> None:
    for dx, dy in ((-9, 3), (9, 4), (0, -7)):
        pen.oval(x + dx, y + dy, 10, 10, (54, 66, 158), (26, 32, 84), 2)
        pen.oval(x + dx - 2, y + dy - 3, 3.5, 3, (134, 150, 220))


def _cheese(pen: Pen, x: float, y: float) -> None:
    pen.shape([(x - 20, y + 6), (x + 18, y - 4), (x + 18, y + 14), (x - 20, y + 17)], (244, 186, 30), (190, 130, 10), 2)
    pen.shape([(x - 20, y + 6), (x + 4, y - 16), (x + 18, y - 4)], (255, 226, 96), (190, 130, 10), 2)
    pen.oval(x + 6, y + 7, 5, 4, (206, 146, 16))


def _olive(pen: Pen, x: float, y: float) -> None:
    pen.oval(x, y, 17, 14, (112, 130, 40), (50, 62, 16))
    pen.oval(x, y, 7, 6, (40, 44, 20))


def _mint(pen: Pen, x: float, y: float) -> None:
    green: Color = (44, 168, 92)
    for tilt, dx, dy in ((-34, -11, 2), (34, 11, 2), (90, 0, -10)):
        pen.shape(oval(x + dx, y + dy, 15, 7.5, -tilt if tilt != 90 else 90), green, (18, 102, 56), 2)
    pen.line([(x, y - 14), (x, y + 6)], (18, 102, 56), 2)


def _scatter(pen: Pen, topping: Callable[[Pen, float, float], None], dish: str, subject: Nuisance) -> None:
    stream = subject.stream("scatter")
    spots = sorted((*_SPOTS[dish], *_SIDES), key=lambda spot: spot[1])
    for x, y in spots:
        topping(pen, x + stream.uniform(-5, 5), y + stream.uniform(-3, 3))


_DISHES: Mapping[str, Callable[[Pen, Nuisance], None]] = {
    "cake": _cake,
    "pizza": _pizza,
    "burger": _burger,
    "pancakes": _pancakes,
}
_TOPPINGS: Mapping[str, Callable[[Pen, float, float], None]] = {
    "strawberries": _strawberry,
    "blueberries": _blueberry,
    "cheese": _cheese,
    "olives": _olive,
    "mint": _mint,
}
