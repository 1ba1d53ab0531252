"""PIE-Bench's metrics against few-line implementations of their written definitions."""

import json
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torchvision
import yaml
from scipy.ndimage import correlate1d
from torch import nn
from torchmetrics.image.lpip import LearnedPerceptualImagePatchSimilarity
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, ViTConfig, ViTModel

import conf
from metrics.loading import MetricsConfig
from metrics.pie import PIE_METRICS, PieEdit, PieNetworks, decode_mask, score_pie, take_edit
from metrics.pie_loading import PieConfig, is_pie, load_pie_networks
from metrics.structure import self_similarity, structure_distance
from sweeps.pie_bench import read_mapping
from tests.metrics.conftest import picture

SQUARE = [row * 512 + 100 for row in range(100, 300)]


@pytest.fixture(scope="module")
def edit() -> PieEdit:
    mask = decode_mask([number for start in SQUARE for number in (start, 250)])
    return PieEdit(picture(1, 512), picture(2, 512), mask, "a red dog")


def value(name: str, edit: PieEdit, networks: PieNetworks | None = None) -> float | None:
    return score_pie(edit, [name], networks or PieNetworks())[name]


def outside(edit: PieEdit) -> list[np.ndarray]:
    """Source and edit in [0, 1], float64 (3, 512, 512), black inside the mask by its written definition."""
    keep = np.ones((512, 512))
    keep[100:300, 100:350] = 0
    keep[[0, -1], :] = keep[:, [0, -1]] = 0
    return [image.numpy().astype(float) / 255 * keep for image in (edit.source, edit.edited)]


def test_masks_are_runs_over_rows_with_the_border_in():
    mask = decode_mask([512 * 3 + 10, 5, 512 * 512 - 600, 9999])
    expected = np.zeros(512 * 512, bool)
    expected[512 * 3 + 10 : 512 * 3 + 15] = expected[-600:] = True
    expected = expected.reshape(512, 512)
    expected[[0, -1], :] = expected[:, [0, -1]] = True
    assert (mask.numpy() == expected).all()


@pytest.mark.parametrize("runs", [[1], [1, -2], [0.5, 1], [512 * 512, 1], "12", None, [True, 1]])
def test_malformed_masks_are_refused(runs):
    with pytest.raises(ValueError, match="the mask"):
        decode_mask(runs)


def test_mse_and_psnr_are_over_all_pixels(edit):
    source, edited = outside(edit)
    mse = ((source - edited) ** 2).sum() / (3 * 512 * 512)
    assert value("pie_mse", edit) == pytest.approx(mse, rel=1e-5)
    assert value("pie_psnr", edit) == pytest.approx(10 * np.log10(1 / mse), rel=1e-5)


def test_ssim_is_the_formula_on_masked_pictures(edit):
    a, b = outside(edit)
    window = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    window /= window.sum()

    def blur(image):
        return correlate1d(correlate1d(image, window, 1, mode="mirror"), window, 2, mode="mirror")

    means, squares = (blur(a), blur(b)), (blur(a * a), blur(b * b))
    spread = [square - mean**2 for square, mean in zip(squares, means, strict=True)]
    both = blur(a * b) - means[0] * means[1]
    c1, c2 = 0.01**2, 0.03**2
    top = (2 * means[0] * means[1] + c1) * (2 * both + c2)
    ssim = top / ((means[0] ** 2 + means[1] ** 2 + c1) * (spread[0] + spread[1] + c2))
    assert value("pie_ssim", edit) == pytest.approx(ssim.mean(), abs=1e-4)


def test_an_empty_region_has_no_value(edit):
    whole = PieEdit(edit.source, edit.edited, torch.ones(512, 512, dtype=torch.bool), "")
    names = ["pie_psnr", "pie_mse", "pie_ssim"]
    assert score_pie(whole, names, PieNetworks()) == dict.fromkeys(names)


def test_of_a_strip_the_lower_right_picture_is_taken(edit):
    strip = torch.zeros(3, 600, 2048, dtype=torch.uint8)
    strip[:, -512:, -512:] = edit.edited
    assert torch.equal(take_edit(strip), edit.edited)
    for size in ((256, 256), (1024, 1024), (512, 300)):
        with pytest.raises(ValueError, match="must be 512 x 512 or a strip"):
            take_edit(torch.zeros(3, *size, dtype=torch.uint8))


