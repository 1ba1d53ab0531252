import dataclasses
import math

import pytest
import torch

from metrics.networks import Networks
from metrics.registry import METRICS, Null
from metrics.score import Score, score_edits
from tests.metrics.conftest import edit, picture

PIXELS = ["ssim", "psnr", "mse"]
CYCLE = ["cycle_lpips", "cycle_ssim", "cycle_mse"]


def scores(edits, names, networks) -> dict[str, Score]:
    """By metric, of one edit."""
    return {score.metric: score for score in score_edits(edits, names, networks)}


def reasons(one, names, networks) -> dict[str, str | None]:
    return {name: score.reason for name, score in scores([one], names, networks).items()}


def test_every_metric_scores_an_edit_of_a_face(networks):
    found = scores([edit()], list(METRICS), networks)
    assert list(found) == list(METRICS)
    assert all(score.reason is None and math.isfinite(score.value) for score in found.values()), found


def test_scores_name_version_and_network(networks):
    found = scores([edit()], ["clip_score", "lpips", "identity_distance", "ssim", "attribute_kept"], networks)
    names = {name: score.network for name, score in found.items()}
    assert names == {
        "clip_score": "world-clip",
        "lpips": "world-lpips",
        "identity_distance": "world-identity",
        "ssim": "none",
        "attribute_kept": "world-classifier",
    }
    assert all(score.metric_version == METRICS[name].version for name, score in found.items())


def test_lpips_reads_pictures_in_minus_1_to_1(networks):
    one = edit()
    source, target = (picture.float()[None] / 127.5 - 1 for picture in (one.source, one.target))
    with torch.no_grad():
        expected = float(networks.lpips.module(source, target))
    assert expected > 0
    assert scores([one], ["lpips"], networks)["lpips"].value == pytest.approx(expected, rel=1e-5)


def test_clip_metrics_are_cosines_of_the_models_own_embeddings(networks):
    one, clip = edit(), networks.clip
    with torch.no_grad():
        before, after = (clip.model.encode_image(p.float()[None] / 127.5 - 1) for p in (one.source, one.target))
        texts = clip.model.encode_text(clip.tokenize([one.source_prompt, one.target_prompt]))
    unit = torch.nn.functional.normalize
    before, after, texts = unit(before)[0], unit(after)[0], unit(texts)
    found = scores([one], ["clip_score", "clip_directional"], networks)
    expected = torch.cosine_similarity(after - before, texts[1] - texts[0], dim=0)
    assert found["clip_score"].value == pytest.approx(max(0, 100 * float(after @ texts[1])), abs=1e-3)
    assert found["clip_directional"].value == pytest.approx(float(expected), abs=1e-3)


def test_identity_is_the_encoders_cosine_distance(networks):
    one = edit()
    with torch.no_grad():
        a, b = networks.identity.embed(torch.stack([one.source, one.target]))
    found = scores([one], ["identity_distance"], networks)["identity_distance"]
    assert found.value == pytest.approx(1 - float(a @ b), abs=1e-5)


def test_equal_pictures_are_ideal_and_infinity_is_null(networks):
    same = edit(target=picture(1), cycle=picture(1))
    found = scores([same], list(METRICS), networks)
    assert {name: found[name].value for name in ("lpips", "mse", "cycle_lpips", "cycle_mse")} == {
        "lpips": 0, "mse": 0, "cycle_lpips": 0, "cycle_mse": 0,
    }  # fmt: skip
    assert found["ssim"].value == pytest.approx(1)
    assert found["cycle_ssim"].value == pytest.approx(1)
    assert found["identity_distance"].value == pytest.approx(0, abs=1e-6)
    assert found["attribute_kept"].value == 1
    assert (found["psnr"].value, found["psnr"].reason) == (None, "identical")
    assert (found["clip_directional"].value, found["clip_directional"].reason) == (None, "no_change")


def test_a_picture_equal_to_its_source_is_ideal_among_others_too(networks):
    source = picture(1)
    group = [edit(cell_id=f"{i}", source=source, target=picture(i), cycle=picture(8 - i)) for i in range(8)]
    names = ["lpips", "mse", "cycle_lpips", "cycle_mse", "psnr", "ssim", "cycle_ssim"]
    found = {(score.cell_id, score.metric): score for score in score_edits(group, names, networks)}
    edited, undone = "1", "7"
    assert [found[edited, name].value for name in ("lpips", "mse")] == [0, 0]
    assert [found[undone, name].value for name in ("cycle_lpips", "cycle_mse")] == [0, 0]
    assert found[edited, "psnr"].reason == "identical"
    assert found[edited, "ssim"].value == pytest.approx(1)
    assert found[undone, "cycle_ssim"].value == pytest.approx(1)


def test_reweighting_has_no_direction_no_success_and_no_reverse(networks):
    prompt = "a woman's face with red hair"
    one = edit(kind="reweight", source_prompt=prompt, target_prompt=prompt, cycle=None)
    assert reasons(one, ["clip_directional", "attribute_success", *CYCLE], networks) == {
        "clip_directional": "same_prompt",
        "attribute_success": "reweight",
        **dict.fromkeys(CYCLE, "no_reverse"),
    }


