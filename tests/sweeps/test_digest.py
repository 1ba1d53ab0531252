import json
import shutil

from p2p.loading import ModelFiles
from sweeps.digest import model_digest


def copy_of(folder, tmp_path, name):
    return shutil.copytree(folder, tmp_path / name)


def test_a_digest_follows_the_contents_and_not_the_place(tiny_pipeline, tmp_path):
    cache = tmp_path / "cache.json"
    a, b = (copy_of(tiny_pipeline, tmp_path, name) for name in "ab")
    assert model_digest(ModelFiles(a), cache) == model_digest(ModelFiles(b), cache)
    config = b / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace("0.012", "0.02"))
    assert model_digest(ModelFiles(a), cache) != model_digest(ModelFiles(b), cache)
    (a / "README.md").write_text("not a part of the model")
    assert model_digest(ModelFiles(a), cache) == model_digest(ModelFiles(tiny_pipeline), cache)


def test_a_variant_s_weights_that_lie_beside_are_not_of_the_model(tiny_pipeline, tmp_path):
    cache, folder = tmp_path / "cache.json", copy_of(tiny_pipeline, tmp_path, "model")
    digest = model_digest(ModelFiles(folder), cache)
    for name in (
        "model.fp16.safetensors",
        "model.fp16-00001-of-00002.safetensors",
        "model.safetensors.index.fp16.json",
    ):
        (folder / "text_encoder" / name).write_bytes(b"half")
    assert model_digest(ModelFiles(folder), cache) == digest
    (folder / "text_encoder" / "model-00001-of-00002.safetensors").write_bytes(b"a shard")
    assert model_digest(ModelFiles(folder), cache) != digest


def test_known_files_are_not_read_again(tiny_pipeline, tmp_path):
    cache = tmp_path / "cache" / "digests.json"
    digest = model_digest(ModelFiles(tiny_pipeline), cache)
    forged = dict.fromkeys(json.loads(cache.read_text()), "0" * 64)
    cache.write_text(json.dumps(forged))
    assert model_digest(ModelFiles(tiny_pipeline), cache) != digest


def test_a_broken_or_unwritable_cache_only_costs_time(tiny_pipeline, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text("{")
    assert model_digest(ModelFiles(tiny_pipeline), broken) == model_digest(
        ModelFiles(tiny_pipeline), tmp_path / "file" / "c.json"
    )


def test_a_checkpoint_takes_the_place_of_the_folder_s_weights(tiny_pipeline, tmp_path):
    cache = tmp_path / "cache.json"
    folder = shutil.copytree(tiny_pipeline, tmp_path / "model")
    checkpoint, lora = tmp_path / "c.safetensors", tmp_path / "l.safetensors"
    checkpoint.write_bytes(b"weights")
    lora.write_bytes(b"more weights")
    plain = model_digest(ModelFiles(folder, checkpoint), cache)
    assert model_digest(ModelFiles(folder, checkpoint, lora), cache) != plain
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"others")
    assert model_digest(ModelFiles(folder, checkpoint), cache) == plain
    checkpoint.write_bytes(b"other weights")
    assert model_digest(ModelFiles(folder, checkpoint), cache) != plain
