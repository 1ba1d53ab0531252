"""Hold the metrics against rendered pairs whose truth is known: `python scripts/calibrate.py`.

Writes tables (calibration.csv, nuisances.csv, README.md) and the figure (calibration.png, .pdf) into --out. Scores are
kept in blocks under --cache, so an interrupted run goes on where it stopped and a larger one computes what is new.
"""

import argparse
import hashlib
import importlib.resources
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import torch
from omegaconf import OmegaConf
from tqdm import tqdm

from metrics.calibration.figure import draw
from metrics.calibration.questions import answer_all, shifts
from metrics.calibration.report import answers_table, report, shifts_table
from metrics.calibration.trials import VERSION, score_pairs
from metrics.loading import MetricsConfig, NetworksConfig, load_networks
from metrics.registry import get_metrics
from p2p.loading import resolve_path
from p2p.world.pairs import draw_variants, sample_pair
from scripts.command_line import refusals

BLOCK = 50


class Block(NamedTuple):
    """Pairs `start` to `stop` that are scored and stored at once."""

    start: int
    stop: int

    def path(self, folder: Path) -> Path:
        """Where its scores are."""
        return folder / f"pairs-{self.start:06d}-{self.stop:06d}.parquet"


def world_metrics() -> MetricsConfig:
    """The metrics and networks of metrics=world."""
    text = (importlib.resources.files("conf") / "metrics" / "world.yaml").read_text()
    values: Any = OmegaConf.to_container(OmegaConf.create(text))
    return MetricsConfig.from_mapping(values)


def fingerprint(config: MetricsConfig, seed: int) -> str:
    """What stored scores depend on: versions, weights, and how the first pairs are drawn."""
    digest = hashlib.sha256(f"{VERSION} {seed} {BLOCK} {torch.__version__}".encode())
    digest.update(str([(metric.name, metric.version) for metric in get_metrics(config.names)]).encode())
    for file in _weights(config.networks):
        digest.update(file.read_bytes())
    for number in range(5):
        pair = sample_pair(number, seed)
        digest.update(str(pair).encode())
        for picture in draw_variants(pair, seed).values():
            digest.update(picture.tobytes())
    return digest.hexdigest()[:16]


def _weights(networks: NetworksConfig) -> Iterator[Path]:
    for network in vars(networks).values():
        if network is not None and network.path is not None:
            yield from sorted(resolve_path(network.path).rglob("*.safetensors"))


def score_block(block: Block, folder: Path, seed: int) -> Path:
    """Score a block with one thread, store it whole, and tell where."""
    path = block.path(folder)
    if not path.exists():
        torch.set_num_threads(1)
        config = world_metrics()
        pairs = [sample_pair(number, seed) for number in range(block.start, block.stop)]
        scores = score_pairs(pairs, config.names, load_networks(config, "cpu"), seed)
        partial_path = path.with_suffix(".partial")
        scores.to_parquet(partial_path)
        partial_path.replace(path)
    return path


def score_all(pairs: int, seed: int, cache: Path, workers: int) -> pd.DataFrame:
    """Scores of that many pairs, from the cache where they are there."""
    folder = cache / fingerprint(world_metrics(), seed)
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [Block(start, min(start + BLOCK, pairs)) for start in range(0, pairs, BLOCK)]
    work = partial(score_block, folder=folder, seed=seed)
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        done = pool.map(work, blocks) if workers > 1 else map(work, blocks)
        paths = list(tqdm(done, total=len(blocks), desc=f"pairs by {BLOCK}", mininterval=2))
    return pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)


def write_report(scores: pd.DataFrame, out: Path, command: str, seed: int) -> None:
    """Tables, text and figure from scores."""
    answers, moved = answer_all(scores, seed), shifts(scores, seed)
    out.mkdir(parents=True, exist_ok=True)
    answers_table(answers).to_csv(out / "calibration.csv", index=False, lineterminator="\n")
    shifts_table(moved).to_csv(out / "nuisances.csv", index=False, lineterminator="\n")
    (out / "README.md").write_text(report(answers, moved, scores, command))
    figure = draw(answers, moved)
    figure.savefig(out / "calibration.png", dpi=150, metadata={"Software": None})
    figure.savefig(out / "calibration.pdf", metadata={"CreationDate": None, "Producer": None, "Creator": None})


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2000, help="pairs drawn, the five categories in turn")
    parser.add_argument("--out", type=Path, default=Path("results/calibration"), help="folder for tables and figure")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs, the nuisances and the bootstrap")
    parser.add_argument("--cache", type=Path, default=Path("runs/calibration"), help="folder for scores")
    parser.add_argument("--workers", type=int, default=2, help="processes, one thread each")
    options = parser.parse_args(arguments)
    for name, least in (("pairs", 10), ("seed", 0), ("workers", 1)):
        if getattr(options, name) < least:
            parser.error(f"--{name} must be {least} or more, got {getattr(options, name)}")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Score, answer, write."""
    options = parse_arguments(arguments)
    with refusals("calibrate"):
        scores = score_all(options.pairs, options.seed, options.cache, options.workers)
        command = f"python scripts/calibrate.py --pairs {options.pairs} --seed {options.seed}"
        write_report(scores, options.out, command, options.seed)
        print((options.out / "README.md").read_text())


if __name__ == "__main__":
    main()
