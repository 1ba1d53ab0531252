"""`python scripts/wandb_workspace.py results/SWEEP`: a dashboard of a sweep's runs in Weights & Biases.

It shows parallel coordinates, parameter importance, words against picture, tables and pictures of the runs that
`tracking=online`, or `wandb sync results/SWEEP/wandb/offline-run-*`, has sent. The plots need one run a configuration:
tracking.per_config=true. `--dry-run` prints what would be sent and needs neither network nor login.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from scripts.command_line import refusals
from sweeps.configurations import AXES
from sweeps.store import Store
from sweeps.tracking_report import REPORT_KEYS, report_tables

WORDS, KEEP = "clip_directional", "lpips"
"""What following the words and keeping the picture are, unless another metric is named."""
_CYCLE = "cycle_lpips"
_WIDE, _HALF, _HIGH, _LOW = 24, 12, 12, 8
"""Panels' sizes in W&B's units; a row is 24 wide."""


@dataclass(frozen=True)
class Shown:
    """What a dashboard shows.

    Attributes:
        sweep: its name, W&B's group.
        metrics: those that the sweep has values of; the first is `words`, the second `keep`.
        tables, pictures: their keys in the sweep's run.
    """

    sweep: str
    metrics: tuple[str, ...]
    tables: tuple[str, ...]
    pictures: tuple[str, ...]

    @property
    def words(self) -> str:
        """What following the words is."""
        return self.metrics[0]

    @property
    def keep(self) -> str:
        """What keeping the picture is."""
        return self.metrics[1]


def main() -> None:
    """Build the dashboard and save it, or print it."""
    with refusals("wandb_workspace"):
        _main(sys.argv[1:])


def _main(arguments: Sequence[str]) -> None:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="wandb_workspace", description=lines[0], epilog=" ".join(lines[2:]))
    parser.add_argument("sweep", type=Path, help="its folder, as results/grid")
    parser.add_argument("--entity", help="W&B's user or team (the sweep's tracking.entity)")
    parser.add_argument("--project", help="W&B's project (the sweep's tracking.project)")
    parser.add_argument("--words", default=WORDS, metavar="METRIC", help=f"what following the words is ({WORDS})")
    parser.add_argument("--keep", default=KEEP, metavar="METRIC", help=f"what keeping the picture is ({KEEP})")
    parser.add_argument("--dry-run", action="store_true", help="print it as JSON; nothing is sent")
    options = parser.parse_args(arguments)
    shown = read(options.sweep, options.words, options.keep)
    tracking = _tracking(options.sweep)
    entity = options.entity or tracking.get("entity")
    if entity is None and not options.dry_run:
        raise ValueError("W&B's user or team is not known; give it with --entity")
    made = workspace(shown, entity or "", options.project or tracking["project"])
    if options.dry_run:
        print(as_json(made))
    else:
        made.save()
        print(made.url)


def read(folder: Path, words: str = WORDS, keep: str = KEEP) -> Shown:
    """What there is to show of the sweep in `folder`, from its folder alone.

    Raises:
        ValueError: the folder is not a sweep's, or the sweep has no values of a metric that is named.
    """
    _tracking(folder)
    summary = Store(folder).read_summary()
    scored = [name for name in _metric_names(summary) if summary[name].notna().any()]
    for role, name in (("--words", words), ("--keep", keep)):
        if name not in scored:
            known = ", ".join(scored) or "no scores"
            raise ValueError(f"{folder} has no values of {name}; it has {known}: name another metric with {role}")
    others = [name for name in scored if name not in (words, keep)]
    tables = ("summary", *report_tables(folder / "report"), "cells")
    return Shown(folder.resolve().name, (words, keep, *others), tables, (*REPORT_KEYS, "contact_sheets", "samples"))


def workspace(shown: Shown, entity: str, project: str) -> Any:
    """The dashboard, a `wandb_workspaces.workspaces.Workspace` that is not yet sent."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    axes = [wr.ParallelCoordinatesPlotColumn(wr.Config(axis), display_name=head) for axis, head in AXES.items()]
    scores = [
        wr.ParallelCoordinatesPlotColumn(wr.SummaryMetric(_mean(name)), display_name=name) for name in shown.metrics[:2]
    ]
    importance = [
        wr.ParameterImportancePlot(with_respect_to=_mean(name), layout=wr.Layout(w=_HALF, h=_LOW))
        for name in _asked(shown)
    ]
    scatters = [
        wr.ScatterPlot(
            title=f"{y} against {x}, colour: {AXES[axis]}",
            x=wr.SummaryMetric(_mean(x)),
            y=wr.SummaryMetric(_mean(y)),
            z=wr.Config(axis),
            layout=wr.Layout(w=_HALF, h=_HIGH),
        )
        for x, y, axis in _planes(shown)
    ]
    tables = [wr.WeavePanelSummaryTable(table_name=name, layout=wr.Layout(w=_WIDE, h=_LOW)) for name in shown.tables]
    pictures = [
        wr.MediaBrowser(title=name, media_keys=[name], num_columns=4, layout=wr.Layout(w=_WIDE, h=_HIGH))
        for name in shown.pictures
    ]
    pace = wr.LinePlot(title="UNet samples per second", y=["unet_samples_per_s"], layout=wr.Layout(w=_WIDE, h=_LOW))
    coordinates = wr.ParallelCoordinatesPlot(
        title="Configurations, means over prompts and seeds",
        columns=[*axes, *scores],
        layout=wr.Layout(w=_WIDE, h=_HIGH),
    )
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"p2p-sweep: {shown.sweep}",
        sections=[
            ws.Section(name="Hyperparameters", panels=[coordinates, *importance], is_open=True),
            ws.Section(name="Words against picture", panels=[*scatters], is_open=True),
            ws.Section(name="Pictures", panels=[*pictures], is_open=True),
            ws.Section(name="Tables", panels=[*tables]),
            ws.Section(name="Workers", panels=[pace]),
        ],
        settings=ws.WorkspaceSettings(max_runs=1000),
        runset_settings=ws.RunsetSettings(filters=f'Group == "{shown.sweep}"'),
    )


