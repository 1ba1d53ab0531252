import json

import numpy as np
import pandas as pd
import pytest

from metrics.registry import METRICS
from scripts.report.analysis import analyse
from scripts.report.findings import Contrast, contrast, find, write_findings
from scripts.report.results import Results
from tests.scripts.report.synthetic import FULL, TRUTH, synthetic_results

KNOWN = [(0.3, 0.8, 0.2, 0.0), (0.0, 0.2, 0.8, 0.0)]
WEIGHTS = (-2.0, -1.0, 0.0, 0.5, 1.0, 2.0)


def verdicts(results: Results) -> dict[str, str]:
    return {finding.claim: finding.verdict for finding in find(results, analyse(results))}


def of(found: dict[str, str], beginning: str) -> list[str]:
    return [verdict for claim, verdict in found.items() if claim.startswith(beginning)]


@pytest.fixture(scope="module")
def known(results):
    return verdicts(results)


def test_a_claim_that_the_truth_bears_out_is_confirmed(known):
    assert of(known, "The proposed values give more precise") == ["confirmed", "confirmed"]


def test_a_claim_that_the_truth_turns_around_is_contradicted(known):
    assert of(known, "The proposed values give a closer match") == ["contradicted", "contradicted"]
    assert of(known, "Self-attention is what adapts geometry") == ["contradicted"]
    assert of(known, "V-injection improves") == ["contradicted"]


def test_configurations_are_compared_where_everything_else_is_set_alike():
    """The proposed values at 50 steps and the literature's at 20 do not tell which is better."""
    results = synthetic_results(pairs=2)
    cells = results.cells
    proposed = (cells["k"] == 0) & (cells["cross_replace_steps"] == 0.2) & (cells["self_replace_steps"] == 0.8)
    injected = cells["v_inject_steps"] > 0
    cells.loc[proposed, "num_inference_steps"] = 50
    cells.loc[injected, "num_inference_steps"] = 100
    found = verdicts(results)
    assert not of(found, "The proposed values")
    assert not of(found, "V-injection")
    assert of(found, "The method is not cycle-consistent")


def test_a_large_cycle_error_is_inconsistent_and_a_small_one_is_not():
    assert of(verdicts(synthetic_results()), "The method is not cycle-consistent") == ["confirmed"]
    consistent = synthetic_results(truth={**TRUTH, "cycle_lpips": lambda t: 0 * t.k - 0.2})
    assert of(verdicts(consistent), "The method is not cycle-consistent") == ["contradicted"]


def test_without_a_difference_nothing_is_decided_nineteen_times_in_twenty():
    flat = {name: lambda t: 0 * t.cross_replace_steps + 0.5 for name in ("clip_directional", "lpips", "ssim")}
    found = [
        verdict
        for seed in range(12)
        for verdict in of(verdicts(synthetic_results(truth=flat, seed=seed, pair_noise_sd=0.1)), "The proposed")
    ]
    assert found.count("undecided") >= 0.85 * len(found)


def test_geometry_is_told_by_the_shares_of_the_full_grid():
    ssim = {**TRUTH, "ssim": lambda t: 0.6 + 0.3 * t.self_replace_steps + 0.05 * t.cross_replace_steps}
    results = synthetic_results(truth=ssim, grid=FULL, pairs=3, seeds=1)
    finding = next(one for one in find(results, analyse(results)) if one.claim.startswith("Self-attention"))
    assert finding.verdict == "confirmed"
    assert "self-replacement accounts for 9" in finding.text


def reweighted(clip_score, lpips) -> Results:
    """Cells of both known configurations at `WEIGHTS`; scores are functions of mark and weight."""
    results = synthetic_results(configurations=KNOWN, truth={"clip_score": lambda t: 0 * t.k + 50}, pairs=4)
    cells = results.cells.merge(pd.DataFrame({"weight": WEIGHTS}), how="cross")
    literature = cells["cross_replace_steps"] == 0.8
    rng = np.random.default_rng(0)
    for name, mean in (("clip_score", clip_score), ("lpips", lpips)):
        cells[name] = mean(literature, cells["weight"]) + rng.normal(0, 0.01, len(cells))
    cells["edit"] = [
        json.dumps({**json.loads(edit), "equalizer": {"red": weight}})
        for edit, weight in zip(cells["edit"], cells["weight"], strict=True)
    ]
    cells["config_id"] = cells["config_id"] + cells["weight"].astype(str)
    cells["cell_id"] = [f"cell_{at}" for at in range(len(cells))]
    metrics = tuple(metric for metric in METRICS.values() if metric.name in cells)
    cells = cells.drop(columns="weight").assign(kind="reweight")
    return Results(results.folders, cells, metrics, results.aggregates)


def test_reweighting_is_read_from_the_words_weights():
    found = verdicts(reweighted(lambda lit, w: 50 + w, lambda lit, w: 0.2 + 0.3 * (lit & (w < 0))))
    assert of(found, "The proposed values carry over") == ["confirmed"]
    assert of(found, "Negative weights") == ["confirmed"]
    found = verdicts(reweighted(lambda lit, w: 50 - w, lambda lit, w: 0.5 - 0.3 * (lit & (w < 0))))
    assert of(found, "The proposed values carry over") == ["contradicted"]
    assert of(found, "Negative weights") == ["contradicted"]


def test_what_the_proposed_values_keep_at_every_weight_says_nothing_of_negative_ones():
    found = verdicts(reweighted(lambda lit, w: 50 + w, lambda lit, w: 0.2 + 0.3 * lit))
    assert of(found, "Negative weights") == ["undecided"]


def test_reweighted_cells_do_not_speak_for_edits():
    assert not of(verdicts(reweighted(lambda lit, w: 50 + w, lambda lit, w: 0.2 + 0 * w)), "The proposed values give")


def test_one_pair_decides_nothing():
    found = contrast(pd.DataFrame({"category": "faces", "pair": "a", "seed": [0, 1], "value": [0.5, 0.6]}))
    assert found is not None
    assert found.mean == pytest.approx(0.55)
    assert found.verdict(1) == "undecided"
    assert "no interval" in str(found)


def test_nulls_are_left_out_not_counted_as_zero():
    rows = [("faces", pair, seed, 0.5 + 0.01 * at) for at, pair in enumerate("abc") for seed in (0, 1)]
    whole = pd.DataFrame(rows, columns=["category", "pair", "seed", "value"])
    holed = pd.concat([whole, whole.assign(pair="d", value=np.nan)])
    assert contrast(holed) == contrast(whole)


def test_verdicts_follow_the_expected_side():
    above = Contrast(0.2, 0.1, 0.3, 4, 2)
    assert (above.verdict(1), above.verdict(-1)) == ("confirmed", "contradicted")
    assert Contrast(0.2, -0.1, 0.5, 4, 2).verdict(1) == "undecided"


def test_findings_are_written_as_a_page(results, analysis, tmp_path):
    findings = find(results, analysis)
    write_findings(findings, analysis.notes, tmp_path)
    text = (tmp_path / "findings.md").read_text()
    assert "the embedded model draws small cartoons" in text
    for finding in findings:
        assert finding.claim in text
        assert finding.command in text
