from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sweeps import contact_sheets
from sweeps.contact_sheets import SIDE, Sheet, SheetRow, draw_sheet, plan_sheet, write_contact_sheets
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
