"""A sweep from checked cells to results, in this process."""

import sys
from collections.abc import Sequence

from metrics.loading import load_networks
from metrics.score import EditPictures
from tqdm import tqdm

from p2p.loading import load_models
from sweeps.cells import Cell
from sweeps.config import SweepSettings
from sweeps.contact_sheets import write_contact_sheets
from sweeps.plan import Group, make_groups
from sweeps.run import Runner
from sweeps.store import Store
from sweeps.tables import terminal_table, write_tables
from sweeps.tracking import track_sweep


def run_sweep(cells: Sequence[Cell], settings: SweepSettings) -> int:
    """Compute what the store lacks of these cells, derive tables and figures, and print what came out.

    Returns:
        0 if every cell is there, 1 if some failed.

    Raises:
        ValueError, FileNotFoundError: nothing could be started.
    """
    store = Store(settings.folder)
    store.prepare()
    done = store.done()
    groups = make_groups([cell for cell in cells if cell.cell_id not in done])
    unscored = _unscored(store, [cell for cell in cells if cell.cell_id in done], settings)
    stored = sum(cell.cell_id in done for cell in cells)
    print(f"{settings.name}: {len(cells)} cells, {stored} stored, {len(cells) - stored} to draw, {len(groups)} groups")
    if groups or unscored:
        _compute(groups, unscored, settings, store)
    return finish(store, settings, cells)


def finish(store: Store, settings: SweepSettings, cells: Sequence[Cell]) -> int:
    """Derive summary, tables, figures and the W&B mirror from the store; print the table and the places."""
    store.write_config(settings.config)
    summary = store.write_summary()
    write_tables(summary, settings.folder / "tables")
    write_contact_sheets(summary, settings.folder)
    track_sweep(settings.folder, settings.config, summary, mode=settings.tracking)
    wanted = summary[summary["cell_id"].isin([cell.cell_id for cell in cells])]
    print(f"\n{terminal_table(wanted)}\n")
    for what, name in (("tables", "tables/summary.{md,tex,csv}"), ("figures", "figures"), ("data", "summary.parquet")):
        print(f"{what:>8}  {settings.folder / name}")
    bad = wanted[wanted["status"] != "ok"]
    if len(bad):
        first = str(bad["error"].iloc[0]).strip().splitlines()[-1]
        print(f"{len(bad)} of {len(wanted)} cells failed; the first: {first}", file=sys.stderr)
    return 1 if len(bad) else 0


def _compute(
    groups: Sequence[Group], unscored: Sequence[Sequence[EditPictures]], settings: SweepSettings, store: Store
) -> None:
    model = settings.model
    networks = load_networks(settings.metrics, model.device)
    models = load_models(
        model.path,
        revision=model.revision,
        dtype=model.dtype,
        device=model.device,
        blend_resolution=model.blend_resolution,
    )
    total = sum(group.unet_samples for group in groups)
    with tqdm(total=total, unit="sample", desc=settings.name, unit_scale=True, mininterval=0.5) as bar:
        runner = Runner(
            models=models,
            networks=networks,
            metrics=settings.metrics.names,
            store=store,
            sweep=settings.name,
            batch_size=settings.batch_size,
            progress=bar.update,
        )
        cells = 0
        for group in groups:
            runner.run(group)
            cells += len(group.cells)
            bar.set_postfix_str(f"{cells} cells")
        for edits in unscored:
            runner.score(edits)


def _unscored(store: Store, cells: Sequence[Cell], settings: SweepSettings) -> list[list[EditPictures]]:
    """Stored pictures that lack a score of the current version, by group."""
    return []
