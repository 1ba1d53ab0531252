"""The world's small grammar: captions of scenes, and prompts read back into factors.

A caption may leave a factor out. Factors with a default then have that value (no glasses, neutral mood, day); the
others may have any. Two templates a category; three captions in ten begin with "a photo of".
"""

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from p2p.world.scenes import FACTORS, Scene

DEFAULTS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "faces": {"mood": "neutral", "glasses": "none", "hat": "none"},
        "interiors": {"decor": "none"},
        "animals": {"time": "day"},
        "food": {"topping": "none"},
        "transportation": {"time": "day"},
    }
)

_ROOMS = {"sofa": "living room", "bed": "bedroom", "table": "kitchen", "chair": "office"}
_DISHES = {"cake": "a cake", "pizza": "a pizza", "burger": "a burger", "pancakes": "pancakes"}
_SURFACES = {"plate": "a plate", "board": "a wooden board"}
_TIMES = {"day": "during the day", "night": "at night"}

Facts = Mapping[str, str]


class Parsed(NamedTuple):
    """What a prompt says: its category and the factors it mentions."""

    category: str
    factors: dict[str, str]

    def with_defaults(self) -> dict[str, str]:
        """The mentioned factors and, where unmentioned, the defaults that a missing mention implies."""
        return {**DEFAULTS[self.category], **self.factors}


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """A random caption of the scene that leaves some factors out where that misleads nobody."""
    facts = _mentioned(scene, rng)
    text = _TEMPLATES[scene.category][int(rng.integers(2))](facts)
    return f"a photo of {text.removeprefix('a portrait of ')}" if rng.random() < 0.3 else text


def vocabulary() -> tuple[str, ...]:
    """Every word of the grammar, sorted; "woman's" counts as "woman" and "'s"."""
    words = {
        "a",
        "an",
        "photo",
        "of",
        "portrait",
        "'s",
        "face",
        "with",
        "hair",
        "and",
        "hat",
        "in",
        "on",
        "the",
        "at",
        "during",
        "road",
        "river",
        "topped",
        "wooden",
    }
    for factors in FACTORS.values():
        for values in factors.values():
            words.update(values)
    for phrases in (_ROOMS, _TIMES):
        words.update(word for phrase in phrases.values() for word in phrase.split())
    return tuple(sorted(words - {"none", "neutral"}))


def unknown_words(prompt: str) -> list[str]:
    """The prompt's words outside the vocabulary, in order, without case and punctuation."""
    words = re.findall(r"'s\b|[^\W_]+", prompt.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))
    known = set(vocabulary())
    return [word for word in words if word not in known]


