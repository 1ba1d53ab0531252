import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from insightface.app import FaceAnalysis

from metrics import faces_loading
from metrics.identity import identity_distance
from metrics.loading import MetricsConfig, load_networks, not_installed
from metrics.score import score_edits
from p2p.world.faces import HEIGHT, MIDDLE, FaceDetector, align, true_box
from p2p.world.scenes import CATEGORIES, render, sample_scene
from p2p.world.training.data import to_images
from p2p.world.training.detector import moved
from p2p.world.training.export import load_network
from tests.metrics.conftest import DETECTOR, detector, edit, save
from tests.metrics.packages import save_package

WEIGHTS = Path(__file__).parents[2] / "p2p" / "world" / "weights" / "identity"


def config(**network) -> MetricsConfig:
    return MetricsConfig.from_mapping({"names": ["identity_distance"], "networks": {"identity": network}})


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> Path:
    return save_package(tmp_path_factory.mktemp("faces"))


@pytest.fixture(scope="module")
def photographed(package):
    return load_networks(config(backend="insightface", model="tiny", path=str(package)), "cpu")


def photograph(seed: int, *places: tuple[int, int, int]) -> torch.Tensor:
    """A dark picture with bright, textured squares: row, column, side. The package takes these for faces."""
    picture = torch.full((3, 256, 256), 30, dtype=torch.uint8)
    generator = torch.Generator().manual_seed(seed)
    for row, column, side in places:
        bright = torch.randint(210, 256, (3, side, side), generator=generator, dtype=torch.uint8)
        picture[:, row : row + side, column : column + side] = bright
    return picture


def reference(package: Path, picture: torch.Tensor) -> np.ndarray:
    """The embedding of the largest face by the library's public entry."""
    app = FaceAnalysis(str(package), allowed_modules=["detection", "recognition"], providers=["CPUExecutionProvider"])
    app.prepare(ctx_id=-1, det_size=(640, 640))
    found = app.get(np.ascontiguousarray(picture.permute(1, 2, 0).numpy()[..., ::-1]))
    return max(found, key=lambda face: (face.bbox[2] - face.bbox[0]) * (face.bbox[3] - face.bbox[1])).embedding


def test_photographed_faces_are_compared_as_the_library_does(package, photographed) -> None:
    source, target = photograph(1, (80, 90, 70)), photograph(2, (70, 100, 64), (200, 10, 24))
    expected = identity_distance(*(torch.from_numpy(reference(package, one)) for one in (source, target)))
    (score,) = score_edits([edit(source=source, target=target, cycle=None)], ["identity_distance"], photographed)
    assert score.value == pytest.approx(expected, abs=1e-5)
    assert expected > 1e-3
    assert score.network == "tiny"


def test_the_same_photograph_is_the_same_person_and_order_does_not_matter(photographed) -> None:
    first, second = photograph(1, (80, 90, 70)), photograph(2, (70, 100, 64))
    edits = [
        edit(cell_id=name, source=a, target=b, cycle=None)
        for name, a, b in (("same", first, first.clone()), ("ab", first, second), ("ba", second, first))
    ]
    same, ab, ba = score_edits(edits, ["identity_distance"], photographed)
    assert same.value == pytest.approx(0, abs=1e-6)
    assert ab.value == pytest.approx(ba.value, abs=1e-6)


def test_without_a_face_in_either_picture_there_is_no_score(photographed) -> None:
    face, none = photograph(1, (80, 90, 70)), photograph(0)
    edits = [edit(source=a, target=b, cycle=None) for a, b in ((face, none), (none, face), (none, none.clone()))]
    for score in score_edits(edits, ["identity_distance"], photographed):
        assert (score.value, score.reason) == (None, "no_face")


def test_the_worlds_detector_decides_whether_there_is_a_score(networks, weights, tmp_path) -> None:
    found = score_edits([edit()], ["identity_distance"], networks)[0]
    assert found.reason is None
    for part in ("config.json", "model.safetensors"):
        (tmp_path / "identity").mkdir(exist_ok=True)
        (tmp_path / "identity" / part).write_bytes((weights / "identity" / part).read_bytes())
    save(detector(finds=False), DETECTOR, tmp_path / "identity" / "detector")
    blind = load_networks(config(backend="world", path=str(tmp_path / "identity")), "cpu")
    assert score_edits([edit()], ["identity_distance"], blind)[0].reason == "no_face"


