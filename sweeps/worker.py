"""A worker: works through its share of a sweep with everything loaded once."""

import signal
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from submitit.helpers import Checkpointable

from metrics.loading import MetricsConfig, load_networks
from sweeps.claims import Claims
from sweeps.config import ModelConfig, load_model
from sweeps.ledger import Ledger
from sweeps.progress import Progress
from sweeps.run import Runner
from sweeps.score import Scorer
from sweeps.settings import SweepSettings
from sweeps.shards import Work
from sweeps.store import Store
from sweeps.tracking_shard import ShardTracker, shard_tracker

POLL_S = 2.0
"""Seconds between two looks at work that others have claimed."""


@dataclass(frozen=True)
class Worker(Checkpointable):
    """Draws and scores what the store lacks of some works; callable, and picklable for another process or machine.

    A SLURM task that is stopped is queued again as it is: it goes on with what the store then lacks.

    Attributes:
        works: its share, in order.
        settings: the sweep's.
        name: of the shard.
        sharers: workers that share these works.
    """

    works: tuple[Work, ...]
    settings: SweepSettings
    name: str
    sharers: int = 1

    def __call__(self) -> None:
        """Work until all of it is stored, by this worker or by others.

        Raises:
            ValueError, OSError: a model or network cannot be loaded, or nothing can be stored.
        """
        folder = self.settings.folder
        store = Store(folder, self.settings.images)
        store.prepare()
        ledger = Ledger(store, since=datetime.now(UTC))
        outstanding = {work.name: ledger.outstanding(work.cells, work.metrics) for work in self.works}
        pending = [work for work in self.works if any(outstanding[work.name])]
        to_draw = [replace(work, cells=tuple(cells)) for work in pending if (cells := outstanding[work.name].to_draw)]
        unet_samples = sum(work.group.unet_samples for work in to_draw)
        with (
            stopping_on_sigterm(),
            Claims(folder / "claims") as claims,
            shard_tracker(folder, self.settings.tracking, self.name, unet_samples / self.sharers) as tracker,
            Progress(self.settings.name, sum(len(work.cells) for work in to_draw), unet_samples) as progress,
            ExitStack() as held,
            ThreadPoolExecutor(1) as writer,
        ):
            shift = _Shift(self.settings, store, ledger, claims, progress, tracker, held, writer)
            while pending:
                before = len(pending)
                pending = [work for work in pending if not shift.settle(work)]
                if len(pending) == before:
                    time.sleep(POLL_S)
            shift.await_stored(leave=0)


@dataclass
class _Shift:
    """What a worker has at hand: the model and networks of one choice at a time, and what is being stored."""

    settings: SweepSettings
    store: Store
    ledger: Ledger
    claims: Claims
    progress: Progress
    tracker: ShardTracker
    held: ExitStack
    writer: Executor

    def __post_init__(self) -> None:
        self._loaded: tuple[ModelConfig, MetricsConfig, Runner] | None = None
        self._storing: deque[tuple[ExitStack, Future[int], int]] = deque()

    def settle(self, work: Work) -> bool:
        """Do what is to do of a work, unless another has claimed it; whether it is settled."""
        with ExitStack() as claim:
            is_ours = claim.enter_context(self.claims.claim(work.name))
            self.ledger.refresh()
            to_draw, to_score = self.ledger.outstanding(work.cells, work.metrics)
            if not is_ours:
                return not to_draw and not to_score
            if to_score and not self._runner(work).score_stored(to_score):
                to_draw += to_score
            if to_draw:
                stored = self._runner(work).run(replace(work, cells=tuple(to_draw)).group)
                self._storing.append((self.held.enter_context(claim.pop_all()), stored, len(to_draw)))
                self.await_stored(leave=1)
        return True

    def await_stored(self, leave: int) -> None:
        """Wait until at most so many works are being stored; the device draws the next meanwhile."""
        while len(self._storing) > leave:
            claim, stored, cells = self._storing.popleft()
            with claim:
                failed = stored.result()
            self.progress.finished(cells, failed)
            self.tracker.update(cells=cells - failed, failed=failed)

    def _sampled(self, unet_samples: int) -> None:
        self.progress.sampled(unet_samples)
        self.tracker.update(unet_samples=unet_samples)

    def _runner(self, work: Work) -> Runner:
        if self._loaded is None or self._loaded[:2] != (work.model, work.metrics):
            self._loaded = None  # frees the memory of the last before the next is loaded
            try:
                networks, models = load_networks(work.metrics, work.model.device), load_model(work.model)
            except (MemoryError, RuntimeError) as error:
                raise ValueError(f"model {work.model.name} and its metrics cannot be loaded: {error}") from error
            runner = Runner(
                models,
                Scorer(self.store, work.metrics, networks),
                self.store,
                self.settings.name,
                self.settings.batch_size,
                self._sampled,
                self.writer,
            )
            self._loaded = (work.model, work.metrics, runner)
        return self._loaded[2]


@contextmanager
def stopping_on_sigterm() -> Iterator[None]:
    """Let SIGTERM end the work as Ctrl-C does: what is drawn is stored, claims are released."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
