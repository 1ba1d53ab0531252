import json
import shutil

import pytest
import torch
from diffusers import DiffusionPipeline

from p2p.edits import Edit
from p2p.loading import blend_downscale, load_models, locate_model, native_size, resolve_device
from p2p.prompts import tokenize
from p2p.sampling import denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import Stream, compile_streams
from tests import pipelines


@pytest.mark.parametrize(("kind", "scheduler"), [("sd1", "ddim"), ("sd2", "ddim"), ("sdxl", "euler")])
def test_each_architecture_loads_and_its_source_equals_diffusers(tokenizer, tmp_path, kind, scheduler):
    getattr(pipelines, kind)(tokenizer).save_pretrained(tmp_path / kind)
    models = load_models(str(tmp_path / kind), dtype="float64", device="cpu")
    source, target = tokenize(models.tokenizer, "a cat on the grass"), tokenize(models.tokenizer, "a dog on the grass")
    streams = [Stream(source), Stream(target, 0, Edit(k=0.3, v_inject_steps=0.5).resolve(source, target))]
    embeds, negative = embed_streams(models, [source, target], "")
    latents = prepare_latents(models, 3, 64, 64)
    stepper = make_scheduler(models, scheduler, 3)
    drawn = denoise(models, stepper, compile_streams(streams, 3), embeds, negative, latents, 5.0, 1).latents

    pipeline = DiffusionPipeline.from_pretrained(tmp_path / kind).to(torch.float64)
    pipeline.scheduler = type(stepper).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    sized = {"height": 64, "width": 64}
    expected = pipeline(
        source.text, num_inference_steps=3, guidance_scale=5.0, latents=latents, output_type="latent", **sized
    ).images
    torch.testing.assert_close(drawn[:1], expected, rtol=1e-9, atol=1e-9)
    assert float((drawn[1] - drawn[0]).abs().max()) > 1e-3


def test_the_native_size_is_that_of_the_training(tiny_pipeline):
    assert native_size(tiny_pipeline) == 64


def test_a_folder_without_its_parts_is_refused_naming_them(tiny_pipeline, tmp_path):
    folder = shutil.copytree(tiny_pipeline, tmp_path / "model")
    shutil.rmtree(folder / "vae")
    with pytest.raises(FileNotFoundError, match="lacks vae/config.json"):
        locate_model(str(folder))
    with pytest.raises(FileNotFoundError, match="does not exist"):
        locate_model(str(tmp_path / "nowhere"))


def test_a_pipeline_of_another_kind_is_refused(tiny_pipeline, tmp_path):
    folder = shutil.copytree(tiny_pipeline, tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": "FluxPipeline"}))
    with pytest.raises(ValueError, match="a FluxPipeline cannot be edited"):
        locate_model(str(folder))


def test_a_hub_id_that_cannot_be_fetched_says_what_to_do(monkeypatch, tmp_path):
    def offline(*arguments, **options):
        raise OSError("We couldn't connect to the hub\nmore")

    monkeypatch.setattr(DiffusionPipeline, "download", offline)
    with pytest.raises(FileNotFoundError, match=r"couldn't connect to the hub\); run once on a machine with network"):
        locate_model("someone/some-model")


def test_pickled_weights_are_not_read(tiny_pipeline, tmp_path):
    folder = shutil.copytree(tiny_pipeline, tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_models(str(folder), device="cpu")


def test_the_blend_resolution_divides_the_latents():
    assert blend_downscale(64, None) == 4
    assert blend_downscale(16, 16) == 1
    with pytest.raises(ValueError, match="must divide"):
        blend_downscale(64, 20)


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="model.device"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="model.device=cuda:99"):
        resolve_device("cuda:99")
