import dataclasses
import statistics

import pandas as pd
import pytest
import torch

from metrics.loading import MetricsConfig, RealismConfig, load_networks
from metrics.score import Score
from sweeps import aggregates, realism
from sweeps.aggregates import ALL, check_reference, read_aggregates, write_aggregates
from sweeps.store import Store
from tests.metrics.conftest import picture, weights, world_config  # noqa: F401
from tests.sweeps.frames import row

NONE = MetricsConfig()


@pytest.fixture
def store(tmp_path) -> Store:
    store = Store(tmp_path / "sweep")
    store.prepare()
    return store


def fill(
    store: Store, values: dict[tuple[str, str, int], float | str], metric: str = "lpips", version: int = 1
) -> None:
    """Cells by category, pair and seed with a score each: a value, or why there is none."""
    rows, scores = [], []
    for (category, pair, seed), value in values.items():
        name = f"{category} {pair} {seed}"
        rows.append(row(cell_id=name, config_id="c", category=category, pair=pair, seed=seed))
        found = (None, value) if isinstance(value, str) else (value, None)
        scores.append(Score(name, metric, version, "alex", *found))
    store.append_edits("part", rows)
    store.append_scores("part", scores)


def by_category(table: pd.DataFrame, metric: str) -> dict[str, tuple]:
    rows = table[table["metric"] == metric].astype(object)
    rows = rows.where(rows.notna(), None)
    return {one.category: (one.value, one.n, one.reason) for one in rows.itertuples(index=False)}


def test_robustness_is_the_spread_over_seeds_averaged_over_pairs(store) -> None:
    faces = {("faces", "a", 0): 0.1, ("faces", "a", 1): 0.4, ("faces", "b", 0): 0.9, ("faces", "b", 1): 0.8}
    food = {("food", "c", 0): 5.0, ("food", "c", 1): 7.0, ("food", "d", 0): 100.0, ("food", "d", 1): "no_change"}
    fill(store, faces | food)
    spreads = [statistics.stdev(pair) for pair in ((0.1, 0.4), (0.9, 0.8), (5.0, 7.0))]
    found = by_category(write_aggregates(store, NONE), "robustness_lpips")
    assert found == {
        "faces": (pytest.approx(statistics.mean(spreads[:2])), 2, None),
        "food": (pytest.approx(spreads[2]), 1, None),
        ALL: (pytest.approx((statistics.mean(spreads[:2]) + spreads[2]) / 2), 3, None),
    }


def test_without_two_seeds_or_without_values_it_is_null_with_a_reason(store) -> None:
    fill(
        store,
        {("faces", "a", 0): 0.1, ("faces", "b", 1): 0.2, ("food", "c", 0): "no_face", ("food", "c", 1): "no_face"},
    )
    assert by_category(write_aggregates(store, NONE), "robustness_lpips") == {
        "faces": (None, 0, "one_seed"),
        "food": (None, 0, "no_value"),
        ALL: (None, 0, "one_seed"),
    }


def test_cells_that_failed_count_nowhere(store) -> None:
    fill(store, {("faces", "a", 0): 0.1, ("faces", "a", 1): 0.4})
    failed = row(cell_id="faces a 1", config_id="c", pair="a", seed=1, status="failed")
    store.append_edits("retried", [failed | {"created_at": pd.Timestamp("2026-02-01", tz="UTC")}])
    assert by_category(write_aggregates(store, NONE), "robustness_lpips")["faces"] == (None, 0, "one_seed")


def test_the_detection_rate_is_of_faces_that_were_judged(store) -> None:
    faces = {("faces", "a", seed): value for seed, value in enumerate([0.1, 0.2, "no_face", "wrong_size"])}
    fill(store, faces | {("food", "b", 0): "not_a_face"}, "identity_distance")
    assert by_category(write_aggregates(store, NONE), "face_detection_rate") == {
        "faces": (pytest.approx(2 / 3), 3, None)
    }


def test_only_what_is_new_is_appended_and_the_newest_counts(store) -> None:
    fill(store, {("faces", "a", 0): 0.1, ("faces", "a", 1): 0.4})
    first = write_aggregates(store, NONE)
    pd.testing.assert_frame_equal(write_aggregates(store, NONE), first)
    parts = sorted((store.folder / "aggregates").iterdir())
    assert len(parts) == 1
    fill(store, {("faces", "b", 0): 0.1, ("faces", "b", 1): 0.1})
    assert by_category(write_aggregates(store, NONE), "robustness_lpips")["faces"][1] == 2
    assert len(list((store.folder / "aggregates").iterdir())) == 2
    assert parts[0].exists()


