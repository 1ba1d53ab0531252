"""Did the asked attribute change, and did the others stay? For prompts and pictures of the embedded world."""

from collections.abc import Mapping
from dataclasses import dataclass

from metrics.registry import Null
from p2p.world.captions import parse

Attributes = Mapping[str, str]
"""Factor to value, as a classifier reads them from a picture."""


@dataclass(frozen=True)
class Ask:
    """What a prompt pair asks for.

    Attributes:
        category: the category of both prompts.
        wanted: the factors that the target prompt changes, with its values.
        free: the factors that the target prompt leaves open though the source prompt fixed them.
    """

    category: str
    wanted: Attributes
    free: frozenset[str]


def read_ask(source_prompt: str, target_prompt: str) -> Ask | Null:
    """What changes from source to target prompt; an unmentioned factor has its default, if it has one."""
    try:
        source, target = parse(source_prompt), parse(target_prompt)
    except ValueError:
        return Null.NOT_IN_GRAMMAR
    if source.category != target.category:
        return Null.OTHER_CATEGORY
    before, after = source.with_defaults(), target.with_defaults()
    wanted = {factor: value for factor, value in after.items() if before.get(factor) != value}
    return Ask(source.category, wanted, frozenset(before) - frozenset(after))


def attribute_success(ask: Ask, kind: str, target: Attributes) -> float | Null:
    """Share of the changed factors that have the asked value in the edit (one factor: 0 or 1)."""
    if kind == "reweight":
        return Null.REWEIGHT
    if not ask.wanted:
        return Null.SAME_ATTRIBUTES
    return sum(target[factor] == value for factor, value in ask.wanted.items()) / len(ask.wanted)


def attribute_kept(ask: Ask, source: Attributes, target: Attributes) -> float:
    """Share of the category's other factors that read the same in source and edit, in [0, 1]."""
    others = [factor for factor in source if factor not in ask.wanted and factor not in ask.free]
    assert others, "no prompt pair changes every factor of its category"
    return sum(source[factor] == target[factor] for factor in others) / len(others)
