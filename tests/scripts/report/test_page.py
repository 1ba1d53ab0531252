import dataclasses
import re
import shutil
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from scripts.report.findings import Contrast, Finding
from scripts.report.page import write_page
from tests.scripts.report.page_browser import cell_of, choose_config, chromium, expect_cell, opened
from tests.scripts.report.page_sweeps import (
    GRID,
    NAMES,
    ONE_AT_A_TIME,
    draw_pictures,
    make_analysis,
    make_cells,
    make_results,
)

FINDINGS = (Finding("It works <b>well</b>", "LPIPS", Contrast(-0.1, -0.2, -0.05, 4, 2), -1, "p2p-report results/grid"),)


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def sweep(tmp_path_factory) -> pd.DataFrame:
    """A grid of 24 configurations with pictures; animals lack two of them, and the last cell failed."""
    cells = make_cells(tmp_path_factory.mktemp("results") / "grid & more")
    lacking = cells["config_id"].isin(cells["config_id"].unique()[:2]) & (cells["category"] == "animals")
    cells = cells[~lacking].reset_index(drop=True)
    draw_pictures(cells)
    last = cells.index[-1]
    cells.loc[last, ["status", "error", "target_image", "cycle_image"]] = ["failed", "out of memory", None, None]
    cells.loc[last, list(NAMES)] = np.nan
    return cells


@pytest.fixture(scope="module")
def page_path(sweep) -> Path:
    results = make_results(sweep)
    return write_page(make_analysis(results), results, results.folders[0] / "report", FINDINGS)


@pytest.fixture
def page(browser, page_path):
    with opened(browser, page_path) as page:
        yield page


def test_it_opens_from_disk_and_shows_what_the_sweep_is(page, sweep):
    assert page.title() == "grid & more: Prompt-to-Prompt sweep"
    facts = f"{len(sweep)} edits, 1 of them without a picture: 24 configurations, 4 prompt pairs, 2 seeds. "
    assert page.inner_text("#facts") == f"{facts}Model world, 20 steps."
    assert page.inner_text("#notes") == "two versions of torch"
    assert page.locator("#recommended-cards .card").count() == 3
    assert page.locator(".forest .dot.proposed").count() == 1  # and no corrected p is not a small one
    assert page.locator(".forest .dot.neither").count() == 1


def test_findings_are_texts_on_top_and_without_any_there_is_no_such_section(browser, page, sweep):
    assert page.locator("#findings h3").inner_text() == "It works <b>well</b>"
    assert page.locator("#findings .confirmed code").inner_text() == "p2p-report results/grid"
    results = make_results(sweep)
    bare = write_page(make_analysis(results), results, results.folders[0] / "bare")
    with opened(browser, bare) as other:
        assert other.locator("#findings").is_hidden()


def test_keys_on_a_slider_flip_pictures_and_scores_to_those_of_the_cell(page, sweep):
    choose_config(page, "0.3-0.2-0.2-0")
    expect_cell(page, cell_of(sweep, "0.3-0.2-0.2-0"))
    slider = page.locator('input[data-axis="cross"]')
    slider.focus()
    for value in ("0.5", "0.8"):
        page.keyboard.press("ArrowRight")
        assert slider.get_attribute("aria-valuetext") == value
        expect_cell(page, cell_of(sweep, f"0.3-{value}-0.2-0"))
    page.keyboard.press("Home")
    expect_cell(page, cell_of(sweep, "0.3-0.2-0.2-0"))
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    expect_cell(page, cell_of(sweep, "0.3-0.2-0.8-0"))
    assert page.inner_text("#moved") == ""


def test_pair_seed_and_category_choose_the_cell(page, sweep):
    choose_config(page, "0.3-0.8-0.2-0.4")
    page.select_option("#pair", label="fluffy cat")
    page.select_option("#seed", label="1")
    expect_cell(page, cell_of(sweep, "0.3-0.8-0.2-0.4", "fluffy_cat", 1))
    page.get_by_role("radio", name="faces").check(force=True)
    expect_cell(page, cell_of(sweep, "0.3-0.8-0.2-0.4", "blond_to_red_hair", 1))
    page.get_by_role("radio", name="all").check(force=True)
    page.select_option("#pair", label="animals: cat to dog")
    expect_cell(page, cell_of(sweep, "0.3-0.8-0.2-0.4", "cat_to_dog", 1))


def test_means_and_intervals_are_those_of_the_tables(page, sweep):
    choose_config(page, "0.3-0.8-0.2-0.4")
    own = sweep[(sweep["category"] == "animals") & (sweep["config_id"] == "0.3-0.8-0.2-0.4")]["clip_directional"].mean()
    text = page.locator('#scores tr[data-metric="clip_directional"] .mean').inner_text()
    assert text == f"{own:.3f} {own - 0.01:.3f} to {own + 0.01:.3f}"