@pytest.fixture(scope="module")
def saved(tmp_path_factory, tokenizer) -> Path:
    """The architectures small and with random weights, saved as the real ones are."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pie")
    torch.save(torchvision.models.squeezenet1_1(weights=None).state_dict(), folder / "squeezenet.pth")
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**sizes, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.eos_token_id}
    clip = CLIPModel(CLIPConfig(text_config=text, vision_config={**sizes, "patch_size": 32}, projection_dim=8))
    clip.visual_projection.weight.data *= -30  # as it falls out, the cosines are then above 0
    clip.save_pretrained(folder / "clip")
    CLIPProcessor(CLIPImageProcessor(), tokenizer).save_pretrained(folder / "clip")
    deep = {**sizes, "hidden_size": 24, "num_attention_heads": 3, "num_hidden_layers": 12, "patch_size": 8}
    vit = ViTModel(ViTConfig(**deep, initializer_range=0.3), add_pooling_layer=False)
    vit.save_pretrained(folder / "dino")
    return folder


@pytest.fixture(scope="module")
def networks(saved) -> PieNetworks:
    values = yaml.safe_load((Path(conf.__file__).parent / "metrics/pie.yaml").read_text())
    for kind, name in (("lpips", "squeezenet.pth"), ("clip", "clip"), ("structure", "dino")):
        values["networks"][kind]["path"] = str(saved / name)
    return load_pie_networks(PieConfig.from_mapping(values), "cpu")


def test_lpips_is_torchmetrics_scaled_after_masking(edit, networks, saved, monkeypatch):
    trunk = torchvision.models.squeezenet1_1(weights=None)
    trunk.load_state_dict(torch.load(saved / "squeezenet.pth"))
    monkeypatch.setattr(torchvision.models, "squeezenet1_1", lambda weights: trunk)
    metric = LearnedPerceptualImagePatchSimilarity(net_type="squeeze")
    a, b = (torch.tensor(image, dtype=torch.float32)[None] * 2 - 1 for image in outside(edit))
    assert value("pie_lpips", edit, networks) == pytest.approx(float(metric(b, a)), rel=1e-4)


def test_clip_is_the_models_own_cosine_cut_at_0(edit, networks, saved):
    model, processor = CLIPModel.from_pretrained(saved / "clip"), CLIPProcessor.from_pretrained(saved / "clip")
    found = []
    for name, image in (("pie_clip_whole", edit.edited), ("pie_clip_edited", edit.edited * edit.mask)):
        for prompt in ("a red dog", "a blue car at night"):
            given = processor(text=[prompt], images=[image], return_tensors="pt", padding=True)
            with torch.inference_mode():
                cosine = float(model(**given).logits_per_image / model.logit_scale.exp())
            case = PieEdit(edit.source, edit.edited, edit.mask, prompt)
            assert value(name, case, networks) == pytest.approx(max(100 * cosine, 0), abs=1e-3)
            found.append(cosine)
    assert any(cosine > 0 for cosine in found)


def timm_twin(model: ViTModel) -> nn.Module:
    """The same weights in timm's transformer, which has queries, keys and values in one projection as DINO's has."""
    twin = timm.models.VisionTransformer(
        patch_size=8, embed_dim=24, depth=12, num_heads=3, mlp_ratio=16 / 24, num_classes=0
    )
    own, state = twin.state_dict(), {k.replace("encoder.layer.", "layers."): v for k, v in model.state_dict().items()}
    own["cls_token"], own["pos_embed"] = state["embeddings.cls_token"], state["embeddings.position_embeddings"]
    pairs = {"norm1": "layernorm_before", "norm2": "layernorm_after", "attn.proj": "attention.o_proj"}
    pairs |= {"mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
    for end in ("weight", "bias"):
        own[f"patch_embed.proj.{end}"] = state[f"embeddings.patch_embeddings.projection.{end}"]
        own[f"norm.{end}"] = state[f"layernorm.{end}"]
        for i in range(12):
            qkv = [state[f"layers.{i}.attention.{part}_proj.{end}"] for part in "qkv"]
            own[f"blocks.{i}.attn.qkv.{end}"] = torch.cat(qkv)
            for name, theirs in pairs.items():
                own[f"blocks.{i}.{name}.{end}"] = state[f"layers.{i}.{theirs}.{end}"]
    twin.load_state_dict(own)
    return twin.eval()


def published(twin: nn.Module, image: torch.Tensor) -> torch.Tensor:
    """Self-similarity of the keys of layer 11 of a picture (3, 512, 512), heads concatenated."""
    small = torchvision.transforms.functional.resize(image, [224, 224], antialias=False)
    normal = torchvision.transforms.functional.normalize(small, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    seen = []
    handle = twin.blocks[11].attn.qkv.register_forward_hook(lambda part, given, out: seen.append(out))
    twin(normal[None])
    handle.remove()
    keys = seen[0].reshape(785, 3, 3, 8)[:, 1].reshape(785, 24)
    return torch.nn.functional.cosine_similarity(keys[:, None], keys[None], dim=-1)


def test_structure_distance_is_of_the_keys_of_layer_11_with_the_published_slip(edit, networks, saved):
    twin = timm_twin(ViTModel.from_pretrained(saved / "dino", add_pooling_layer=False))
    with torch.inference_mode():
        slip, sane = (
            ((published(twin, edit.source / by) - published(twin, edit.edited / by)) ** 2).mean() for by in (1, 255)
        )
        layouts = (self_similarity(networks.structure, (one / 255)[None]) for one in (edit.source, edit.edited))
        own = float(structure_distance(*layouts))
    assert value("pie_structure_distance", edit, networks) == pytest.approx(float(slip), rel=1e-3)
    assert own == pytest.approx(float(sane), rel=1e-3)
    assert own != pytest.approx(float(slip), rel=0.05)


@pytest.mark.parametrize("name", ["pie", "pie_pixel"])
def test_configs_are_valid(name):
    values = yaml.safe_load((Path(conf.__file__).parent / f"metrics/{name}.yaml").read_text())
    assert set(PieConfig.from_mapping(values).names) <= set(PIE_METRICS)
    assert is_pie(values)


def test_sweeps_refuse_the_metrics_of_pie():
    values = yaml.safe_load((Path(conf.__file__).parent / "metrics/pie.yaml").read_text())
    with pytest.raises(ValueError, match="are for p2p-score pie.data"):
        MetricsConfig.from_mapping(values)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"names": []}, "metrics.names must be a list"),
        ({"names": ["pie_psrn"]}, "'pie_psrn' is no metric of PIE-Bench; did you mean pie_psnr"),
        ({"names": ["pie_mse", "pie_mse"]}, "every metric once"),
        ({"names": ["pie_lpips"]}, "pie_lpips, which needs metrics.networks.lpips"),
        ({"names": ["pie_mse"], "networks": {"dino": None}}, "unknown key metrics.networks.dino"),
        ({"names": ["pie_mse"], "networks": {"clip": {"backend": "timm"}}}, "backend must be transformers"),
    ],
)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        PieConfig.from_mapping(values)


@pytest.mark.parametrize("kind", ["lpips", "clip", "structure"])
def test_without_weights_the_error_names_them_and_the_remedy(kind, monkeypatch, tmp_path):
    values = yaml.safe_load((Path(conf.__file__).parent / "metrics/pie.yaml").read_text())
    values["names"] = [name for name, metric in PIE_METRICS.items() if metric.network == kind]
    values["networks"][kind]["path"] = str(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=f"metrics.networks.{kind}.*none.*"):
        load_pie_networks(PieConfig.from_mapping(values), "cpu")


ENTRY = {"image_path": "0/a.jpg", "editing_prompt": "a [red] dog", "editing_type_id": "1", "mask": [0, 3]}


def test_prompts_lose_their_brackets(tmp_path):
    (tmp_path / "m.json").write_text(json.dumps({"007": ENTRY}))
    (item,) = read_mapping(tmp_path / "m.json")
    assert (item.file_id, item.prompt, item.type_id) == ("007", "a red dog", "1")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"007": {}, "007": {}}', "'007' is there twice"),
        ('{"007": {"mask": []}}', "entry 007 lacks image_path, editing_prompt, editing_type_id"),
        (json.dumps({"007": {**ENTRY, "mask": [3]}}), "entry 007: the mask must be a list of"),
        (json.dumps({"007": {**ENTRY, "image_path": "../a.jpg"}}), "entry 007: image_path must lead below"),
        ("[]", "expected entries by file id"),
        ("{", "m.json: "),
    ],
)
def test_bad_mapping_files_name_the_entry(tmp_path, text, message):
    (tmp_path / "m.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_mapping(tmp_path / "m.json")
