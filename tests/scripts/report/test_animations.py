import dataclasses

import pytest
from PIL import Image

from scripts.report.animations import SIDE, draw_frames, plan_scene, write_animations
from scripts.report.views import walks
from sweeps.pictures import ImageSettings
from sweeps.store import Store
from tests.scripts.report.pictures import CYCLE, SOURCE, colour, with_pictures


@pytest.fixture
def shown(results, tmp_path):
    return with_pictures(results, tmp_path / "sweep")


@pytest.fixture
def walk(analysis):
    found = walks(analysis, "faces", ("literature",))
    return next(walk for walk in found if walk.hyperparameter == "cross_replace_steps")


def middles(frame: Image.Image, number: int) -> list[tuple[int, ...]]:
    """The colours in the middle of the pictures side by side."""
    return [frame.getpixel((10 + place * (SIDE + 10) + SIDE // 2, 50 + SIDE // 2)) for place in range(number)]


def test_frames_show_source_edit_and_cycle_in_the_order_of_values(shown, walk):
    scene = plan_scene(shown.cells[shown.cells["category"] == "faces"], walk)
    frames = draw_frames(scene)
    cells = shown.cells.drop_duplicates("config_id").set_index("config_id")
    assert scene.values == ("0.2", "0.8")
    for frame, config_id in zip(frames, walk.config_ids, strict=True):
        assert middles(frame, 3) == [SOURCE, colour(cells.loc[config_id]), CYCLE]
    assert len({frame.tobytes() for frame in frames}) == 2


def test_without_a_cycle_there_are_two_pictures(results, walk, tmp_path):
    shown = with_pictures(results, tmp_path / "sweep", cycle=False)
    scene = plan_scene(shown.cells[shown.cells["category"] == "faces"], walk)
    assert [name for name, _ in scene.pictures[0]] == ["source", "edit"]
    assert middles(draw_frames(scene)[0], 3)[2] == (255, 255, 255)


def test_every_category_and_hyperparameter_moves_up_and_down(analysis, shown, tmp_path):
    written = write_animations(analysis, shown, tmp_path, ("literature",))
    heads = ("k", "cross", "self", "V")
    assert [path.name for path in written] == [f"{name}-{head}.webp" for name in ("animals", "faces") for head in heads]
    with Image.open(written[0]) as animation:
        assert animation.n_frames == 2
        assert animation.info["loop"] == 0


def test_frames_go_back_the_way_they_came(shown, walk, analysis, tmp_path):
    from scripts.report.animations import _encode

    scene = plan_scene(shown.cells[shown.cells["category"] == "faces"], walk)
    longer = dataclasses.replace(
        scene, values=("0", "0.2", "0.8"), pictures=(scene.pictures[1], scene.pictures[0], scene.pictures[1])
    )
    path = tmp_path / "longer.webp"
    path.write_bytes(_encode(longer))
    with Image.open(path) as animation:
        assert animation.n_frames == 4
        colours = []
        for at in range(4):
            animation.seek(at)
            colours.append(middles(animation.convert("RGB"), 2)[1][0])
    assert colours[1] == pytest.approx(colours[3], abs=8)
    assert abs(colours[0] - colours[1]) > 80


def test_packed_pictures_are_read(results, analysis, walk, tmp_path):
    from torchvision.transforms.functional import pil_to_tensor

    loose = with_pictures(results, tmp_path / "sweep")
    cells = loose.cells[loose.cells["category"] == "faces"]
    store = Store(tmp_path / "packed", ImageSettings(pack=True))
    pictures = {
        ("target", name.split("/")[-1].removesuffix(".png")): pil_to_tensor(Image.open(tmp_path / "sweep" / name))
        for name in set(cells["target_image"])
    }
    paths = store.save_pictures("part", pictures)
    places = {f"images/{kind}/{name}.png": path for (kind, name), path in paths.items()}
    cells = cells.assign(folder=str(store.folder), target_image=cells["target_image"].map(places), source_image=None)
    frames = draw_frames(plan_scene(cells.assign(cycle_image=None), walk))
    rows = cells.drop_duplicates("config_id").set_index("config_id")
    assert [middles(frame, 1)[0] for frame in frames] == [colour(rows.loc[one]) for one in walk.config_ids]


def test_sweeps_without_pictures_have_no_animations_nor_old_ones(analysis, results, tmp_path):
    (tmp_path / "animations").mkdir()
    (tmp_path / "animations" / "old.webp").write_bytes(b"")
    none = dataclasses.replace(results, cells=results.cells.assign(target_image=None))
    assert write_animations(analysis, none, tmp_path) == []
    assert not list((tmp_path / "animations").iterdir())
