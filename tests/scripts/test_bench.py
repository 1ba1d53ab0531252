"""The benchmarks do what they say on a tiny pipeline; how long it takes is nobody's test."""

from pathlib import Path

import pytest
import torch

from metrics.loading import MetricsConfig
from p2p.loading import load_models
from scripts import bench
from scripts.benchmarks.editor import editor_variants
from scripts.benchmarks.machine import random_models
from scripts.benchmarks.sweep import grid_cells, matrix_rate, shares_of_a_sweep, sweep_variants


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


def test_the_readme_shows_what_is_kept():
    readme = Path("README.md").read_text()
    assert bench.with_table(readme, bench.read_reports(Path("results/bench"))) == readme


def test_results_are_named_by_benchmark_and_device(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    options = bench.parse_arguments(["sweep", f"--out={tmp_path}"])
    assert bench.keep(options, {}).name == "sweep-world-cpu.json"
