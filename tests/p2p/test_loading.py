import json
import os
import platform
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import DiffusionPipeline
from peft import LoraConfig, get_peft_model_state_dict
from safetensors.torch import save_file

from p2p import loading
from p2p.edits import Edit
from p2p.loading import blend_downscale, load_models, locate_model, native_size, pinned_revision, resolve_device
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import denoise, embed_streams, encode_prompts, make_scheduler, prepare_latents
from p2p.streams import Stream
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
    drawn = denoise(models, stepper, plan_streams(streams, 3), embeds, negative, latents, 5.0, 1).latents

    pipeline = DiffusionPipeline.from_pretrained(tmp_path / kind).to(torch.float64)
    pipeline.scheduler = type(stepper).from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    sized = {"height": 64, "width": 64}
    expected = pipeline(
        source.text, num_inference_steps=3, guidance_scale=5.0, latents=latents, output_type="latent", **sized
    ).images
    torch.testing.assert_close(drawn[:1], expected, rtol=1e-9, atol=1e-9)
    assert float((drawn[1] - drawn[0]).abs().max()) > 1e-3


def test_a_single_checkpoint_loads_as_the_pipeline_it_was_made_from(tokenizer, tiny_pipeline, tmp_path):
    other = shutil.copytree(tiny_pipeline, tmp_path / "config", ignore=shutil.ignore_patterns("*.safetensors"))
    save_file(pipelines.single_file(pipelines.sd1(tokenizer)), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="model.config must name the pipeline"):
        load_models(str(tmp_path / "model.safetensors"), device="cpu")
    loaded = load_models(str(tmp_path / "model.safetensors"), config=str(other), device="cpu")
    expected = load_models(str(tiny_pipeline), device="cpu")
    for part in ("unet", "vae"):
        for name, tensor in getattr(expected, part).state_dict().items():
            assert torch.equal(getattr(loaded, part).state_dict()[name], tensor), name
    a, b = (encode_prompts(models, ["a cat"]).states for models in (loaded, expected))
    assert torch.equal(a, b)


def test_a_lora_is_fused_into_the_weights(tokenizer, tiny_pipeline, tmp_path):
    pipeline = pipelines.sd1(tokenizer)
    pipeline.unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    adapter = get_peft_model_state_dict(pipeline.unet)
    type(pipeline).save_lora_weights(tmp_path, unet_lora_layers=adapter, weight_name="style.safetensors")
    plain = load_models(str(tiny_pipeline), device="cpu")
    styled = load_models(str(tiny_pipeline), lora=str(tmp_path / "style.safetensors"), device="cpu")
    assert styled.unet.state_dict().keys() == plain.unet.state_dict().keys()
    changed = {n for n, t in plain.unet.state_dict().items() if not torch.equal(styled.unet.state_dict()[n], t)}
    assert changed
    assert all(name.endswith(("to_q.weight", "to_v.weight")) for name in changed)


@pytest.mark.parametrize("name", ["model.ckpt", "model.pt"])
def test_checkpoints_that_can_run_code_are_refused(name):
    with pytest.raises(ValueError, match="only .safetensors files are read"):
        locate_model(name)


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
    with pytest.raises(
        FileNotFoundError, match=r"couldn't connect to the hub\); its cache here lacks model_index.json.*p2p-prefetch"
    ):
        locate_model("someone/some-model")


@pytest.mark.parametrize("error", [OSError("no route"), RuntimeError("proxy")])
def test_a_commit_in_the_hub_s_cache_needs_no_network(tiny_pipeline, tmp_path, monkeypatch, error):
    """Workers are told the commit that the command found, and do not ask what the branch is by now."""
    commit = "0123456789" * 4
    folder = shutil.copytree(tiny_pipeline, tmp_path / "models--some--one/snapshots" / commit)

    def cached(hub_id, name, revision):
        return str(folder / name) if (folder / name).is_file() and revision == commit else None

    def unreachable(*arguments, **options):
        raise error

    monkeypatch.setattr(loading, "try_to_load_from_cache", cached)
    monkeypatch.setattr(DiffusionPipeline, "download", unreachable)
    found = locate_model("some/one", revision=commit)
    assert (found.folder, pinned_revision(found)) == (folder, commit)
    assert pinned_revision(locate_model(str(tiny_pipeline))) is None
    with pytest.raises(FileNotFoundError, match=f"nor to be had from the hub \\({error}\\)"):
        locate_model("some/one", revision="main")
    shutil.rmtree(folder / "unet")
    with pytest.raises(FileNotFoundError, match="its cache here lacks unet/config.json"):
        locate_model("some/one", revision=commit)


def test_pickled_weights_are_not_read(tiny_pipeline, tmp_path):
    folder = shutil.copytree(tiny_pipeline, tmp_path / "model")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    torch.save({}, folder / "unet" / "diffusion_pytorch_model.bin")
    weights.unlink()
    with pytest.raises(OSError, match="safetensors"):
        load_models(str(folder), device="cpu")


def test_the_blend_resolution_is_that_of_cross_attention_layers():
    cross, plain = "CrossAttnDownBlock2D", "DownBlock2D"
    sd1, xl = (
        {"down_block_types": kinds, "sample_size": 64} for kinds in ((*[cross] * 3, plain), (plain, cross, cross))
    )
    assert blend_downscale(sd1, None) == blend_downscale(xl, None) == 4
    assert blend_downscale(sd1, 64) == 1
    with pytest.raises(ValueError, match="that the model has, 64, 32, 16, got 8"):
        blend_downscale(sd1, 8)
    with pytest.raises(ValueError, match="that the model has, 16, 8, got null, which is 4"):
        blend_downscale({"down_block_types": (cross, cross, plain), "sample_size": 16}, None)


def test_devices_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="model.device"):
        resolve_device("gpu")
    with pytest.raises(ValueError, match="model.device=cuda:99"):
        resolve_device("cuda:99")


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_a_model_on_the_cpu_has_the_process_keep_the_memory_that_tensors_free(tiny_pipeline):
    load_models(str(tiny_pipeline), device="cpu")
    size = 64 << 20
    tensor = torch.ones(size, dtype=torch.uint8)
    before = resident_bytes()
    del tensor
    assert before - resident_bytes() < size / 2


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
