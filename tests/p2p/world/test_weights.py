from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from diffusers import StableDiffusionPipeline

from p2p.world.captions import vocabulary
from p2p.world.networks import AttributeClassifier, IdentityEncoder, WorldLPIPS
from p2p.world.scenes import CATEGORIES, FACTORS
from p2p.world.training.data import HELD_OUT_SEED, sample_scenes
from p2p.world.training.evaluate import draw
from p2p.world.training.export import load_network
from p2p.world.training.tokenizer import build_tokenizer

WEIGHTS = Path(__file__).parents[3] / "p2p" / "world" / "weights"


def test_every_world_word_is_one_token_and_any_text_is_encoded() -> None:
    tokenizer = build_tokenizer()
    for word in vocabulary():
        assert len(tokenizer(word).input_ids) == 3  # start, word, end
    assert "zebra" in tokenizer.decode(tokenizer("a zebra on Mars \N{SNOWMAN}").input_ids)


def test_the_shipped_tokenizer_is_the_built_one() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(WEIGHTS, torch_dtype=torch.float32)
    text = "a smiling woman's face with blond hair and a zebra"
    assert pipeline.tokenizer(text).input_ids == build_tokenizer()(text).input_ids
    assert pipeline.tokenizer.model_max_length == 32


def test_the_pipeline_generates_the_same_picture_for_the_same_seed() -> None:
    pipeline = StableDiffusionPipeline.from_pretrained(WEIGHTS, torch_dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    first, second = (
        pipeline(
            "a cat on the grass", num_inference_steps=4, generator=torch.Generator().manual_seed(0), output_type="np"
        )
        for _ in range(2)
    )
    assert first.images.shape == (1, 128, 128, 3)
    np.testing.assert_array_equal(first.images, second.images)


def test_the_classifier_reads_drawn_pictures() -> None:
    classifier = load_network(AttributeClassifier, WEIGHTS / "classifier")
    scenes = sample_scenes(20, HELD_OUT_SEED + 9)
    images = draw(scenes)
    assert classifier.predict_category(images) == [scene.category for scene in scenes]
    for category in CATEGORIES:
        rows = [row for row, scene in enumerate(scenes) if scene.category == category]
        predicted = classifier.predict(images[rows], category)
        assert predicted.keys() == FACTORS[category].keys()
        for factor, values in predicted.items():
            assert values == [scenes[row].factors[factor] for row in rows]
    with pytest.raises(ValueError, match="category must be one of"):
        classifier.predict(images, "planets")


def test_the_identity_encoder_sees_the_person_behind_the_hat() -> None:
    encoder = load_network(IdentityEncoder, WEIGHTS / "identity")
    people = [scene for scene in sample_scenes(30, HELD_OUT_SEED + 9) if scene.category == "faces"]
    before, after = encoder(draw(people)), encoder(draw([person.replace(hat="red", mood="sad") for person in people]))
    torch.testing.assert_close(before.norm(dim=1), torch.ones(len(people)))
    similarity = before @ after.T
    assert (similarity.argmax(1) == torch.arange(len(people))).all()


def test_the_perceptual_distance_is_zero_for_equal_pictures_and_grows_with_change() -> None:
    distance = load_network(WorldLPIPS, WEIGHTS / "perceptual")
    scene = next(scene for scene in sample_scenes(1, HELD_OUT_SEED) if scene.category == "faces")
    scenes = [scene.replace(glasses="none", hat="none")] * 3
    others = [scenes[0], scenes[0].replace(glasses="glasses"), scenes[0].replace(glasses="glasses", hat="red")]
    values = distance(draw(scenes) * 2 - 1, draw(others) * 2 - 1)
    assert values.shape == (3, 1, 1, 1)
    same, little, much = values.flatten().tolist()
    assert same == 0
    assert 0 < little < much


def test_the_image_text_model_tells_captions_apart() -> None:
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{WEIGHTS / 'clip'}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{WEIGHTS / 'clip'}")
    captions = [
        "a woman's face",
        "a red sofa in a living room",
        "a cat on the grass",
        "a pizza on a plate",
        "a red car",
    ]
    scenes = [
        scene.replace(**changes)
        for scene, changes in zip(
            sample_scenes(5, HELD_OUT_SEED + 9),
            [
                {"gender": "woman", "glasses": "none", "hat": "none", "mood": "neutral"},
                {"furniture": "sofa", "color": "red", "decor": "none"},
                {"animal": "cat", "ground": "grass", "time": "day"},
                {"dish": "pizza", "topping": "none", "surface": "plate"},
                {"vehicle": "car", "color": "red", "time": "day"},
            ],
            strict=True,
        )
    ]
    with torch.no_grad():
        scores = model.eval().encode_image(draw(scenes) * 2 - 1) @ model.encode_text(tokenizer(captions)).T
    assert (scores.argmax(1) == torch.arange(5)).all()


def test_all_weights_stay_small() -> None:
    files = list(WEIGHTS.rglob("*.safetensors"))
    assert len(files) == 9
    assert sum(path.stat().st_size for path in files) <= 40e6
