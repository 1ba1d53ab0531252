"""Weights & Biases as a mirror of the store: never needed to read results, never able to slow, stop or fail a sweep.

W&B itself runs in a process of its own (`tracking_runs.py`), waited for with a deadline; `tracking_shard.py` has the
runs of workers.
"""

import hashlib
import json
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd
from PIL import Image
from torch import Tensor

from metrics.registry import METRICS
from p2p.checks import check_choice, check_flag, check_keys, check_whole
from sweeps.configurations import AXES, configurations, describe
from sweeps.files import write_atomically
from sweeps.store import Store
from sweeps.tables import summary_table
from sweeps.tracking_report import report_digest, report_images, report_tables, table_values
from sweeps.tracking_runs import finish_process, reason, start_process

MODES = ("none", "offline", "online")
LoadPicture = Callable[[str], Tensor]
"""From a picture's place in the summary to uint8 (3, height, width); raises OSError, KeyError or ValueError."""
_MIRROR_S, _MIRROR_RUN_S = 60.0, 0.5
"""Seconds that the end of a sweep waits for W&B, and more of them for each run."""
_UNMIRRORED = ("versions",)
_SWEEP = ""
REPORT = "report"
"""Where a report lies below its sweep's folder."""
_HYPERPARAMETERS = ("model", "dtype", "num_inference_steps", "guidance_scale", "cycle_mode", *AXES)


@dataclass(frozen=True)
class TrackingSettings:
    """What goes to W&B.

    Attributes:
        mode: `none`, `offline` (files below the sweep's folder, for `wandb sync`) or `online`.
        project: W&B's.
        entity: user or team; None is the login's own.
        per_config: also one run a configuration, averaged over prompts and seeds.
        max_pictures: pictures logged at most, contact sheets first; a report's figures besides, unless it is 0.
    """

    mode: str = "offline"
    project: str = "p2p-sweep"
    entity: str | None = None
    per_config: bool = False
    max_pictures: int = 24

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> "TrackingSettings":
        """The settings from plain configuration values.

        Raises:
            ValueError: unknown key, or a value that is not allowed.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"tracking must be one of {', '.join(MODES)}, got {values!r}")
        check_keys("tracking", values, cls)
        settings = cls(**values)
        check_choice("tracking.mode", settings.mode, MODES)
        if not isinstance(settings.project, str) or not settings.project:
            raise ValueError(f"tracking.project must be the name of a W&B project, got {settings.project!r}")
        if settings.entity is not None and not isinstance(settings.entity, str):
            raise ValueError(f"tracking.entity must be a W&B user or team, or null, got {settings.entity!r}")
        check_flag("tracking.per_config", settings.per_config)
        check_whole("tracking.max_pictures", settings.max_pictures, 0)
        return settings

    def header(self, folder: Path) -> dict[str, Any]:
        """What `tracking_runs.py` has to know before any run of the sweep in `folder`."""
        place = {"folder": str(folder.resolve()), "group": folder.name}
        return {"mode": self.mode, "project": self.project, "entity": self.entity, **place}


@dataclass(frozen=True)
class Run:
    """A whole W&B run as `tracking_runs.py` writes it; `key` is its configuration's id, or empty for the sweep's."""

    key: str
    id: str
    name: str
    job_type: Literal["sweep", "configuration"]
    config: Mapping[str, Any]
    summary: Mapping[str, Any]


@dataclass(frozen=True)
class Mirror:
    """What `wandb/mirror.json` remembers: the sweep's run, and by key a digest of what each run was given last."""

    run_id: str
    digests: dict[str, str] = field(default_factory=dict)


def track_sweep(
    folder: Path,
    config: Mapping[str, Any],
    summary: pd.DataFrame,
    settings: TrackingSettings,
    load_picture: LoadPicture,
) -> None:
    """Mirror a sweep's configuration, scores, tables and some pictures to W&B, in `folder`/wandb; quietly.

    A sweep is one run, continued when it has grown, and with `per_config` one more each configuration; what is not new
    is not written again. If W&B fails or takes too long, one line says so.

    Args:
        folder: the sweep's.
        config: its whole configuration.
        summary: as `Store.read_summary` gives it.
        settings: what goes to W&B.
        load_picture: reads the pictures that the summary names.
    """
    if settings.mode == "none":
        return
    try:
        _mirror(folder, config, summary, settings, load_picture)
    except Exception as error:
        print(f"W&B: not mirrored ({reason(error)}); the results in {folder} are complete without it", file=sys.stderr)


