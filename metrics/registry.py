"""What each metric is: its question, direction, range, needs and the reasons for which it may have no value."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

NetworkKind = Literal["clip", "lpips", "identity", "classifier", "segmenter", "dino"]


class Null(StrEnum):
    """Why a metric has no value for an edit; stored as `reason` beside a null value."""

    SAME_PROMPT = "same_prompt"
    """Source and target prompt are the same to the network."""
    NO_CHANGE = "no_change"
    """Source and edit are the same to the network."""
    TOO_LONG_PROMPT = "too_long_prompt"
    """The network would read only the prompt's beginning."""
    IDENTICAL = "identical"
    """The pictures are equal, so the value is infinite."""
    NOT_A_FACE = "not_a_face"
    """The category is not faces."""
    NO_FACE = "no_face"
    """No face was found in source or edit, or in both."""
    WRONG_SIZE = "wrong_size"
    """The network judges pictures of another size: those of the embedded world."""
    REWEIGHT = "reweight"
    """A re-weighting asks for more or less of a word, not for another attribute."""
    SAME_ATTRIBUTES = "same_attributes"
    """The prompts differ in no captioned factor that the target prompt names."""
    OTHER_CATEGORY = "other_category"
    """The prompts name things of different categories."""
    NOT_IN_GRAMMAR = "not_in_grammar"
    """A prompt is no caption of the embedded world."""
    NO_CYCLE = "no_cycle"
    """The edit was not undone: cycle.mode is none."""
    NO_REVERSE = "no_reverse"
    """The edit has no reverse: it is a re-weighting."""
    EMPTY_MASK = "empty_mask"
    """The edit's region is empty or the whole picture."""
    NO_MASK = "no_mask"
    """Where the edit belongs is not known: its words name nothing that the source shows, or no mask is stored."""
    TOO_FEW = "too_few"
    """Of a configuration: fewer than 200 pictures a side."""
    ONE_SEED = "one_seed"
    """Of a configuration: no prompt pair has a value for two seeds or more."""
    NO_VALUE = "no_value"
    """Of a configuration: no cell has the score."""
    UNDEFINED = "undefined"
    """The computation gave no number."""


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        name, version: stored with every score; the version is raised when values change.
        label: its short name, for the heads of tables.
        question: what the number answers, in one line.
        higher_is_better: the direction; None where neither is.
        range: range or unit of the values.
        needs: the fields of `EditPictures` that it reads.
        network: the kind of network that it uses, or None.
        nulls: why it may have no value.
        digits: decimals in tables.
        is_masked: whether it judges the pixels outside the edit's region alone, which the segmenter tells.
    """

    name: str
    version: int
    label: str
    question: str
    higher_is_better: bool | None
    range: str
    needs: tuple[str, ...]
    network: NetworkKind | None = None
    nulls: tuple[Null, ...] = ()
    digits: int = 3
    is_masked: bool = False

    @property
    def networks(self) -> tuple[NetworkKind, ...]:
        """The kinds of networks that it uses, the segmenter among them."""
        own: tuple[NetworkKind, ...] = (self.network,) if self.network else ()
        return (*own, "segmenter") if self.is_masked else own


_PICTURES = ("source", "target")
_CYCLE = ("source", "cycle")
_PROMPTS = ("source_prompt", "target_prompt")
_NO_CYCLE = (Null.NO_CYCLE, Null.NO_REVERSE)
_UNREAD = (Null.WRONG_SIZE, Null.NOT_IN_GRAMMAR, Null.OTHER_CATEGORY)


def _background(
    of: str, label: str, higher_is_better: bool, values: str, network: NetworkKind | None = None, digits: int = 3
) -> Metric:
    nulls: tuple[Null, ...] = (Null.EMPTY_MASK, Null.NO_MASK, *_UNREAD)
    return Metric(
        name=f"background_{of}",
        version=1,
        label=f"Bg. {label}",
        question="did the rest of the picture stay?",
        higher_is_better=higher_is_better,
        range=values,
        needs=("kind", "words", "mask", *_PICTURES, *_PROMPTS),
        network=network,
        nulls=(*nulls, Null.IDENTICAL) if of == "psnr" else nulls,
        digits=digits,
        is_masked=True,
    )


_ALL = (
    Metric(
        "clip_score",
        1,
        "CLIP",
        "does the edit show the target prompt?",
        True,
        "[0, 100]",
        ("target", "target_prompt"),
        "clip",
        (Null.TOO_LONG_PROMPT,),
        digits=2,
    ),
    Metric(
        "clip_directional",
        1,
        "CLIP dir.",
        "did it change the way the words changed?",
        True,
        "[-1, 1]",
        (*_PICTURES, *_PROMPTS),
        "clip",
        (Null.TOO_LONG_PROMPT, Null.SAME_PROMPT, Null.NO_CHANGE),
    ),
    Metric("lpips", 1, "LPIPS", "how much changed, as an eye sees it?", False, "[0, inf)", _PICTURES, "lpips"),
    Metric("ssim", 1, "SSIM", "is the structure kept?", True, "[-1, 1]", _PICTURES),
    Metric("psnr", 1, "PSNR", "are the pixels kept?", True, "dB", _PICTURES, nulls=(Null.IDENTICAL,), digits=2),
    Metric("mse", 1, "MSE", "are the pixels kept?", False, "[0, 1]", _PICTURES, digits=4),
    Metric(
        "structure_distance",
        1,
        "Structure",
        "is the layout kept, whatever the appearance?",
        False,
        "[0, 4]",
        _PICTURES,
        "dino",
        digits=4,
    ),
    _background("lpips", "LPIPS", False, "[0, inf)", "lpips"),
    _background("ssim", "SSIM", True, "[-1, 1]"),
    _background("psnr", "PSNR", True, "dB", digits=2),
    _background("mse", "MSE", False, "[0, 1]", digits=4),
    Metric(
        "identity_distance",
        2,
        "Identity",
        "is it still the same person?",
        False,
        "[0, 2]",
        ("category", *_PICTURES),
        "identity",
        (Null.NOT_A_FACE, Null.NO_FACE, Null.WRONG_SIZE),
    ),
    Metric(
        "attribute_success",
        1,
        "Success",
        "was the asked change made?",
        True,
        "[0, 1]",
        ("kind", "target", *_PROMPTS),
        "classifier",
        (Null.REWEIGHT, Null.SAME_ATTRIBUTES, *_UNREAD),
        digits=2,
    ),
    Metric(
        "attribute_kept",
        1,
        "Kept",
        "did the other attributes stay?",
        True,
        "[0, 1]",
        (*_PICTURES, *_PROMPTS),
        "classifier",
        _UNREAD,
        digits=2,
    ),
    Metric(
        "cycle_lpips",
        1,
        "Cycle LPIPS",
        "does undoing the edit return the picture, as an eye sees it?",
        False,
        "[0, inf)",
        _CYCLE,
        "lpips",
        _NO_CYCLE,
    ),
    Metric(
        "cycle_ssim",
        1,
        "Cycle SSIM",
        "does undoing the edit return the structure?",
        True,
        "[-1, 1]",
        _CYCLE,
        nulls=_NO_CYCLE,
    ),
    Metric(
        "cycle_mse",
        1,
        "Cycle MSE",
        "does undoing the edit return the pixels?",
        False,
        "[0, 1]",
        _CYCLE,
        nulls=_NO_CYCLE,
        digits=4,
    ),
)

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})
"""Every metric by name, in the order of tables."""

AGGREGATES: Mapping[str, Metric] = MappingProxyType(
    {
        metric.name: metric
        for metric in (
            Metric(
                "realism",
                1,
                "KID",
                "does it look like the model's plain pictures?",
                False,
                "(-inf, inf), 0 for one distribution",
                ("target", "target_prompt"),
                "clip",
                (Null.TOO_FEW,),
                digits=5,
            ),
            Metric(
                "robustness",
                1,
                "Spread",
                "does it hold over seeds?",
                False,
                "the score's",
                (),
                nulls=(Null.ONE_SEED, Null.NO_VALUE),
            ),
            Metric("face_detection_rate", 1, "Faces", "were faces found?", True, "[0, 1]", (), "identity"),
        )
    }
)
"""What holds of a configuration, not of a cell; `robustness` is stored as `robustness_<score>`, one a score."""


def get_metrics(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics of these names, in this order.

    Raises:
        ValueError: a name is unknown or given twice; the message lists the known ones and the closest.
    """
    for name in names:
        if name not in METRICS:
            close = difflib.get_close_matches(str(name), METRICS, n=1, cutoff=0.4)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ValueError(f"unknown metric {name!r}{hint} Known: {', '.join(METRICS)}")
        if list(names).count(name) > 1:
            raise ValueError(f"metric {name!r} is given twice; give every metric once")
    return tuple(METRICS[name] for name in names)