def test_without_cycle_there_is_no_cycle_score(networks):
    one = edit(cycle=None, cycle_mode="none")
    assert reasons(one, CYCLE, networks) == dict.fromkeys(CYCLE, "no_cycle")


def test_identity_is_of_faces_only(networks):
    one = edit(category="food", source_prompt="a pizza", target_prompt="a burger")
    assert reasons(one, ["identity_distance"], networks) == {"identity_distance": "not_a_face"}


def test_world_networks_do_not_judge_pictures_of_another_size(networks):
    one = edit(source=picture(1, 64), target=picture(2, 64), cycle=None)
    names = ["identity_distance", "attribute_success", "attribute_kept"]
    assert reasons(one, names, networks) == dict.fromkeys(names, "wrong_size")


def test_too_long_prompt_has_no_clip_score(networks):
    one = edit(target_prompt="a red hat and " * 12)
    names = ["clip_score", "clip_directional"]
    assert reasons(one, names, networks) == dict.fromkeys(names, "too_long_prompt")
    assert reasons(edit(target_prompt="a red hat " * 10), ["clip_score"], networks) == {"clip_score": None}


def test_every_reason_is_declared_by_its_metric(networks):
    prompt = "a woman's face with red hair"
    odd = [
        edit(target=picture(1), cycle=None, cycle_mode="none"),
        edit(kind="reweight", source_prompt=prompt, target_prompt=prompt, cycle=None),
        edit(category="food", source_prompt="a pizza", target_prompt="a red car", cycle=picture(1)),
        edit(source=picture(1, 64), target=picture(2, 64), cycle=picture(3, 64), target_prompt="hat " * 40),
    ]
    for score in score_edits(odd, list(METRICS), networks):
        assert score.reason is None or Null(score.reason) in METRICS[score.metric].nulls, score


def test_scores_do_not_depend_on_companions(networks):
    source = picture(1)
    group = [edit(cell_id=f"cell {i}", source=source, target=picture(10 + i), cycle=picture(20 + i)) for i in range(5)]
    together = {(s.cell_id, s.metric): s.value for s in score_edits(group, list(METRICS), networks, batch_size=3)}
    for one in group:
        for score in score_edits([one], list(METRICS), networks):
            assert together[score.cell_id, score.metric] == pytest.approx(score.value, rel=1e-4, abs=1e-5)


def test_pictures_of_several_sizes_score_as_alone(networks):
    edits = [edit(cell_id=str(size), **sized(size)) for size in (128, 64, 128)]
    values = [score.value for score in score_edits(edits, ["lpips", "ssim"], networks)]
    alone = [
        score.value for name in ("lpips", "ssim") for one in edits for score in score_edits([one], [name], networks)
    ]
    assert values == pytest.approx(alone, rel=1e-4)


def sized(size: int) -> dict:
    return {"source": picture(1, size), "target": picture(2, size), "cycle": None}


def test_a_shared_source_and_a_prompt_are_embedded_once(networks):
    seen: dict[str, int] = {"images": 0, "texts": 0}

    class Counting:
        context_length = networks.clip.model.context_length

        def encode_image(self, images):
            seen["images"] += len(images)
            return networks.clip.model.encode_image(images)

        def encode_text(self, tokens):
            seen["texts"] += len(tokens)
            return networks.clip.model.encode_text(tokens)

    counted = dataclasses.replace(networks, clip=dataclasses.replace(networks.clip, model=Counting()))
    source = picture(1)
    group = [edit(source=source, target=picture(10 + i)) for i in range(4)]
    score_edits(group, ["clip_score", "clip_directional"], counted)
    assert seen == {"images": 5, "texts": 2}


def test_nan_is_never_a_value(networks):
    broken = dataclasses.replace(networks.lpips, module=lambda a, b: torch.full((len(a), 1, 1, 1), float("nan")))
    found = scores([edit()], ["lpips"], dataclasses.replace(networks, lpips=broken))["lpips"]
    assert (found.value, found.reason) == (None, "undefined")


def test_pixel_metrics_need_no_networks():
    assert all(score.value is not None for score in score_edits([edit()], PIXELS, Networks()))


def test_a_metric_without_its_network_is_refused():
    with pytest.raises(ValueError, match="no clip network is loaded; give metrics.networks.clip"):
        score_edits([edit()], ["clip_score"], Networks())


def test_no_edits_and_no_metrics_give_no_scores(networks):
    assert score_edits([], list(METRICS), networks) == []
    assert score_edits([edit()], [], networks) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": picture(2).float() / 255}, r"cell cell: target: expected uint8 \(3, height, width\), got float32"),
        ({"source": picture(1)[None]}, r"source: expected uint8 .* got uint8 \(1, 3, 128, 128\)"),
        ({"target": picture(2, 64)}, r"source and target of one shape, got \(3, 128, 128\) and \(3, 64, 64\)"),
    ],
)
def test_pictures_that_are_not_as_stored_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        score_edits([edit(**changes)], ["ssim"], Networks())
