"""The benchmarks do what they say on a tiny pipeline; how long it takes is nobody's test."""

from pathlib import Path

import pytest
import torch

from metrics.loading import MetricsConfig
from metrics.networks import Networks
from metrics.registry import METRICS
from p2p.loading import load_models
from scripts import bench
from scripts.benchmarks.editor import editor_variants
from scripts.benchmarks.machine import random_models
from scripts.benchmarks.metrics import TOGETHER, metric_variants, rendered_edits, time_metrics
from scripts.benchmarks.sweep import grid_cells, matrix_rate, shares_of_a_sweep, sweep_variants, world_metrics


@pytest.fixture(scope="module")
def models(tiny_pipeline):
    return load_models(str(tiny_pipeline), dtype="float32", device="cpu")


@pytest.fixture(scope="module")
def cells(models):
    return grid_cells(models, 75, 5, 64)


def test_every_variant_takes_the_unet_samples_it_tells(models, cells):
    counted = []
    register = models.unet.register_forward_pre_hook(lambda module, args: counted.append(len(args[0])))
    told = {}
    try:
        for name, run in sweep_variants(models, cells[:12], batch_size=1).items():
            counted.clear()
            told[name] = run()
            assert sum(counted) == told[name], name
    finally:
        register.remove()
    assert told["plain generation"] == 12 * 5 * 2
    assert told["cell by cell"] == 2 * 12 * 5 * 2
    assert told["shared source"] == 13 * 5 * 2
    assert told["shared prefixes"] < told["shared source"]


def test_shares_of_a_sweep_add_up(models, cells):
    found = shares_of_a_sweep(models, cells[:6], 4, MetricsConfig(("ssim",)))
    assert sum(found["shares"].values()) == pytest.approx(1)
    assert found["shares"]["UNet"] > found["shares"]["metrics"] > 0
    assert 0 < found["shares"]["rest"] < 1


def test_the_matrix_rate_is_a_fraction_of_a_product_s(models, cells):
    found = matrix_rate(models, cells, {"unet_samples": 100, "seconds": 1.0}, side=64, rounds=2)
    assert found["reached"] == 100 * found["flops_of_a_sample"]
    assert found["fraction"] == pytest.approx(found["reached"] / found["peak"])


def test_an_edit_takes_as_many_unet_samples_as_plain_generation_and_an_editor_with_maps():
    models = random_models(32, torch.device("cpu"), torch.float32)
    variants = editor_variants(models, edits=1, steps=1, size=16)
    assert {name: run() for name, run in variants.items()} == dict.fromkeys(variants, 4)


def test_each_metric_is_timed_by_itself_and_with_the_others(monkeypatch):
    edits = rendered_edits(groups=2)
    assert len({id(edit.source) for edit in edits}) == 2
    scored = []
    monkeypatch.setattr(
        "scripts.benchmarks.metrics.score_edits", lambda group, names, *_: scored.append((len(group), list(names)))
    )
    for run in metric_variants(edits, ["ssim", "mse"], Networks(), 16).values():
        run()
    assert [names for _, names in scored] == [["ssim"]] * 2 + [["mse"]] * 2 + [["ssim", "mse"]] * 2
    assert sum(size for size, _ in scored) == 3 * len(edits)


def test_milliseconds_are_of_one_edit(monkeypatch):
    monkeypatch.setattr(
        "scripts.benchmarks.metrics.time_in_turn",
        lambda variants, rounds, device: {
            name: {"seconds": 2.0, "unet_samples": run()} for name, run in variants.items()
        },
    )
    edits = rendered_edits(groups=1)[:4]
    found = time_metrics(edits, ["ssim", "mse"], Networks(), 16, rounds=2)
    assert found == {"ssim": 500.0, "mse": 500.0, TOGETHER: 500.0}


def test_metrics_are_shown_with_their_share_of_a_sweep():
    shares = {"UNet": 0.8, "metrics": 0.125, "rest": 0.075}
    results = {"edits": 24, "ms_per_edit": {"lpips": 1.234, TOGETHER: 5.0}, "sweep": {"shares": shares}}
    settings = {"groups": 2, "grid": 75, "steps": 20}
    told = bench.table([{"benchmark": "metrics", "device": "CPU", "settings": settings, "results": results}])
    assert "24 rendered edits of 2 sources" in told
    assert "| `lpips` | 1.23 |\n| all together | 5.00 |" in told
    assert "75 cells, 20 steps, cycle `swap`, stored and scored: UNet 80.0%, metrics 12.5%, rest 7.5%." in told


def test_the_metrics_of_the_embedded_model_are_measured():
    names = world_metrics().names
    assert set(names) <= set(METRICS)
    assert {"clip_score", "lpips", "cycle_lpips"} <= set(names)


def test_the_readme_shows_what_is_kept():
    readme = Path("README.md").read_text()
    assert bench.with_table(readme, bench.read_reports(Path("results/bench"))) == readme


def test_results_are_named_by_benchmark_and_device(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = bench.parse_arguments(["sweep", f"--out={tmp_path}"])
    assert bench.keep(options, {}).name == "sweep-world-cpu.json"
    assert bench.keep(bench.parse_arguments(["metrics", f"--out={tmp_path}"]), {}).name == "metrics-cpu.json"
