"""A sweep from checked cells to results: in this process, in several on this machine, or on SLURM."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from submitit.helpers import Checkpointable

from metrics.faces_loading import INSTALL, LICENCE
from metrics.loading import not_installed
from p2p.loading import resolve_device
from sweeps import slurm
from sweeps.aggregates import check_reference, realism_in_words, write_aggregates
from sweeps.cells import Cell
from sweeps.claims import Claims
from sweeps.config import PlannedCell
from sweeps.contact_sheets import write_contact_sheets
from sweeps.files import remove_leftovers
from sweeps.forecast import forecast
from sweeps.ledger import Ledger
from sweeps.local import start_workers
from sweeps.progress import Progress
from sweeps.provenance import mixtures, renewals
from sweeps.settings import LocalSettings, SweepSettings
from sweeps.shards import Work, make_shards, make_works
from sweeps.slurm import SlurmSettings
from sweeps.status import record_job, recorded_jobs
from sweeps.store import Store
from sweeps.tables import terminal_table, write_tables
from sweeps.tracking import track_sweep
from sweeps.worker import Worker, stopping_on_sigterm

POLL_S = 2.0
STOPPED = (130, -signal.SIGTERM)
"""How a worker ends that is asked to stop, at work and before."""
SLURM_POLL_S = 10.0
"""Slurm's controller serves a whole cluster."""


def run_sweep(planned: Sequence[PlannedCell], settings: SweepSettings) -> int:
    """Compute what the store lacks of these cells and derive tables and figures, or only tell what that would take.

    Returns:
        0 if every cell is there, was planned or submitted; 1 if some failed.

    Raises:
        ValueError, FileNotFoundError: nothing could be started.
    """
    works = make_works(planned, settings.part_size)
    if settings.plan is not None:
        found = forecast(works, settings, _number_of_shards(works, settings))
        print(found.as_json() if settings.plan == "json" else f"{settings.name}\n{found}")
        return 0
    for metrics in dict.fromkeys(work.metrics for work in works):
        check_reference(metrics)
    if not isinstance(settings.launcher, SlurmSettings):
        for device in dict.fromkeys(work.model.device for work in works):
            resolve_device(device)
    store = Store(settings.folder, settings.images)
    store.prepare()
    remove_leftovers(settings.folder)
    store.write_config(settings.config)
    store.write_plan([(cell.cell_id, work.name, cost) for work in works for cell, cost in _costs(work)])
    ledger = Ledger(store)
    todo = [work for work in works if any(ledger.outstanding(work.cells, work.metrics))]
    _tell(planned, store, ledger, settings)
    finish = Finish(tuple(works), settings)
    if todo and isinstance(settings.launcher, SlurmSettings):
        ids = _submit(todo, settings, settings.launcher, finish)
        if not settings.wait:
            print(f"SLURM jobs {slurm.in_words(ids)}; p2p-status {settings.folder} tells how they stand")
            return 0
        try:
            _await(todo, store, settings, lambda: slurm.are_going_on(ids), SLURM_POLL_S)
        except KeyboardInterrupt:
            print(f"SLURM jobs {slurm.in_words(ids)} go on; p2p-cancel {settings.folder} ends them", file=sys.stderr)
            raise
    elif todo and isinstance(settings.launcher, LocalSettings):
        processes = _start(todo, settings, settings.launcher)
        if settings.wait is False:
            print(f"{len(processes)} workers started; p2p-status {settings.folder} tells how they stand")
            return 0
        _attend(processes, todo, store, settings)
    elif todo:
        Worker(tuple(todo), settings, "process")()
    return finish()


@dataclass(frozen=True)
class Finish(Checkpointable):
    """Derives summary, tables, figures and the W&B mirror from the store; prints the table and the places.

    Attributes:
        works: of the whole grid.
        settings: the sweep's.
    """

    works: tuple[Work, ...]
    settings: SweepSettings

    def __call__(self) -> int:
        """0 if every cell is drawn and scored, else 1."""
        settings = self.settings
        store = Store(settings.folder, settings.images)
        Claims(settings.folder / "claims").sweep_dead()
        summary = store.write_summary()
        write_tables(summary, settings.folder / "tables")
        write_contact_sheets(summary, settings.folder)
        track_sweep(settings.folder, settings.config, summary, settings.tracking, store.load_picture)
        wanted = summary[summary["cell_id"].isin({cell.cell_id for work in self.works for cell in work.cells})]
        print(f"\n{terminal_table(wanted)}\n")
        places = {"tables": "tables/summary.{md,tex,csv}", "figures": "figures", "data": "summary.parquet"}
        for what, name in places.items():
            print(f"{what:>8}  {settings.folder / name}")
        chosen = dict.fromkeys(work.metrics for work in self.works)
        for line in dict.fromkeys(line for one in chosen for line in realism_in_words(write_aggregates(store, one))):
            print(line)
        for line in mixtures(wanted):
            print(line, file=sys.stderr)
        bad = wanted[wanted["status"] != "ok"]
        if len(bad):
            first = str(bad["error"].iloc[0]).strip().splitlines()[-1]
            print(f"{len(bad)} of {len(wanted)} cells failed; the first: {first}", file=sys.stderr)
        failed, ledger = set(bad["cell_id"]), Ledger(store)
        left = [ledger.outstanding(work.cells, work.metrics) for work in self.works]
        missing = sum(cell.cell_id not in failed for one in left for cell in one.to_draw)
        lacking = sum(len(one.to_score) for one in left)
        for number, what in ((missing, "are not drawn"), (lacking, "lack scores")):
            if number:
                print(f"{number} cells {what}; the same command goes on with them", file=sys.stderr)
        return 1 if len(bad) or missing or lacking else 0


