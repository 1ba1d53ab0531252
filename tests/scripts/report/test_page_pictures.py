import re
import shutil

import pandas as pd
import pytest

from scripts.report.page import write_page
from scripts.report.page_pictures import PictureSettings
from tests.scripts.report.page_browser import cell_of, choose_config, chromium, expect_cell, opened
from tests.scripts.report.page_sweeps import GRID, PAIRS, draw_pictures, make_analysis, make_cells, make_results


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


def test_a_reduced_set_has_whole_groups_of_every_category_within_its_bytes(browser, tmp_path):
    cells = make_cells(tmp_path / "grid", seeds=1)
    draw_pictures(cells, side=48)
    same = cells["target_image"].iloc[0]
    shutil.copy(tmp_path / "grid" / same, tmp_path / "grid" / cells["target_image"].iloc[1])
    results = make_results(cells)
    full = write_page(make_analysis(results), results, tmp_path / "full", pictures=10**7)
    sizes = {file.name[:-14]: file.stat().st_size for file in (full.parent / "pictures").glob("*.webp")}
    assert sorted(sizes) == [f"{category}-{pair}-0" for category, pairs in PAIRS.items() for pair in pairs]
    budget = sizes["animals-cat_to_dog-0"] + sizes["faces-blond_to_red_hair-0"]
    path = write_page(make_analysis(results), results, tmp_path / "full", pictures=PictureSettings(budget))
    kept = sorted((path.parent / "pictures").glob("*.webp"))
    assert [file.name[:-14] for file in kept] == ["animals-cat_to_dog-0", "faces-blond_to_red_hair-0"]
    shutil.rmtree(tmp_path / "grid" / "images")  # a page written again keeps its sheets then
    results = make_results(cells)
    path = write_page(make_analysis(results), results, tmp_path / "full")
    with opened(browser, path) as page:
        choose_config(page, "0.3-0.8-0.2-0.4")
        expect_cell(page, cell_of(cells, "0.3-0.8-0.2-0.4"), tolerance=6)
        groups = page.locator("#pair optgroup").evaluate_all("all => all.map(one => [one.label, one.children.length])")
        assert groups == [["with pictures", 1], ["scores only", 1]]
        edits, cycles = page.evaluate("PICTURES.places.slice(1).map(places => [...places.slice(0, 2)])")
        assert edits[0] == edits[1]
        assert cycles[0] != cycles[1]


def test_several_sweeps_are_one_explorer_and_packed_pictures_are_reduced(browser, tmp_path):
    loose = make_cells(tmp_path / "loose", GRID[:12], seeds=1)
    packed = make_cells(tmp_path / "packed", GRID[12:], seeds=1)
    packed["cell_id"] = [f"f{cell_id[1:]}" for cell_id in packed["cell_id"]]
    draw_pictures(pd.concat([loose, packed]))
    for kind in ("source", "target", "cycle"):
        archived = tmp_path / "packed" / "images" / f"{kind}.zip"
        shutil.make_archive(str(archived.with_suffix("")), "zip", tmp_path / "packed" / "images", kind)
        packed[f"{kind}_image"] = packed[f"{kind}_image"].str.replace("images/", f"images/{kind}.zip/")
    results = make_results(pd.concat([loose, packed], ignore_index=True))
    with opened(browser, write_page(make_analysis(results), results, tmp_path / "page")) as page:
        assert "loose, packed" in page.title()
        for row in (loose, packed):
            choose_config(page, row["config_id"].iloc[0])
            expect_cell(page, cell_of(row, row["config_id"].iloc[0]), tolerance=6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_bytes": 0}, "pictures: max_bytes must be a whole number of at least 1, got 0"),
        ({"side": 5000}, "pictures: side must be a whole number from 1 to 2,048, got 5000"),
        ({"quality": True}, "pictures: quality must be a whole number from 1 to 100, got True"),
    ],
)
def test_picture_settings_that_are_not_allowed_are_named(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        PictureSettings(**settings)


def test_too_few_bytes_for_any_source_are_said(tmp_path, capsys):
    cells = make_cells(tmp_path / "grid", GRID[:2], {"faces": ("a",)}, seeds=1)
    draw_pictures(cells)
    results = make_results(cells)
    write_page(make_analysis(results), results, tmp_path / "page", pictures=10)
    assert "page: no pictures; one source with its edits takes" in capsys.readouterr().err
