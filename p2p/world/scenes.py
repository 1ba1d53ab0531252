"""The picture world: scenes whose every factor is known, and their exact pictures.

A scene has captioned factors and two seeds for what no caption mentions: `subject` (who or which one it is) and
`setting` (where in the frame, before what). Rendering again with one factor changed and the same seeds is the exact
edit; the pixels that differ are its exact mask.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_fields
from types import MappingProxyType

import numpy as np
from PIL import Image

from p2p.world.drawing import animals, faces, food, interiors, transportation
from p2p.world.drawing.pen import CANVAS, COLORS, Nuisance

SIZE = 128

_COLORS = tuple(COLORS)

FACTORS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "faces": {
            "gender": ("man", "woman"),
            "hair": ("brown", "black", "red", "blond", "gray"),
            "mood": ("neutral", "smiling", "sad"),
            "glasses": ("none", "glasses"),
            "hat": ("none", "red", "blue", "green", "yellow", "purple"),
        },
        "interiors": {
            "furniture": ("sofa", "bed", "table", "chair"),
            "color": _COLORS,
            "decor": ("none", "lamp", "plant", "picture", "window"),
        },
        "animals": {
            "animal": ("cat", "dog", "rabbit", "bird"),
            "color": ("white", "black", "brown", "orange", "gray"),
            "ground": ("grass", "sand", "snow"),
            "time": ("day", "night"),
        },
        "food": {
            "dish": ("cake", "pizza", "burger", "pancakes"),
            "topping": ("none", "strawberries", "blueberries", "cheese", "olives", "mint"),
            "surface": ("plate", "board"),
        },
        "transportation": {
            "vehicle": ("car", "bus", "bicycle", "boat"),
            "color": _COLORS,
            "place": ("city", "desert", "forest", "mountains"),
            "time": ("day", "night"),
        },
    }
)

CATEGORIES: tuple[str, ...] = tuple(FACTORS)

_ABSENT_SHARE = {"glasses": 0.6, "hat": 0.45}

_PAINTERS: Mapping[str, Callable[[Image.Image, Mapping[str, str], Nuisance, Nuisance], None]] = {
    "faces": faces.paint,
    "interiors": interiors.paint,
    "animals": animals.paint,
    "food": food.paint,
    "transportation": transportation.paint,
}


@dataclass(frozen=True)
class Scene:
    """What a picture shows: the category, one value a captioned factor (in `FACTORS`' order) and the nuisance seeds."""

    category: str
    values: tuple[str, ...]
    subject: int
    setting: int

    def __post_init__(self) -> None:
        if self.category not in FACTORS:
            raise ValueError(f"category must be one of {', '.join(CATEGORIES)}, got {self.category!r}")
        factors = FACTORS[self.category]
        if len(self.values) != len(factors):
            raise ValueError(f"{self.category} has the factors {', '.join(factors)}, got {len(self.values)} values")
        for (factor, allowed), value in zip(factors.items(), self.values, strict=True):
            if value not in allowed:
                raise ValueError(f"{factor} of {self.category} must be one of {', '.join(allowed)}, got {value!r}")

    @property
    def factors(self) -> Mapping[str, str]:
        """The captioned factors by name."""
        return MappingProxyType(dict(zip(FACTORS[self.category], self.values, strict=True)))

    def replace(self, **changes: str) -> "Scene":
        """The same scene with some factors changed and the nuisances kept."""
        unknown = sorted(set(changes) - set(self.factors))
        if unknown:
            raise ValueError(f"{self.category} has the factors {', '.join(self.factors)}, got {', '.join(unknown)}")
        return replace_fields(self, values=tuple({**self.factors, **changes}.values()))


def sample_scene(category: str, rng: np.random.Generator) -> Scene:
    """A random scene of the category."""
    if category not in FACTORS:
        raise ValueError(f"category must be one of {', '.join(CATEGORIES)}, got {category!r}")
    values = tuple(_sample_value(factor, allowed, rng) for factor, allowed in FACTORS[category].items())
    subject, setting = (int(seed) for seed in rng.integers(2**31, size=2))
    return Scene(category, values, subject, setting)


def render(scene: Scene) -> np.ndarray:
    """The scene's picture, uint8 of shape (128, 128, 3)."""
    image = Image.new("RGB", (CANVAS, CANVAS))
    _PAINTERS[scene.category](image, scene.factors, Nuisance(scene.subject), Nuisance(scene.setting))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX)).copy()


def change_mask(first: Scene, second: Scene) -> np.ndarray:
    """The pixels in which the two scenes' pictures differ, bool of shape (128, 128)."""
    return (render(first) != render(second)).any(axis=-1)


def head_mask(scene: Scene) -> np.ndarray:
    """The pixels of a face's head, crown to chin with the ears, under hair and hat too; bool of shape (128, 128).

    Raises:
        ValueError: the scene is no face.
    """
    if scene.category != "faces":
        raise ValueError(f"a head needs a scene of faces, got {scene.category}")
    image = Image.new("RGB", (CANVAS, CANVAS))
    faces.paint_head(image, scene.factors, Nuisance(scene.subject), Nuisance(scene.setting))
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BOX))[..., 0] > 127


def _sample_value(factor: str, allowed: tuple[str, ...], rng: np.random.Generator) -> str:
    if factor in _ABSENT_SHARE and rng.random() < _ABSENT_SHARE[factor]:
        return "none"
    present = allowed[1:] if factor in _ABSENT_SHARE else allowed
    return present[int(rng.integers(len(present)))]