def test_the_shipped_detector_finds_drawn_heads_and_nothing_else() -> None:
    rng = np.random.default_rng(1_000_200)
    network = load_network(FaceDetector, WEIGHTS / "detector")
    people = [sample_scene("faces", rng) for _ in range(20)]
    others = [sample_scene(category, rng) for category in CATEGORIES if category != "faces" for _ in range(5)]
    found, boxes = network.detect(to_images(np.stack([render(scene) for scene in people])))
    assert found.all()
    np.testing.assert_allclose(boxes.numpy(), [true_box(person) for person in people], atol=0.05)
    assert not network.detect(to_images(np.stack([render(scene) for scene in others])))[0].any()
    with pytest.raises(ValueError, match="expected a face, got one of"):
        true_box(others[0])


def origins(number: int) -> torch.Tensor:
    """Pictures in which each pixel tells by its first two channels where it is: (x, y), as shares of the sides."""
    places = (torch.arange(128) + 0.5) / 128
    one = torch.stack([places.expand(128, 128), places[:, None].expand(128, 128), torch.zeros(128, 128)])
    return one.expand(number, 3, 128, 128)


def origin(image: torch.Tensor, x: float, y: float) -> list[float]:
    return image[:2, round(128 * y - 0.5), round(128 * x - 0.5)].tolist()


def test_alignment_puts_heads_in_one_place() -> None:
    boxes = [[0.48, 0.52, 0.5, 0.5], [0.5, 0.49, 0.5, 0.4]]
    for image, (x, y, _, height) in zip(align(origins(2), torch.tensor(boxes)), boxes, strict=True):
        for share in (-0.5, 0.0, 0.5):  # of the head's height, from its middle
            found = origin(image, MIDDLE[0], MIDDLE[1] + share * HEIGHT)
            assert found == pytest.approx([x, y + share * height], abs=0.006)


def test_a_moved_picture_has_its_head_where_it_is_said_to_be() -> None:
    boxes = torch.tensor([[0.45, 0.52, 0.4, 0.5]]).expand(8, 4)
    seen, heads = moved(origins(8), boxes, torch.Generator().manual_seed(0))
    assert heads[:, 0].std() > 0.02
    for image, (x, y, _, height) in zip(seen, heads.tolist(), strict=True):
        assert origin(image, x, y) == pytest.approx([0.45, 0.52], abs=0.008)
        assert origin(image, x, y + height / 2) == pytest.approx([0.45, 0.77], abs=0.008)


def test_without_the_library_the_message_says_how_to_install_it(monkeypatch) -> None:
    chosen = config(backend="insightface", model="buffalo_l")
    assert not_installed(chosen) == ()
    monkeypatch.setattr(faces_loading, "LIBRARIES", ("insightface", "no_such_library"))
    assert not_installed(chosen) == ("identity_distance",)
    assert not_installed(config(backend="world", path="somewhere")) == ()
    with pytest.raises(ValueError, match=r"pip install 'p2p-sweep\[faces\]' .*non-commercial research"):
        load_networks(chosen, "cpu")


def test_without_network_the_message_names_the_folder_that_can_be_given(monkeypatch, tmp_path) -> None:
    def offline(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(sys.modules["insightface.app"], "FaceAnalysis", offline)
    with pytest.raises(
        FileNotFoundError, match="buffalo_l cannot be loaded .no route to host.*identity.path to a folder"
    ):
        load_networks(config(backend="insightface", model="buffalo_l"), "cpu")
    with pytest.raises(FileNotFoundError, match="path=.*away: the folder does not exist"):
        load_networks(config(backend="insightface", model="buffalo_l", path=str(tmp_path / "away")), "cpu")


def test_a_folder_without_a_detector_is_refused(package, tmp_path) -> None:
    (tmp_path / "rec.onnx").write_bytes((package / "rec.onnx").read_bytes())
    with pytest.raises(ValueError, match="has no detector; give a package such as buffalo_l"):
        load_networks(config(backend="insightface", model="half", path=str(tmp_path)), "cpu")
    (tmp_path / "rec.onnx").unlink()
    (tmp_path / "det.onnx").write_bytes((package / "det.onnx").read_bytes())
    with pytest.raises(ValueError, match="has no detector with five landmarks and encoder"):
        load_networks(config(backend="insightface", model="half", path=str(tmp_path)), "cpu")


def test_a_package_needs_a_name() -> None:
    with pytest.raises(ValueError, match="identity.model must be one of insightface's packages, such as buffalo_l"):
        config(backend="insightface")


def test_the_licence_of_the_weights_is_told_once(package, capsys) -> None:
    faces_loading._tell_licence.cache_clear()
    for _ in range(2):
        load_networks(config(backend="insightface", model="tiny", path=str(package)), "cpu")
    assert capsys.readouterr().err.count("non-commercial research only") == 1
