"""A page in Chromium, for the tests of the page."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from metrics.registry import METRICS
from tests.scripts.report.page_sweeps import NAMES, colour

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium of this machine; the test is skipped where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here; on Debian: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@contextmanager
def opened(browser: Any, path: Path, width: int = 1280, **settings: Any) -> Iterator[Any]:
    """The page from disk, with no network; whatever its console says, or that it asks the network for, is an error."""
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, **settings)
    page = context.new_page()
    page.set_default_timeout(60_000)
    said, asked = [], []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    try:
        page.wait_for_selector("html[data-ready]", state="attached")
    finally:
        assert said == []
    yield page
    context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def cell_of(cells: pd.DataFrame, config_id: str, pair: str = "cat_to_dog", seed: int = 0) -> pd.Series:
    rows = cells[(cells["config_id"] == config_id) & (cells["pair"] == pair) & (cells["seed"] == seed)]
    assert len(rows) == 1
    return rows.iloc[0]


def expect_cell(page: Any, cell: pd.Series, tolerance: int = 0) -> None:
    """Wait until the explorer shows this cell: its pictures' pixels and its scores."""
    page.wait_for_selector(f'#pictures[data-cell="{cell["cell_id"]}"]')
    for kind in ("source", "target", "cycle"):
        name = {"target": "edit"}.get(kind, kind)
        canvas = page.locator(f'canvas[data-kind="{name}"]')
        page.wait_for_function("one => one.dataset.shown === one.dataset.wanted", arg=canvas.element_handle())
        picture = Image.open(BytesIO(canvas.screenshot())).convert("RGB")
        pixel = picture.getpixel((picture.width // 2, picture.height // 2))
        assert np.abs(np.subtract(pixel, colour(cell[f"{kind}_image"]))).max() <= tolerance, kind
    for name in NAMES:
        text = "\N{EN DASH}" if np.isnan(cell[name]) else f"{cell[name]:.{METRICS[name].digits}f}"
        assert page.locator(f'#scores tr[data-metric="{name}"] .value').inner_text() == text


def choose_config(page: Any, config_id: str) -> None:
    for axis, value in zip(("k", "cross", "self", "V"), config_id.split("-"), strict=True):
        page.locator(f'.slider:has(input[data-axis="{axis}"]) .mark', has_text=re.compile(f"^{value}$")).click()
