from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sweeps import contact_sheets
from sweeps.contact_sheets import SIDE, Sheet, SheetRow, draw_sheet, plan_sheet, write_contact_sheets
from sweeps.pictures import ImageSettings
from sweeps.store import Store
from tests.sweeps.frames import QUICKSTART, frame, row

RED, BLUE = (255, 0, 0), (0, 0, 255)


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (64, 64), RED).save(tmp_path / "images" / "red.png")
    Image.new("RGB", (64, 64), BLUE).save(tmp_path / "images" / "blue.png")
    return tmp_path


def cells(number_of_pairs=2, configs=QUICKSTART, **changes):
    images = {"source_image": "images/red.png", "target_image": "images/blue.png"}
    rows = [
        row(*axes, pair=f"pair_{pair}", cell_id=f"{axes} {pair}", **{**images, **changes})
        for pair in range(number_of_pairs)
        for axes in configs
    ]
    return frame(rows)


def area(image: Image.Image, color: tuple[int, int, int]) -> float:
    """Pixels of a color, in pictures of the sheet."""
    return (np.asarray(image) == color).all(-1).sum() / SIDE**2


def test_a_sheet_has_a_source_and_every_configuration_for_each_pair(folder):
    sheet = plan_sheet("faces", cells(), folder)
    assert len(sheet.heads) == 16
    assert sheet.heads[0] == ("k 0", "cross 0.2", "self 0.2", "V 0")
    assert ("literature", "k 0.3", "cross 0.8", "self 0.2", "V 0") in sheet.heads
    assert [len(one.edits) for one in sheet.rows] == [16, 16]
    first = sheet.rows[0].caption
    assert first == "a woman's face with blond hair -> a woman's face with red hair   (pair_0, seed 0)"
    assert sheet.notes == ()


def test_pictures_are_drawn_and_lines_repeat_the_source(folder):
    image = draw_sheet(plan_sheet("faces", cells(), folder))
    assert area(image, BLUE) == 32
    assert area(image, RED) == 4, "two rows in two lines of eight configurations"


def test_missing_and_failed_pictures_are_empty_frames(folder):
    summary = cells(1)
    summary.loc[3, "target_image"] = None
    summary.loc[5, "target_image"] = "images/lost.png"
    (folder / "images" / "broken.png").write_bytes(b"no picture")
    summary.loc[7, "target_image"] = "images/broken.png"
    image = draw_sheet(plan_sheet("faces", summary, folder))
    assert area(image, BLUE) == 13
    frames = (np.asarray(image) == (0xC0, 0xC0, 0xC0)).all(-1).sum()
    assert frames >= 3 * 4 * (SIDE - 1)


def test_a_category_where_everything_failed_still_has_its_sheet(folder):
    summary = cells(1, status="failed", source_image=None, target_image=None)
    (path,) = write_contact_sheets(summary, folder)
    assert Image.open(path).width > SIDE


def test_large_sweeps_are_cut_and_say_so(folder):
    configs = [
        (k, cross, self_, 0.0) for k in (0.0, 0.3) for cross in (0.2, 0.5, 0.8) for self_ in np.arange(0, 1, 0.1)
    ]
    sheet = plan_sheet("faces", cells(14, configs), folder)
    assert len(sheet.heads) == contact_sheets.MOST_COLUMNS
    assert len(sheet.rows) == contact_sheets.MOST_ROWS
    assert sheet.notes == ("32 of 60 configurations", "12 of 14 prompt pairs and seeds")
    assert {head[0] for head in sheet.heads} >= {"literature", "proposed"}
    assert {head[-4] for head in sheet.heads} == {"k 0", "k 0.3"}, "spread over the grid"


def test_pictures_keep_their_shape_and_long_captions_fit(tmp_path):
    Image.new("RGB", (100, 50), RED).save(tmp_path / "wide.png")
    sheet = Sheet("faces", (("k 0",),), (SheetRow("a very long caption " * 40, tmp_path / "wide.png", (None,)),), ())
    image = draw_sheet(sheet)
    assert area(image, RED) == 0.5
    assert image.width > 1000


def test_every_category_has_a_file_with_a_plain_name(folder):
    summary = cells()
    summary.loc[::2, "category"] = "my own/category"
    paths = write_contact_sheets(summary, folder)
    assert sorted(path.relative_to(folder).as_posix() for path in paths) == [
        "figures/faces.png",
        "figures/my_own_category.png",
    ]
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    "settings", [ImageSettings(pack=True), ImageSettings("webp"), ImageSettings("webp", pack=True)]
)
def test_packed_and_webp_pictures_are_drawn(tmp_path, settings):
    solid = {key: torch.zeros(3, 64, 64, dtype=torch.uint8) for key in (("source", "g"), ("target", "a"))}
    solid["source", "g"][0], solid["target", "a"][2] = 255, 255
    paths = Store(tmp_path, settings).save_pictures("part", solid)
    summary = cells(source_image=paths["source", "g"], target_image=paths["target", "a"])
    image = draw_sheet(plan_sheet("faces", summary, tmp_path))
    assert area(image, BLUE) == 32
    assert area(image, RED) == 4


def test_a_source_stored_in_several_archives_is_one_source(folder):
    summary = cells(1)
    summary["source_image"] = [f"images/part{i % 2}-0123abcd.zip/source/g.png" for i in range(16)]
    assert plan_sheet("faces", summary, folder).notes == ()
    summary["source_image"] = [f"images/source/g{i % 2}.png" for i in range(16)]
    assert plan_sheet("faces", summary, folder).notes == ("of several sources the first",)


def test_pairs_whose_pictures_were_not_kept_are_left_out_and_counted(folder):
    summary = cells(14)
    kept = summary["pair"].isin(["pair_3", "pair_13"])
    summary.loc[~kept, ["source_image", "target_image"]] = None
    sheet = plan_sheet("faces", summary, folder)
    assert [row.caption.rpartition("(")[2] for row in sheet.rows] == ["pair_3, seed 0)", "pair_13, seed 0)"]
    assert sheet.notes == ("2 of 14 prompt pairs and seeds",)


def test_without_kept_pictures_nothing_is_drawn_and_that_is_said(folder, capsys):
    summary = cells(source_image=None, target_image=None)
    assert write_contact_sheets(summary, folder) == []
    assert list((folder / "figures").iterdir()) == []
    assert capsys.readouterr().err == "contact sheets: nothing drawn, since no pictures were kept (images.keep)\n"
    assert write_contact_sheets(summary.iloc[:0], folder) == []
    assert capsys.readouterr().err == ""


def test_a_category_without_kept_pictures_has_no_sheet_beside_others(folder, capsys):
    summary = cells()
    summary.loc[::2, "category"] = "food"
    summary.loc[::2, ["source_image", "target_image"]] = None
    assert [path.name for path in write_contact_sheets(summary, folder)] == ["faces.png"]
    assert capsys.readouterr().err == ""
