import dataclasses
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import torchvision
import yaml
from torch import Tensor
from transformers import ViTModel

import conf
from metrics.loading import MetricsConfig, load_networks
from metrics.score import score_edits
from tests.metrics.conftest import edit, picture

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def value(one, networks) -> float:
    (score,) = score_edits([one], ["structure_distance"], networks)
    return score.value


def last_keys(folder: Path, image: Tensor) -> Tensor:
    """The last layer's keys of a picture (3, height, width) in [0, 1], from the weights by their names."""
    small = torchvision.transforms.functional.resize(image, [224, 224], antialias=False)
    normal = torchvision.transforms.functional.normalize(small, MEAN, STD)
    model = ViTModel.from_pretrained(folder, add_pooling_layer=False).eval()
    before = model(normal[None], output_hidden_states=True).hidden_states[11][0]
    last = {name.split(".11.")[-1]: value for name, value in model.state_dict().items() if ".11." in f".{name}"}
    ends = ("weight", "bias")
    norm = {end: next(v for k, v in last.items() if k.endswith(f"layernorm_before.{end}")) for end in ends}
    key = {end: next(v for k, v in last.items() if k.endswith((f"key.{end}", f"k_proj.{end}"))) for end in ends}
    inner = F.layer_norm(before, before.shape[-1:], norm["weight"], norm["bias"], model.config.layer_norm_eps)
    return inner @ key["weight"].T + key["bias"]


@torch.no_grad()
def test_it_is_the_difference_of_the_last_keys_cosines(weights, networks):
    one = edit()
    cosines = []
    for shown in (one.source, one.target):
        unit = F.normalize(last_keys(weights / "dino", shown / 255), dim=-1)
        cosines.append(unit @ unit.T)
    expected = float((cosines[0] - cosines[1]).square().mean())
    assert expected > 1e-4
    assert value(one, networks) == pytest.approx(expected, rel=1e-3)


def test_the_same_picture_is_no_distance_away_and_the_order_does_not_matter(networks):
    assert value(edit(target=picture(1)), networks) == pytest.approx(0, abs=1e-9)
    forth, back = value(edit(), networks), value(edit(source=picture(2), target=picture(1)), networks)
    assert forth == pytest.approx(back, rel=1e-5)


def test_a_source_that_edits_share_goes_through_the_network_once(networks):
    seen = []

    class Counting:
        name = "counting"

        def self_similarity(self, pictures):
            seen.append(len(pictures))
            return networks.dino.self_similarity(pictures)

    source = picture(1)
    group = [edit(source=source, target=picture(10 + i)) for i in range(4)]
    score_edits(group, ["structure_distance"], dataclasses.replace(networks, dino=Counting()), batch_size=3)
    assert seen == [1, 3, 1]


def real(path: str | None) -> MetricsConfig:
    values = yaml.safe_load((Path(conf.__file__).parent / "metrics/real.yaml").read_text())
    values["networks"]["dino"]["path"] = path
    return MetricsConfig.from_mapping({**values, "names": ["structure_distance"]})


def test_the_real_network_is_read_from_a_folder(weights, networks):
    loaded = load_networks(real(str(weights / "dino")), "cpu")
    (score,) = score_edits([edit()], ["structure_distance"], loaded)
    assert score.value == pytest.approx(value(edit(), networks), rel=1e-5)
    assert score.network == "facebook/dino-vitb8"


def test_a_network_that_is_not_there_is_told_with_its_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"metrics.networks.dino: .*no such folder.*p2p-prefetch metrics=real"):
        load_networks(real(str(tmp_path / "nowhere")), "cpu")


def test_a_transformer_of_another_shape_is_refused(tmp_path):
    from transformers import ViTConfig

    sizes = {"hidden_size": 12, "intermediate_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2}
    ViTModel(ViTConfig(**sizes, patch_size=8), add_pooling_layer=False).save_pretrained(tmp_path / "short")
    with pytest.raises(ValueError, match="metrics.networks.dino: expected a ViT of 12 layers for 224 pixels, got 2"):
        load_networks(real(str(tmp_path / "short")), "cpu")