def track_report(folder: Path, mode: str | None = None, per_config: bool = False) -> None:
    """Mirror a sweep again, now with the tables, figures and contact sheets of the report in `folder`/report; quietly.

    They are added to the sweep's own run; what has not changed is not written again. The other settings are those of
    the sweep's last command.

    Args:
        folder: the sweep's.
        mode: `offline` or `online`; None: the sweep's own, `offline` if that is `none`.
        per_config: also one run a configuration, which the dashboard of `scripts/wandb_workspace.py` plots.

    Raises:
        ValueError: the folder is not a sweep's or has no report, or the mode is neither.
    """
    if mode not in (None, "offline", "online"):
        raise ValueError(f"tracking.mode must be one of offline, online, got {mode!r}")
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is not the folder of a sweep (no config.json); it is results/<sweep>")
    if not report_digest(folder / REPORT):
        raise ValueError(f"{folder} has no report; run p2p-report {folder}")
    config = json.loads((folder / "config.json").read_text())
    settings = TrackingSettings.from_mapping(config["tracking"])
    mode = mode or ("offline" if settings.mode == "none" else settings.mode)
    settings = replace(settings, mode=mode, per_config=per_config or settings.per_config)
    store = Store(folder)
    track_sweep(folder, config, store.read_summary(), settings, store.load_picture)


def _mirror(
    folder: Path,
    config: Mapping[str, Any],
    summary: pd.DataFrame,
    settings: TrackingSettings,
    load_picture: LoadPicture,
) -> None:
    path = folder / "wandb" / "mirror.json"
    mirror = _read_mirror(path)
    runs = [Run(_SWEEP, mirror.run_id, folder.name, "sweep", config, _means(summary))]
    if settings.per_config:
        runs += _configuration_runs(mirror.run_id, summary)
    report = report_digest(folder / REPORT)
    digests = {run.key: _digest(run, settings, summary, report) for run in runs}
    new = [run for run in runs if mirror.digests.get(run.key) != digests[run.key]]
    if not new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(mirror)).encode())
    with tempfile.TemporaryDirectory() as pictures:
        lines: list[Mapping[str, Any]] = [settings.header(folder)]
        for run in new:
            contents = {} if run.key else _contents(folder, summary, settings, load_picture, Path(pictures))
            lines.append({**asdict(run), **contents})
        process = start_process("batch")
        done, error = finish_process(process, _MIRROR_S + _MIRROR_RUN_S * len(new), lines)
    mirror.digests.update({key: digests[key] for key in done})
    write_atomically(path, json.dumps(asdict(mirror)).encode())
    if error:
        raise RuntimeError(error)


def _read_mirror(path: Path) -> Mirror:
    values = json.loads(path.read_text()) if path.is_file() else {}
    return Mirror(values.get("run_id") or uuid.uuid4().hex[:8], values.get("digests", {}))


def _configuration_runs(sweep_run: str, summary: pd.DataFrame) -> list[Run]:
    """One run a configuration: its hyperparameters, means over prompts and seeds, and numbers of cells."""
    kinds = configurations(summary)
    first = _plain(summary.drop_duplicates("config_id").set_index("config_id")).to_dict("index")
    cells = {str(config_id): own for config_id, own in summary.groupby("config_id", sort=False)}
    return [
        Run(
            key=str(config_id),
            id=hashlib.sha256(f"{sweep_run}/{config_id}".encode()).hexdigest()[:12],
            name=", ".join(describe(kind)),
            job_type="configuration",
            config={"config_id": str(config_id), **_hyperparameters(first[str(config_id)], kind)},
            summary=_means(cells[str(config_id)]),
        )
        for config_id, kind in kinds.iterrows()
    ]


