"""One edit, or a dialogue of edits, from configuration to pictures on disk."""

import io
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from metrics.loading import load_networks
from metrics.score import Score, score_edits
from p2p.world.captions import parse
from sweeps.cells import Cell
from sweeps.config import PlannedCell, build_cell, load_model
from sweeps.files import write_atomically
from sweeps.groups import plan_dialogue, plan_group
from sweeps.run import Drawn, draw_group
from sweeps.score import edit_pictures
from sweeps.strips import Captioned, attention_over, draw_strips, to_image

OWN_KEYS = ("source", "target", "dialogue", "attention", "out")


def edit_once(config: Mapping[str, Any]) -> str:
    """Draw the edit that a configuration describes; where it lies and what it scores, in lines.

    Raises:
        ValueError, FileNotFoundError: the configuration is wrong, or a picture's latents are not finite.
    """
    if config["launcher"]["kind"] != "process" or config["plan"] is not None:
        raise ValueError("p2p-edit draws one edit, here and now; launcher and plan are settings of p2p-sweep")
    planned = [build_cell(turn) for turn in turns(config)]
    cells = [one.cell for one in planned]
    folder = Path(config["out"] or Path(str(config["results_dir"])) / "edit" / cells[-1].cell_id).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"out: cannot write to {folder} ({error.strerror}); choose another with out=...") from error
    drawn = _draw(planned[0], cells, bool(config["attention"]))
    scores = _score(planned[0], cells, drawn)
    names = _write_pictures(folder, cells, drawn, bool(config["attention"]))
    report = {"scores": _as_json(cells, scores), "cell_ids": [cell.cell_id for cell in cells], "config": dict(config)}
    write_atomically(folder / "edit.json", json.dumps(report, indent=1, default=str).encode())
    lines = [f"{score.metric:>18}  {_value(score)}" for score in scores if score.cell_id == cells[-1].cell_id]
    return "\n".join([*lines, *(f"{folder / name}" for name in [*names, "edit.json"])])


def turns(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A sweep's configuration for each edit: one, or one a turn of the dialogue.

    Raises:
        ValueError: the prompts are given by halves, twice, or as something else.
    """
    plain = {key: value for key, value in config.items() if key not in OWN_KEYS}
    source, target, dialogue = config["source"], config["target"], config["dialogue"]
    if dialogue and (source is not None or target is not None):
        raise ValueError("dialogue has all the prompts; leave out source and target")
    if not dialogue and source is None and target is None:
        return [plain]
    steps = dialogue or [source, target]
    if len(steps) < 2 or any(step is None for step in steps):
        raise ValueError("an edit has two prompts: give source=... and target=..., or dialogue=[a,b,c]")
    settings = [_turn(step) for step in steps]
    return [_with_prompts(plain, before["prompt"], after) for before, after in itertools.pairwise(settings)]


def _turn(step: Any) -> dict[str, Any]:
    turn = {"prompt": step} if not isinstance(step, Mapping) else dict(step)
    if not isinstance(turn.get("prompt"), str):
        raise ValueError(
            f"dialogue: a turn is a prompt, or a mapping with the key prompt and keys of edit, got {step!r}"
        )
    return turn


def _with_prompts(plain: Mapping[str, Any], source: str, turn: Mapping[str, Any]) -> dict[str, Any]:
    own = {key: value for key, value in turn.items() if key != "prompt"}
    pair = {"name": "prompts", "source": source, "target": turn["prompt"]}
    category = {"name": _category(source), "file": None, "pairs": [pair]}
    return {**plain, "category": category, "pair": 0, "edit": {**plain["edit"], **own}}


def _category(prompt: str) -> str:
    """The embedded world's category of a prompt of its grammar."""
    try:
        return parse(prompt).category
    except ValueError:
        return "custom"


def _draw(planned: PlannedCell, cells: Sequence[Cell], attention: bool) -> Drawn:
    group = plan_group(cells) if len(cells) == 1 else plan_dialogue(cells)
    group = replace(group, with_regions=planned.metrics.needs_source_maps and len(cells) == 1)
    drawn = draw_group(load_model(planned.model), group, batch_size=1, watch_words=attention)
    if drawn.source is None or any(target is None for target in drawn.targets):
        raise ValueError("the edit's latents are not finite; a wider model.dtype may help")
    return drawn


def _score(planned: PlannedCell, cells: Sequence[Cell], drawn: Drawn) -> list[Score]:
    """Scores of each turn against the picture before it."""
    before = [drawn.source, *drawn.targets[:-1]]
    regions = drawn.regions or (None,) * len(cells)
    edits = [
        edit_pictures(cell, source, target, cycle, region)
        for cell, source, target, cycle, region in zip(cells, before, drawn.targets, drawn.cycles, regions, strict=True)
        if source is not None and target is not None
    ]
    return score_edits(edits, planned.metrics.names, load_networks(planned.metrics, planned.model.device))


def _write_pictures(folder: Path, cells: Sequence[Cell], drawn: Drawn, attention: bool) -> list[str]:
    """Write the strip of all pictures and each alone; the names of the files."""
    kinds = ["source", "target"] if len(cells) == 1 else ["source", *(f"turn{i + 1}" for i in range(len(cells)))]
    prompts = [cells[0].source, *(cell.target for cell in cells)]
    shown = [
        (kind, picture, prompt.text) for kind, picture, prompt in zip(kinds, _pictures(drawn), prompts, strict=True)
    ]
    if drawn.cycles[0] is not None:
        shown.append(("cycle", drawn.cycles[0], f"back: {cells[0].source.text}"))
    for kind, picture, _ in shown:
        _save(folder / f"{kind}.png", [[Captioned(picture, "")]], alone=True)
    _save(folder / "edit.png", [[Captioned(picture, text) for _, picture, text in shown]])
    names = ["edit.png", *(f"{kind}.png" for kind, _, _ in shown)]
    if attention:
        rows = [
            [Captioned(picture, ""), *(Captioned(attention_over(picture, m), word) for word, m in maps)]
            for picture, maps in zip(_pictures(drawn), drawn.word_maps, strict=False)
        ]
        _save(folder / "attention.png", rows)
        names.append("attention.png")
    return names


def _pictures(drawn: Drawn) -> list[Tensor]:
    return [picture for picture in (drawn.source, *drawn.targets) if picture is not None]


def _save(path: Path, rows: Sequence[Sequence[Captioned]], alone: bool = False) -> None:
    buffer = io.BytesIO()
    image = to_image(rows[0][0].picture) if alone else draw_strips(rows)
    image.save(buffer, format="PNG")
    write_atomically(path, buffer.getvalue())


def _as_json(cells: Sequence[Cell], scores: Sequence[Score]) -> list[dict[str, Any]]:
    return [
        {
            "source_prompt": cell.source.text,
            "target_prompt": cell.target.text,
            "edit": cell.edit.canonical(),
            **{score.metric: _json_value(score) for score in scores if score.cell_id == cell.cell_id},
        }
        for cell in cells
    ]


def _json_value(score: Score) -> Any:
    return score.value if score.value is not None else {"value": None, "reason": score.reason}


def _value(score: Score) -> str:
    return f"{score.value:.4g}" if score.value is not None else f"- ({score.reason})"