def as_json(made: Any) -> str:
    """All that saving a dashboard sends, as JSON."""
    view = made._to_model()
    spec = json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True))
    about = {"entity": view.entity, "project": view.project, "name": view.display_name}
    return json.dumps({**about, "spec": spec}, indent=1)


def _planes(shown: Shown) -> list[tuple[str, str, str]]:
    """Metrics against metrics (x, y), and the hyperparameter that colours the points."""
    planes = [(shown.keep, shown.words, "self_replace_steps"), (shown.keep, shown.words, "cross_replace_steps")]
    if _CYCLE in shown.metrics:
        planes += [(shown.keep, _CYCLE, "v_inject_steps"), (shown.words, _CYCLE, "v_inject_steps")]
    return planes


def _asked(shown: Shown) -> list[str]:
    return list(dict.fromkeys([shown.words, shown.keep, *(name for name in (_CYCLE,) if name in shown.metrics)]))


def _mean(metric: str) -> str:
    """A metric's key in a configuration's run."""
    return f"mean/{metric}"


def _metric_names(summary: pd.DataFrame) -> list[str]:
    from metrics.registry import METRICS

    return [name for name in METRICS if name in summary]


def _tracking(folder: Path) -> Mapping[str, Any]:
    """The tracking settings of the sweep's last command."""
    try:
        tracking: Mapping[str, Any] = json.loads((folder / "config.json").read_text())["tracking"]
    except (OSError, json.JSONDecodeError, KeyError) as error:
        raise ValueError(f"{folder} is not the folder of a sweep (no config.json); it is results/<sweep>") from error
    return tracking


if __name__ == "__main__":
    main()