def _hyperparameters(row: Mapping[Any, Any], kind: pd.Series) -> dict[str, Any]:
    """Numbers where there are any, as parallel coordinates need them; a window that is no number is text."""
    found = {name: row[name] for name in _HYPERPARAMETERS if name in row}
    for head, text in kind.items():
        column = {axis_head: axis for axis, axis_head in AXES.items()}.get(str(head), str(head))
        if found.get(column) is None:
            found[column] = _number(text)
    return found


def _number(text: Any) -> Any:
    with suppress(ValueError):
        return float(text)
    return text


def _contents(
    folder: Path, summary: pd.DataFrame, settings: TrackingSettings, load_picture: LoadPicture, pictures: Path
) -> dict[str, Any]:
    """The sweep's tables and the places of its pictures; samples are written below `pictures`."""
    cells = summary.drop(columns=[name for name in _UNMIRRORED if name in summary])
    cells = cells.assign(created_at=cells["created_at"].astype(str))
    sheets = sorted((folder / "figures").glob("*.png"))[: settings.max_pictures]
    samples: list[tuple[str, str]] = []
    for place, caption in choose_samples(summary, settings.max_pictures - len(sheets)).items():
        with suppress(OSError, KeyError, ValueError):  # a picture that is gone is only not shown
            path = pictures / f"{len(samples)}.png"
            Image.fromarray(load_picture(place).permute(1, 2, 0).cpu().numpy()).save(path)
            samples.append((str(path), caption))
    images = {"contact_sheets": [(str(path.resolve()), path.stem) for path in sheets], "samples": samples}
    images |= report_images(folder / REPORT) if settings.max_pictures else {}
    tables = {"cells": cells, "summary": summary_table(summary), **report_tables(folder / REPORT)}
    return {
        "tables": {name: table_values(table) for name, table in tables.items()},
        "images": {name: found for name, found in images.items() if found},
    }


def choose_samples(summary: pd.DataFrame, most: int) -> dict[str, str]:
    """At most so many pictures: sources and edits of cells spread evenly over the sweep, each once, with captions."""
    drawn = summary[(summary["status"] == "ok") & summary["target_image"].notna()]
    number, found = min(most, len(drawn)), dict[str, str]()
    while number > 0:
        found = _captions(drawn.iloc[[i * len(drawn) // number for i in range(number)]])
        if len(found) <= most:
            break
        number = min(number - 1, number * most // len(found))
    return dict(list(found.items())[-most:]) if most > 0 else {}


def _captions(cells: pd.DataFrame) -> dict[str, str]:
    """The pictures of cells with captions, an edit after its source."""
    found: dict[str, str] = {}
    for row in cells.to_dict("records"):
        if not pd.isna(row["source_image"]):
            found.setdefault(str(row["source_image"]), f"source: {row['source_prompt']}")
        settings = ", ".join(f"{head} {row[axis]}" for axis, head in AXES.items())
        found[str(row["target_image"])] = f"{row['target_prompt']} ({settings})"
    return found


def _means(cells: pd.DataFrame) -> dict[str, float]:
    """Numbers of cells, and means over the drawn ones; a metric without any value is left out."""
    drawn = cells[cells["status"] == "ok"]
    means = {
        f"mean/{name}": float(drawn[name].mean()) for name in METRICS if name in drawn and drawn[name].notna().any()
    }
    return {"num_cells": len(cells), "num_failed": len(cells) - len(drawn), **means}


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    """Python's own values; missing ones as None, which W&B shows as missing."""
    return table.astype(object).where(table.notna(), None)


def _digest(run: Run, settings: TrackingSettings, summary: pd.DataFrame, report: str) -> str:
    """Of everything that decides what the run holds and where it goes."""
    values = [settings.mode, settings.project, settings.entity, asdict(run)]
    text = json.dumps(values, sort_keys=True, default=str)
    if not run.key:
        text += summary.to_csv() + str(settings.max_pictures) + report
    return hashlib.sha256(text.encode()).hexdigest()
