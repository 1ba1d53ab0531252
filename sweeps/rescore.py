"""Scoring of a sweep's stored pictures from its folder alone; nothing is drawn and no score is replaced."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from torch import Tensor
from tqdm import tqdm

from metrics.faces_loading import INSTALL, LICENCE
from metrics.loading import MetricsConfig, Networks, load_networks, not_installed
from metrics.networks import SourceMaps
from metrics.pictures import EditPictures
from metrics.registry import Metric, get_metrics
from metrics.score import score_edits
from sweeps.aggregates import check_reference, realism_in_words, write_aggregates
from sweeps.config import knows_world_only, world_digest
from sweeps.provenance import mixtures, superseded
from sweeps.regions import region_of_picture
from sweeps.store import Store
from sweeps.tables import terminal_table, write_tables

_NAMED = 5
"""Cells that a message names."""
_PART = 64
"""Edits of one source picture that are in memory and stored at once."""


class Rescored(NamedTuple):
    """What came of it.

    Attributes:
        scored: cells that got new scores.
        complete: cells that had all of them.
        unkept: cells whose pictures were not kept.
        unreadable: cells whose pictures cannot be read, with the reason.
        left_out: metrics whose networks know the embedded world only, with the number of cells that it did not draw.
    """

    scored: int
    complete: int
    unkept: list[str]
    unreadable: dict[str, str]
    left_out: dict[str, int]


def stored_metrics(folder: Path) -> dict[str, Any]:
    """The `metrics` section of the sweep's last command.

    Raises:
        ValueError: the folder is not a sweep's.
    """
    try:
        config = json.loads((folder / "config.json").read_text())
        return dict(config["metrics"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder} is not the folder of a sweep (no config.json); it is results/<sweep>") from error


def rescore(folder: Path, config: MetricsConfig, device: str = "auto", batch_size: int = 16) -> int:
    """Score what is stored, write summary and tables again, and print what came of it.

    Returns:
        0, or 1 if pictures that should be there cannot be read.

    Raises:
        ValueError, FileNotFoundError: the folder is not a sweep's, no metric is asked for, or a network is missing.
    """
    stored_metrics(folder)
    if absent := not_installed(config):
        print(f"not scored: {', '.join(absent)}; {INSTALL} ({LICENCE})", file=sys.stderr)
        config = replace(config, names=tuple(name for name in config.names if name not in absent))
    if not config.names:
        raise ValueError("no metrics are asked for; give metrics=world, metrics=pixel or metrics.names=[...]")
    check_reference(config)
    store = Store(folder)
    if store.edits().empty:
        raise ValueError(f"{folder} has no stored edits")
    found = add_scores(store, config, load_networks(config, device), batch_size)
    summary = store.write_summary()
    aggregates = write_aggregates(store, config, device)
    (folder / "tables").mkdir(exist_ok=True)
    write_tables(summary, folder / "tables")
    print(f"\n{terminal_table(summary)}\n")
    print(f"{folder}: {found.scored} cells scored, {found.complete} had these scores")
    for line in realism_in_words(aggregates):
        print(line)
    _warn(found, mixtures(summary))
    return 1 if found.unreadable else 0


def add_scores(store: Store, config: MetricsConfig, networks: Networks, batch_size: int = 16) -> Rescored:
    """Append the scores that stored pictures lack: by metric, version and network. A part a source picture."""
    edits = store.edits()
    edits = edits[(edits["status"] == "ok") & ~superseded(edits)]
    wanted = {row.cell_id: _metrics_for(row, config) for row in _rows(edits)}
    present = _present(store)
    lacks = {
        cell_id: tuple(m.name for m in metrics if (cell_id, *_source(m, networks)) not in present)
        for cell_id, metrics in wanted.items()
    }
    kept = edits["target_image"].notna() & edits["source_image"].notna()
    needy = edits["cell_id"].map(lambda cell_id: bool(lacks[cell_id]))
    todo = edits[kept & needy]
    unreadable: dict[str, str] = {}
    with tqdm(total=len(todo), desc=store.folder.name, unit="cell", disable=None, leave=False) as bar:
        for part in _parts(todo):
            unreadable.update(_score_part(store, part, lacks, networks, batch_size))
            bar.update(len(part))
    return Rescored(
        scored=len(todo) - len(unreadable),
        complete=int((~needy).sum()),
        unkept=list(edits["cell_id"][~kept & needy]),
        unreadable=unreadable,
        left_out=_left_out(config, wanted),
    )


def _score_part(
    store: Store, part: Sequence[Any], lacks: Mapping[str, tuple[str, ...]], networks: Networks, batch_size: int
) -> dict[str, str]:
    """Score edits of one source picture and store that at once; the cells that cannot be read, with the reason."""
    edits, unreadable = _load(store, part, isinstance(networks.segmenter, SourceMaps))
    scores = []
    for names in dict.fromkeys(lacks[edit.cell_id] for edit in edits):
        chosen = [edit for edit in edits if lacks[edit.cell_id] == names]
        scores += score_edits(chosen, names, networks, batch_size)
    store.append_scores(part[0].cell_id, scores)
    return unreadable


def _load(store: Store, part: Sequence[Any], with_masks: bool) -> tuple[list[EditPictures], dict[str, str]]:
    edits, unreadable = [], {}
    masks: dict[str, Tensor] = {}
    try:
        source = store.load_picture(part[0].source_image)
        for path in {row.mask_image for row in part if with_masks and isinstance(row.mask_image, str)}:
            masks[path] = region_of_picture(store.load_picture(path))
    except OSError as error:
        return [], dict.fromkeys((row.cell_id for row in part), str(error))
    for row in part:
        try:
            target = store.load_picture(row.target_image)
            cycle = store.load_picture(row.cycle_image) if isinstance(row.cycle_image, str) else None
        except OSError as error:
            unreadable[row.cell_id] = str(error)
            continue
        texts = (row.cell_id, row.category, row.kind, row.source_prompt, row.target_prompt, row.cycle_mode)
        edits.append(
            EditPictures(
                *texts,
                source=source,
                target=target,
                cycle=cycle,
                words=tuple(sorted(json.loads(row.edit)["equalizer"])) if row.kind == "reweight" else (),
                mask=masks.get(row.mask_image),
            )
        )
    return edits, unreadable


def _parts(edits: pd.DataFrame) -> Iterator[list[Any]]:
    """Rows of one source picture, at most `_PART` at a time."""
    for _, cells in edits.groupby("source_image", sort=False):
        rows = _rows(cells)
        yield from (rows[start : start + _PART] for start in range(0, len(rows), _PART))


def _rows(edits: pd.DataFrame) -> list[Any]:
    return list(edits.itertuples(index=False))


def _present(store: Store) -> set[tuple[str, str, int, str]]:
    rows = store.read("scores", ("cell_id", "metric", "metric_version", "network"))
    return set(zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True)) if len(rows) else set()


def _source(metric: Metric, networks: Networks) -> tuple[str, int, str]:
    return metric.name, metric.version, networks.name_of(metric)


def _metrics_for(row: Any, config: MetricsConfig) -> tuple[Metric, ...]:
    """The configured metrics without those that cannot judge what the cell's model draws."""
    metrics = get_metrics(config.names)
    of_world = row.model_digest == world_digest()
    return tuple(metric for metric in metrics if of_world or not knows_world_only(config, metric))


def _left_out(config: MetricsConfig, wanted: Mapping[str, Sequence[Metric]]) -> dict[str, int]:
    counts = {m.name: sum(m not in metrics for metrics in wanted.values()) for m in get_metrics(config.names)}
    return {name: number for name, number in counts.items() if number}


def _warn(found: Rescored, mixed: Sequence[str]) -> None:
    """Say on the error stream what is not scored and why."""
    for line in mixed:
        print(line, file=sys.stderr)
    for name, number in found.left_out.items():
        print(f"{name}: not for {number} cells, since its network knows only model=world", file=sys.stderr)
    if found.unkept:
        print(f"{len(found.unkept)} cells: pictures not kept, not scorable: {_named(found.unkept)}", file=sys.stderr)
    if found.unreadable:
        first = next(iter(found.unreadable.values()))
        cells = _named(list(found.unreadable))
        print(f"{len(found.unreadable)} cells: pictures unreadable: {cells}; the first: {first}", file=sys.stderr)


def _named(cells: Sequence[str]) -> str:
    more = f" and {len(cells) - _NAMED} more" if len(cells) > _NAMED else ""
    return ", ".join(cells[:_NAMED]) + more
