"""A sweep from checked cells to results, in this process."""

import sys
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from metrics.loading import MetricsConfig, load_networks
from sweeps.cells import Cell
from sweeps.config import ModelConfig, PlannedCell, SweepSettings, load_model
from sweeps.contact_sheets import write_contact_sheets
from sweeps.groups import Group, make_groups
from sweeps.run import Runner
from sweeps.score import Scorer, unscored
from sweeps.store import Store
from sweeps.tables import terminal_table, write_tables
from sweeps.tracking import track_sweep


def run_sweep(planned: Sequence[PlannedCell], settings: SweepSettings) -> int:
    """Compute what the store lacks of these cells, derive tables and figures, and print what came out.

    Returns:
        0 if every cell is there, 1 if some failed.

    Raises:
        ValueError, FileNotFoundError: nothing could be started.
    """
    store = Store(settings.folder)
    store.prepare()
    store.write_config(settings.config)
    done = store.done()
    stored = sum(one.cell.cell_id in done for one in planned)
    print(f"{settings.name}: {len(planned)} cells, {stored} stored, {len(planned) - stored} to draw")
    left_out = dict.fromkeys(name for one in planned for name in one.left_out)
    if left_out:
        print(f"not scored, since their networks know only model=world: {', '.join(left_out)}; see metrics=real")
    for model, metrics, cells in _by_model(planned):
        to_score = unscored(store, metrics, [cell for cell in cells if cell.cell_id in done])
        groups = make_groups([cell for cell in cells if cell.cell_id not in done])
        if groups or to_score:
            scorer = Scorer(store, metrics, load_networks(metrics, model.device))
            for group_cells in to_score:
                scorer.score_stored(group_cells)
            if groups:
                _draw(groups, model, scorer, settings, store)
    return finish(store, settings, planned)


def finish(store: Store, settings: SweepSettings, planned: Sequence[PlannedCell]) -> int:
    """Derive summary, tables, figures and the W&B mirror from the store; print the table and the places.

    Returns:
        0 if every cell is drawn and scored, else 1.
    """
    summary = store.write_summary()
    write_tables(summary, settings.folder / "tables")
    write_contact_sheets(summary, settings.folder)
    track_sweep(settings.folder, settings.config, summary, mode=settings.tracking)
    cells = [one.cell for one in planned]
    wanted = summary[summary["cell_id"].isin([cell.cell_id for cell in cells])]
    print(f"\n{terminal_table(wanted)}\n")
    for what, name in (("tables", "tables/summary.{md,tex,csv}"), ("figures", "figures"), ("data", "summary.parquet")):
        print(f"{what:>8}  {settings.folder / name}")
    bad = wanted[wanted["status"] != "ok"]
    if len(bad):
        first = str(bad["error"].iloc[0]).strip().splitlines()[-1]
        print(f"{len(bad)} of {len(wanted)} cells failed; the first: {first}", file=sys.stderr)
    failed = set(bad["cell_id"])
    drawn = [one for one in planned if one.cell.cell_id not in failed]
    lacking = sum(len(group) for _, metrics, own in _by_model(drawn) for group in unscored(store, metrics, own))
    if lacking:
        print(f"{lacking} cells lack scores; the same command scores them", file=sys.stderr)
    return 1 if len(bad) or lacking else 0


def _draw(groups: Sequence[Group], model: ModelConfig, scorer: Scorer, settings: SweepSettings, store: Store) -> None:
    models = load_model(model)
    total = sum(group.unet_samples for group in groups)
    with tqdm(total=total, unit=" UNet samples", desc=settings.name, unit_scale=True, mininterval=0.5) as bar:
        runner = Runner(models, scorer, store, settings.name, settings.batch_size, lambda samples: _tick(bar, samples))
        drawn = 0
        for group in groups:
            bar.set_postfix_str(f"{drawn} cells")
            runner.run(group)
            drawn += len(group.cells)
        bar.set_postfix_str(f"{drawn} cells")


def _tick(bar: "tqdm[Any]", samples: int) -> None:
    bar.update(samples)


def _by_model(planned: Sequence[PlannedCell]) -> list[tuple[ModelConfig, MetricsConfig, list[Cell]]]:
    """Cells gathered by what has to be loaded for them."""
    parts: list[tuple[ModelConfig, MetricsConfig, list[Cell]]] = []
    for one in planned:
        for model, metrics, cells in parts:
            if (model, metrics) == (one.model, one.metrics):
                cells.append(one.cell)
                break
        else:
            parts.append((one.model, one.metrics, [one.cell]))
    return parts