def parse(prompt: str) -> Parsed:
    """Read a prompt of the grammar; ValueError where it is none."""
    text = re.sub(r"\s+", " ", prompt.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")).strip(" .")
    text = re.sub(r"^a photo of ", "", text)
    for category, patterns in _PATTERNS.items():
        for pattern in patterns:
            match = pattern.fullmatch(text)
            if match:
                return Parsed(category, _factors(category, match))
    strange = unknown_words(prompt)
    why = f"unknown words: {', '.join(strange)}" if strange else "its words are known but not in this order"
    raise ValueError(
        "prompt must be a caption of the picture world such as 'a red car on a road in the city at night', "
        f"got {prompt!r} ({why})"
    )


def _mentioned(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    """The factors a caption names: defaults mostly stay unsaid, a few others are dropped now and then."""
    facts = {name: value for name, value in scene.factors.items() if value != DEFAULTS[scene.category].get(name)}
    draws = rng.random(3)
    if scene.category == "faces" and draws[0] < 0.12:
        facts.pop("hair")
    if "color" in facts and draws[0] < 0.2:
        facts.pop("color")
    if "time" in scene.factors and "time" not in facts and draws[1] < 0.3:
        facts["time"] = "day"
    for name in ("ground", "place", "surface"):
        if name in facts and draws[2] < 0.08:
            facts.pop(name)
    if scene.category == "interiors" and draws[2] < 0.1:
        facts["room"] = "unsaid"
    if scene.category == "transportation" and draws[1] > 0.75:
        facts["way"] = "unsaid"
    return facts


def _article(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _listed(things: list[str]) -> str:
    return f" with {' and '.join(things)}" if things else ""


def _face_things(facts: Facts) -> str:
    things = [f"{facts['hair']} hair"] if "hair" in facts else []
    things += ["glasses"] if "glasses" in facts else []
    things += [f"a {facts['hat']} hat"] if "hat" in facts else []
    return _listed(things)


def _face(facts: Facts) -> str:
    person = f"{facts['mood']} {facts['gender']}" if "mood" in facts else facts["gender"]
    return f"{_article(person)}'s face{_face_things(facts)}"


def _portrait(facts: Facts) -> str:
    person = f"{facts['mood']} {facts['gender']}" if "mood" in facts else facts["gender"]
    return f"a portrait of {_article(person)}{_face_things(facts)}"


def _object(facts: Facts, name: str) -> str:
    return _article(f"{facts['color']} {facts[name]}" if "color" in facts else facts[name])


def _furniture_first(facts: Facts) -> str:
    decor = [f"a {facts['decor']}"] if "decor" in facts else []
    room = "" if "room" in facts else f" in {_article(_ROOMS[facts['furniture']])}"
    return f"{_object(facts, 'furniture')}{room}{_listed(decor)}"


def _room_first(facts: Facts) -> str:
    decor = [f"a {facts['decor']}"] if "decor" in facts else []
    return f"{_article(_ROOMS[facts['furniture']])}{_listed([_object(facts, 'furniture'), *decor])}"


def _animal(facts: Facts) -> str:
    where = f" on the {facts['ground']}" if "ground" in facts else ""
    when = f" {_TIMES[facts['time']]}" if "time" in facts else ""
    return f"{_object(facts, 'animal')}{where}{when}"


def _animal_when_first(facts: Facts) -> str:
    where = f" on the {facts['ground']}" if "ground" in facts else ""
    when = f" {_TIMES[facts['time']]}" if "time" in facts else ""
    return f"{_object(facts, 'animal')}{when}{where}"


def _dish(facts: Facts, joined: str) -> str:
    topping = f" {joined} {facts['topping']}" if "topping" in facts else ""
    surface = f" on {_SURFACES[facts['surface']]}" if "surface" in facts else ""
    return f"{_DISHES[facts['dish']]}{topping}{surface}"


def _vehicle(facts: Facts, way: bool) -> str:
    road = "" if not way or "way" in facts else " on a river" if facts["vehicle"] == "boat" else " on a road"
    where = f" in the {facts['place']}" if "place" in facts else ""
    when = f" {_TIMES[facts['time']]}" if "time" in facts else ""
    return f"{_object(facts, 'vehicle')}{road}{where}{when}"


_TEMPLATES: Mapping[str, tuple[Callable[[Facts], str], Callable[[Facts], str]]] = {
    "faces": (_face, _portrait),
    "interiors": (_furniture_first, _room_first),
    "animals": (_animal, _animal_when_first),
    "food": (lambda facts: _dish(facts, "with"), lambda facts: _dish(facts, "topped with")),
    "transportation": (lambda facts: _vehicle(facts, True), lambda facts: _vehicle(facts, False)),
}


def _one_of(category: str, factor: str, group: str | None = None) -> str:
    absent = {"none", "neutral"}
    return f"(?P<{group or factor}>{'|'.join(value for value in FACTORS[category][factor] if value not in absent)})"


def _patterns() -> dict[str, tuple[re.Pattern[str], ...]]:
    face, room, animal, food, vehicle = FACTORS
    hair = rf"(?:{_one_of(face, 'hair')} hair)?"
    glasses = rf"(?:(?: and )?{_one_of(face, 'glasses')})?"
    hat = rf"(?:(?: and )?a {_one_of(face, 'hat')} hat)?"
    things = rf"(?: with (?=\w)(?!and ){hair}{glasses}{hat})?"
    person = rf"an? (?:{_one_of(face, 'mood')} )?{_one_of(face, 'gender')}"
    piece = rf"an? (?:{_one_of(room, 'color')} )?{_one_of(room, 'furniture')}"
    rooms = rf"an? (?P<room>{'|'.join(_ROOMS.values())})"
    decor = rf"an? {_one_of(room, 'decor')}"
    beast = rf"an? (?:{_one_of(animal, 'color')} )?{_one_of(animal, 'animal')}"
    where = rf"(?: on the {_one_of(animal, 'ground')})?"
    when = rf"(?: (?P<time>{'|'.join(_TIMES.values())}))?"
    dish = rf"(?:an? )?{_one_of(food, 'dish')}(?: (?:topped )?with {_one_of(food, 'topping')})?"
    surface = rf"(?: on a (?:wooden )?{_one_of(food, 'surface')})?"
    ride = rf"an? (?:{_one_of(vehicle, 'color')} )?{_one_of(vehicle, 'vehicle')}(?: on a (?:road|river))?"
    texts = {
        face: (rf"{person}'s face{things}", rf"(?:a portrait of )?{person}{things}"),
        room: (rf"{piece}(?: in {rooms})?(?: with {decor})?", rf"{rooms} with {piece}(?: and {decor})?"),
        animal: (rf"{beast}{where}{when}", rf"{beast}{when}{where}"),
        food: (rf"{dish}{surface}",),
        vehicle: (rf"{ride}(?: in the {_one_of(vehicle, 'place')})?{when}",),
    }
    return {category: tuple(re.compile(text) for text in forms) for category, forms in texts.items()}


def _factors(category: str, match: re.Match[str]) -> dict[str, str]:
    found = match.groupdict()
    if found.get("time"):
        found["time"] = found["time"].split()[-1]
    return {name: found[name] for name in FACTORS[category] if found.get(name)}


_PATTERNS = _patterns()
