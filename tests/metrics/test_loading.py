from pathlib import Path

import open_clip
import pytest
import torch
import yaml

import conf
from metrics.loading import MetricsConfig, NetworkConfig, _lpips, load_networks
from metrics.registry import METRICS
from p2p.world.networks import IdentityEncoder
from tests.metrics.conftest import DETECTOR, detector, save

CONFIGS = sorted((Path(conf.__file__).parent / "metrics").glob("*.yaml"))
CONFIGS = [path for path in CONFIGS if not path.stem.startswith("pie")]  # tests/metrics/test_pie.py has those
CLIP = {"backend": "open_clip", "model": "ViT-L-14", "pretrained": "openai"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_metrics_config_is_valid(path):
    config = MetricsConfig.from_mapping(yaml.safe_load(path.read_text()))
    assert set(config.names) <= set(METRICS)


def test_configs_of_equal_values_are_equal():
    values = {"names": ["clip_score"], "networks": {"clip": CLIP}}
    assert MetricsConfig.from_mapping(values) == MetricsConfig.from_mapping(values)
    assert hash(MetricsConfig.from_mapping(values)) == hash(MetricsConfig.from_mapping(values))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": ["ssim"]}, "unknown key metrics.name; did you mean metrics.names"),
        ({"names": ["simm"]}, "unknown metric 'simm'; did you mean ssim"),
        ({"names": "ssim"}, "metrics.names must be a list of metrics, got 'ssim'"),
        ({"names": ["lpips"]}, "metrics.names has lpips, which needs metrics.networks.lpips"),
        ({"networks": {"dinosaur": None}}, "unknown key metrics.networks.dinosaur; did you mean"),
        ({"networks": {"clip": {**CLIP, "modle": 1}}}, "unknown key metrics.networks.clip.modle; did you mean"),
        (
            {"networks": {"clip": {"backend": "clip"}}},
            "metrics.networks.clip.backend must be one of open_clip, got 'clip'",
        ),
        (
            {"networks": {"clip": {"backend": "open_clip"}}},
            "metrics.networks.clip must have path, or model and pretrained",
        ),
        ({"networks": {"lpips": {"backend": "lpips", "model": "dino"}}}, "model must be one of alex, vgg, squeeze"),
        (
            {"networks": {"identity": {"backend": "world"}}},
            "metrics.networks.identity.path must be the network's folder",
        ),
        ({"networks": {"identity": "world"}}, "metrics.networks.identity must be a mapping"),
    ],
)
def test_bad_settings_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MetricsConfig.from_mapping(values)


def test_only_needed_networks_are_loaded(world_config):
    config = MetricsConfig(("lpips", "ssim"), world_config.networks)
    networks = load_networks(config, "cpu")
    assert networks.lpips is not None
    assert (networks.clip, networks.identity, networks.classifier) == (None, None, None)


def test_weights_arrive_as_saved(tmp_path):
    config = {"channels": [4, 8], "hidden": 8, "dim": 4}
    torch.manual_seed(3)
    saved = IdentityEncoder(**config).half().float().eval()
    save(saved, config, tmp_path / "identity")
    save(detector(finds=True), DETECTOR, tmp_path / "identity" / "detector")
    values = {"names": ["identity_distance"], "networks": {"identity": world(tmp_path / "identity")}}
    loaded = load_networks(MetricsConfig.from_mapping(values), "cpu").identity
    images = torch.rand(2, 3, 128, 128)
    torch.testing.assert_close(loaded.encode(images), saved(images))
    assert not any(parameter.requires_grad for parameter in loaded.encode.parameters())


def world(folder: Path) -> dict:
    return {"backend": "world", "path": str(folder)}


def test_missing_folder_names_key_files_and_remedy(tmp_path):
    (tmp_path / "empty").mkdir()
    for folder, found in (("nowhere", "does not exist"), ("empty", "lacks config.json, model.safetensors")):
        values = {"names": ["lpips"], "networks": {"lpips": world(tmp_path / folder)}}
        with pytest.raises(
            FileNotFoundError, match=f"metrics.networks.lpips.path=.*{folder}: the folder {found}; .*metrics=pixel"
        ):
            load_networks(MetricsConfig.from_mapping(values), "cpu")


def test_weights_of_another_network_are_refused(weights):
    values = {"names": ["identity_distance"], "networks": {"identity": world(weights / "perceptual")}}
    with pytest.raises(ValueError, match="no IdentityEncoder is there"):
        load_networks(MetricsConfig.from_mapping(values), "cpu")


def test_unknown_tag_of_clip_lists_the_known_ones():
    values = {"names": ["clip_score"], "networks": {"clip": {**CLIP, "pretrained": "opanai"}}}
    with pytest.raises(ValueError, match="ViT-L-14 has openai, .* got pretrained='opanai'"):
        load_networks(MetricsConfig.from_mapping(values), "cpu")


def test_clip_without_network_names_the_remedy(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", offline)
    values = {"names": ["clip_score"], "networks": {"clip": CLIP}}
    with pytest.raises(
        FileNotFoundError, match="ViT-L-14/openai cannot be loaded .no route to host.; run once on a machine"
    ):
        load_networks(MetricsConfig.from_mapping(values), "cpu")


def test_openai_weights_get_the_activation_that_they_were_trained_with(monkeypatch):
    seen = {}

    def create(source, **options):
        seen.update(options, source=source)
        raise OSError("enough seen")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    with pytest.raises(FileNotFoundError):
        load_networks(MetricsConfig.from_mapping({"names": ["clip_score"], "networks": {"clip": CLIP}}), "cpu")
    assert (seen["source"], seen["pretrained"], seen["force_quick_gelu"]) == ("ViT-L-14", "openai", True)


def test_lpips_takes_torchvisions_weights_from_a_file(tmp_path):
    torch.manual_seed(0)
    network = _lpips("squeeze", pnet_rand=True)
    trunk = {f"features.{key.partition('.')[2]}": value for key, value in network.net.state_dict().items()}
    torch.save(trunk, tmp_path / "squeezenet.pth")
    config = NetworkConfig("lpips", "squeeze", path=str(tmp_path / "squeezenet.pth"))
    values = {"names": ["lpips"], "networks": {"lpips": vars(config)}}
    loaded = load_networks(MetricsConfig.from_mapping(values), "cpu").lpips
    first, second = torch.rand(2, 1, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(loaded.module(first, second), network(first, second))
    assert loaded.name == "squeeze"


def test_lpips_file_of_another_trunk_or_missing_is_refused(tmp_path):
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    for name, kind, message in [
        ("other.pth", ValueError, "these are no weights of torchvision's squeeze"),
        ("none.pth", FileNotFoundError, "there is no such file; give torchvision's weights of squeeze"),
    ]:
        values = {"backend": "lpips", "model": "squeeze", "path": str(tmp_path / name)}
        with pytest.raises(kind, match=message):
            load_networks(MetricsConfig.from_mapping({"names": ["lpips"], "networks": {"lpips": values}}), "cpu")