def test_the_address_leads_back_to_what_was_chosen(browser, page, sweep):
    choose_config(page, "0.3-0.5-0.8-0.4")
    page.select_option("#seed", label="1")
    page.wait_for_function("location.hash.includes('config=0.3-0.5-0.8-0.4') && location.hash.includes('seed=1')")
    page.reload()
    page.wait_for_selector("html[data-ready]", state="attached")
    expect_cell(page, cell_of(sweep, "0.3-0.5-0.8-0.4", seed=1))


def test_a_page_moves_with_its_sweep(browser, page_path, sweep, tmp_path):
    moved = shutil.copytree(page_path.parents[1], tmp_path / "moved")
    with opened(browser, moved / "report" / "index.html") as page:
        expect_cell(page, cell_of(sweep, page.evaluate("REPORT.configs.id[state.config]")))


def test_a_failed_cell_says_why(page, sweep):
    failed = sweep.iloc[-1]
    page.get_by_role("radio", name="faces").check(force=True)
    page.select_option("#pair", label="glasses")
    page.select_option("#seed", label="1")
    choose_config(page, failed["config_id"])
    page.wait_for_selector(f'#pictures[data-cell="{failed["cell_id"]}"]')
    assert page.inner_text("#problem") == "failed: out of memory"
    assert page.locator('.frame:has(canvas[data-kind="edit"])').get_attribute("data-missing") == "failed"


def test_beside_a_grid_a_slider_goes_to_the_nearest_configuration_and_says_which(browser, tmp_path):
    cells = make_cells(tmp_path / "oat", ONE_AT_A_TIME)
    draw_pictures(cells)
    results = make_results(cells)
    with opened(browser, write_page(make_analysis(results), results, tmp_path / "oat" / "report")) as page:
        choose_config(page, "0.3-0.8-0.8-0")
        expect_cell(page, cell_of(cells, "0.3-0.8-0.8-0"))
        assert page.locator('.slider:has(input[data-axis="cross"]) .mark.far').inner_text() == "0.2"
        page.locator('input[data-axis="cross"]').focus()
        page.keyboard.press("ArrowLeft")
        expect_cell(page, cell_of(cells, "0.3-0.2-0.2-0"))
        assert "also changes self 0.8 → 0.2" in page.inner_text("#moved")
        assert page.locator('input[data-axis="V"]').is_disabled()


def test_a_click_on_a_point_or_enter_shows_its_pictures(page, sweep):
    places = page.evaluate(
        "scatter.points.map(one => [REPORT.configs.id[one.config], scatter.toX(one.x), scatter.toY(one.y)])"
    )
    own = sweep[sweep["category"] == "animals"].groupby("config_id")[["clip_directional", "lpips"]].mean()
    assert [name for name, *_ in places] == list(own.sort_values("clip_directional").index)
    across, up = (np.array(column) for column in list(zip(*places, strict=True))[1:])
    assert (np.diff(across) > 0).all()
    assert np.corrcoef(up, own.loc[[name for name, *_ in places], "lpips"])[0, 1] > 0.999  # less is better is up
    name, x, y = max(places, key=lambda one: sorted(np.hypot(across - one[1], up - one[2]))[1])  # the loneliest
    page.locator("#scatter canvas").click(position={"x": x, "y": y})
    expect_cell(page, cell_of(sweep, name))
    page.locator("#scatter canvas").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert places[1][0] == "-".join(re.findall(r"(?:k|cross|self|V) ([\d.]+)", page.inner_text(".tip b")))
    page.keyboard.press("Enter")
    expect_cell(page, cell_of(sweep, places[1][0]))


def test_beside_plots_the_chosen_pictures_stay_in_sight(page):
    assert page.locator("#dock").is_hidden()
    page.locator("#marginal").scroll_into_view_if_needed()
    page.locator("#dock").wait_for(state="visible")
    label = f"Back to the explorer, at {page.evaluate('describe(state.config)')}"
    assert page.locator("#dock").get_attribute("aria-label") == label
    page.locator("#dock").click()
    page.locator("#dock").wait_for(state="hidden")
    assert page.evaluate("document.activeElement.id") == "explorer"


def test_other_metrics_have_a_front_of_their_own(page, sweep):
    page.select_option("#x", label="PSNR")
    page.select_option("#y", label="Cycle LPIPS")
    front = set(page.evaluate("[...scatter.front].map(one => REPORT.configs.id[one])"))
    means = sweep[sweep["category"] == "animals"].groupby("config_id")[["psnr", "cycle_lpips"]].mean()
    beaten = {
        name for name, one in means.iterrows()
        if ((means["psnr"] > one["psnr"]) & (means["cycle_lpips"] < one["cycle_lpips"])).any()
    }  # fmt: skip
    assert front == set(means.index) - beaten