def _tell(planned: Sequence[PlannedCell], store: Store, ledger: Ledger, settings: SweepSettings) -> None:
    """Print what is stored, what is to draw and why, and what will not be scored."""
    to_draw = [one.cell for one in planned if not ledger.is_drawn(one.cell)]
    stored = len(planned) - len(to_draw)
    print(f"{settings.name}: {len(planned)} cells, {stored} stored, {len(to_draw)} to draw", flush=True)
    for line in renewals(store.edits(), to_draw):
        print(line)
    left_out = dict.fromkeys(name for one in planned for name in one.left_out)
    absent = not_installed(replace(planned[0].metrics, names=tuple(left_out))) if left_out else ()
    if absent:
        print(f"not scored: {', '.join(absent)}; {INSTALL} ({LICENCE})")
    if of_world := [name for name in left_out if name not in absent]:
        print(f"not scored, since their networks know only model=world: {', '.join(of_world)}; see metrics=real")


def _number_of_shards(works: Sequence[Work], settings: SweepSettings) -> int:
    """As many as workers on this machine; on SLURM those asked for, else as many as may run side by side."""
    if isinstance(settings.launcher, SlurmSettings):
        return settings.launcher.tasks or settings.launcher.array_parallelism
    return settings.launcher.number if isinstance(settings.launcher, LocalSettings) else 1


def _costs(work: Work) -> list[tuple[Cell, float]]:
    cost = work.group.unet_samples / len(work.cells)
    return [(cell, cost) for cell in work.cells]


def _submit(todo: Sequence[Work], settings: SweepSettings, launcher: SlurmSettings, finish: Finish) -> list[str]:
    shards = make_shards(todo, _number_of_shards(todo, settings))
    workers = [Worker(_bare(shard.works), settings, f"slurm-{i:05d}") for i, shard in enumerate(shards)]
    finish = replace(finish, works=_bare(finish.works))
    ids = slurm.submit(workers, finish, settings.folder, settings.name, launcher)
    for _, job in recorded_jobs(settings.folder):
        if slurm.are_going_on(job["ids"]):
            print(f"SLURM jobs {slurm.in_words(job['ids'])} of an earlier command still work on it; these join them")
    record_job(settings.folder, {"kind": "slurm", "ids": ids}, f"slurm-{ids[0]}")
    return ids


def _start(todo: Sequence[Work], settings: SweepSettings, launcher: LocalSettings) -> list["subprocess.Popen[bytes]"]:
    """Workers that begin with their own shard and then help with the others'.

    Raises:
        ValueError: a model names a GPU, of which each worker has its own.
    """
    for device in {work.model.device for work in todo}:
        if device.startswith("cuda:"):
            raise ValueError(f"model.device={device}: launcher=local gives each worker a GPU; leave it at auto")
    shards = make_shards(todo, launcher.number)
    workers = []
    for i in range(len(shards)):
        works = [work for shard in (*shards[i:], *shards[:i]) for work in shard.works]
        workers.append(Worker(_bare(works), settings, f"local-{i}", sharers=len(shards)))
    return start_workers(workers, settings.folder)


def _bare(works: Sequence[Work]) -> tuple[Work, ...]:
    """Works without their plans, which are quicker made than sent."""
    return tuple(replace(work) for work in works)


def _attend(
    processes: Sequence["subprocess.Popen[bytes]"], todo: Sequence[Work], store: Store, settings: SweepSettings
) -> None:
    """Stay with workers of this machine until they end; Ctrl-C and SIGTERM end them.

    Raises:
        KeyboardInterrupt: they were asked to stop.
        ValueError: none of them could work.
    """
    try:
        with stopping_on_sigterm():
            _await(todo, store, settings, lambda: any(process.poll() is None for process in processes))
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
        raise
    failed = [process for process in processes if process.wait() != 0]
    if failed:
        print(f"{len(failed)} of {len(processes)} workers ended early; see {settings.folder / 'logs'}", file=sys.stderr)
    if all(process.returncode in STOPPED for process in processes):
        raise KeyboardInterrupt
    if len(failed) == len(processes):
        log = (settings.folder / "logs" / "local-0.log").read_text().strip().splitlines()
        raise ValueError(f"no worker could go on; the first says: {log[-1] if log else '(nothing)'}")


def _await(
    todo: Sequence[Work],
    store: Store,
    settings: SweepSettings,
    is_going_on: Callable[[], bool],
    poll_s: float = POLL_S,
) -> None:
    """Show progress as the store tells it while others work."""
    ledger = Ledger(store, since=datetime.now(UTC))
    cells = [cell for work in todo for cell in work.cells if not ledger.is_drawn(cell)]
    cost = sum(work.group.unet_samples for work in todo)
    with Progress(settings.name, len(cells), cost) as progress:
        going_on = True
        while going_on:
            going_on = is_going_on()
            time.sleep(poll_s if going_on else 0)
            ledger.refresh()
            drawn = sum(ledger.is_drawn(cell) for cell in cells)
            progress.sampled(round(cost * drawn / max(len(cells), 1)) - progress.taken)
            progress.finished(drawn - progress.drawn, 0)