def test_a_sweep_without_aggregates_reads_as_empty(store) -> None:
    assert list(read_aggregates(store.folder).columns) == aggregates.SCHEMA.names
    assert read_aggregates(store.folder).empty
    store.append_edits("part", [row()])
    assert write_aggregates(store, NONE).empty
    assert not (store.folder / "aggregates").exists()


def draw(store: Store, seeds: range, prompts: int, first: int, **changes) -> None:
    """Cells with pictures: one an edit of each prompt and seed."""
    rows = []
    for prompt in range(prompts):
        for seed in seeds:
            name = f"{prompt} {seed}"
            paths = {
                f"{kind}_image": store.save_picture(kind, f"{prompt}-{seed}", picture(first + 7 * prompt + seed, 32))
                for kind in ("source", "target")
            }
            text = {"source_prompt": f"source {prompt}", "target_prompt": f"target {prompt}", "pair": str(prompt)}
            rows.append(row(cell_id=name, config_id="c", seed=seed, **text, **paths, **changes))
    store.append_edits("drawn", rows)


@pytest.fixture
def pictures(store, tmp_path, world_config, monkeypatch) -> tuple[Store, Store, MetricsConfig]:  # noqa: F811
    """A sweep with 12 edits, a reference with 12 plain pictures of the same prompts, and the settings."""
    monkeypatch.setattr(realism, "LEAST", 12)
    monkeypatch.setattr("metrics.realism.LEAST", 12)
    monkeypatch.setattr("metrics.realism.SUBSET_SIZE", 6)
    reference = Store(tmp_path / "generation")
    reference.prepare()
    draw(store, range(3), 4, first=0)
    draw(reference, range(2, 6), 4, 900, k=None, cross=0.0, self_=0.0)
    config = dataclasses.replace(world_config, realism=RealismConfig(str(reference.folder)))
    return store, reference, config


def test_realism_holds_edits_against_plain_pictures_of_the_target_prompts_from_other_seeds(pictures) -> None:
    store, reference, config = pictures
    edited = [store.load_picture(path) for path in store.edits()["target_image"]]
    others = reference.edits().query("seed > 2")["target_image"]
    clip = load_networks(dataclasses.replace(config, names=("clip_score",)), "cpu").clip
    with torch.inference_mode():
        features = [
            clip.embed_images(torch.stack(part)) for part in (edited, [reference.load_picture(p) for p in others])
        ]
    expected = realism.realism(*features)
    rows = write_aggregates(store, config)
    found = by_category(rows, "realism")
    assert aggregates.realism_in_words(rows) == ["realism of 1 of 1 configurations is in aggregates/"]
    assert found == {name: (pytest.approx(expected, abs=1e-7), 12, None) for name in ("faces", ALL)}


def test_the_same_realism_is_not_stored_twice(pictures) -> None:
    store, _, config = pictures
    first = write_aggregates(store, config)
    parts = list((store.folder / "aggregates").iterdir())
    pd.testing.assert_frame_equal(write_aggregates(store, config), first)
    assert list((store.folder / "aggregates").iterdir()) == parts


def test_too_few_pictures_give_null(pictures, monkeypatch) -> None:
    store, _, config = pictures
    monkeypatch.setattr(realism, "LEAST", 13)
    rows = write_aggregates(store, config)
    assert by_category(rows, "realism")[ALL] == (None, 12, "too_few")
    assert "; the others have too few pictures, 12 at most a side" in aggregates.realism_in_words(rows)[0]


def test_edits_that_control_something_are_not_plain(tmp_path) -> None:
    reference = Store(tmp_path / "edits")
    reference.prepare()
    draw(reference, range(2), 3, 0)
    plain = realism.plain_pictures(reference)
    assert set(plain["prompt"]) == {"source 0", "source 1", "source 2"}
    assert len(plain) == 6


def test_a_reference_without_pictures_or_a_network_is_refused(tmp_path, world_config) -> None:  # noqa: F811
    away = RealismConfig(str(tmp_path / "away"))
    with pytest.raises(ValueError, match="metrics.realism.reference=.*away: no plain pictures .* p2p-sweep -m"):
        check_reference(dataclasses.replace(world_config, realism=away))
    with pytest.raises(ValueError, match="metrics.realism.reference needs metrics.networks.clip"):
        check_reference(MetricsConfig(realism=away))