def test_the_table_is_sorted_by_any_column_and_has_the_configurations_of_the_category(page, sweep):
    def column(name: str) -> list[float]:
        place = page.locator("#configurations thead th").evaluate_all(
            "(heads, name) => heads.findIndex(head => head.dataset.column === name)", name
        )
        found = page.locator(f"#configurations td:nth-child({place + 1})")
        return [float(text) for text in found.evaluate_all("all => all.map(one => one.firstChild.textContent)")]

    assert page.locator("#configurations tbody tr").count() == 22
    assert column("clip_directional") == sorted(column("clip_directional"), reverse=True)
    head = page.locator('#configurations th[data-column="lpips"]')
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert column("lpips") == sorted(column("lpips"))
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert column("lpips") == sorted(column("lpips"), reverse=True)
    page.get_by_role("radio", name="faces").check(force=True)
    assert page.locator("#configurations tbody tr").count() == 24
    own = sweep[sweep["category"] == "faces"].groupby("config_id")["lpips"].mean()
    page.locator("#configurations tbody tr").first.get_by_role("button").press("Enter")
    expect_cell(page, cell_of(sweep, own.idxmax(), "blond_to_red_hair"))


def test_everything_is_reached_by_tab_and_shows_the_focus(page):
    reached = set()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(60):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(() => { const one = document.activeElement; const ring = one.name === 'category' ? one.nextSibling : one;"
            " return [one.id || one.name || one.dataset.preset || one.parentElement?.id || one.tagName,"
            " getComputedStyle(ring).outlineStyle]; })()"
        )
        reached.add(found[0])
        assert found[1] != "none" or found[0] == "BODY", found
    assert {"category", "pair", "seed", "axis-0", "axis-3", "x", "y", "scatter", "recommended"} <= reached


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser, page_path, scheme):
    with opened(browser, page_path, width=390, color_scheme=scheme, has_touch=True, is_mobile=True) as page:
        page.get_by_role("radio", name="all").check(force=True)
        page.locator("details summary").click()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("visualViewport.width") == 390
        for part in page.locator("button:visible, select:visible, input[type=range]:visible").all():
            if "configurations" not in part.evaluate("one => one.closest('table')?.className ?? ''"):
                assert part.bounding_box()["height"] >= 24


def test_fifty_thousand_cells_are_small_and_found(browser, tmp_path):
    levels = [i / 10 for i in range(10)]
    settings = [(k, cross, self_, 0.0) for k in levels[:6] for cross in levels for self_ in levels]
    cells = make_cells(tmp_path / "large", settings, {"faces": ("a", "b", "c", "d", "e", "f", "g")}, seeds=12)
    assert len(cells) == 50_400
    results = make_results(cells)
    path = write_page(make_analysis(results), results, tmp_path / "large" / "report")
    assert sum(file.stat().st_size for file in path.parent.rglob("*") if file.is_file()) < 4_000_000
    with opened(browser, path) as page:
        timing = page.context.new_cdp_session(page)
        timing.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.reload()
        page.wait_for_selector("html[data-ready]", state="attached")
        spent = {one["name"]: one["value"] for one in timing.send("Performance.getMetrics")["metrics"]}
        assert spent["ScriptDuration"] < 3
        last = cells.iloc[-1]
        page.select_option("#pair", label="g")
        page.select_option("#seed", label="11")
        page.evaluate("id => chooseFromPlot(REPORT.configs.id.indexOf(id))", last["config_id"])
        page.wait_for_selector(f'#pictures[data-cell="{last["cell_id"]}"]')
        assert page.locator('#scores tr[data-metric="lpips"] .value').inner_text() == f"{last['lpips']:.3f}"
        assert page.locator("#pictures .frame[data-missing='not kept']").count() == 2


def test_without_scores_there_is_a_page(browser, tmp_path):
    cells = make_cells(tmp_path / "grid", GRID[:2], {"faces": ("a",)}, seeds=1)
    draw_pictures(cells)
    results = dataclasses.replace(make_results(cells), metrics=())
    with opened(browser, write_page(make_analysis(results), results, tmp_path / "page")) as page:
        assert page.locator("#plot").is_hidden()
        choose_config(page, "0-0.2-0.2-0.4")
        page.wait_for_selector(f'#pictures[data-cell="{cells["cell_id"].iloc[1]}"]')


def test_the_page_names_every_asset_and_no_other():
    assets = {one.name for one in files("scripts.report").joinpath("assets").iterdir()} - {"index.html"}
    text = files("scripts.report").joinpath("assets", "index.html").read_text("utf-8")
    assert set(re.findall(r'"assets/([\w.]+)"', text)) == assets
