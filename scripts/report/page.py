"""A report as a page: static, opened from disk or served as it is, with no network and nothing to install."""

import html
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from scripts.report.analysis import Analysis
from scripts.report.findings import Finding
from scripts.report.page_data import cells_data, report_data, scores_data, script
from scripts.report.page_pictures import PictureSettings, page_pictures
from scripts.report.results import Results
from sweeps.files import write_atomically


def write_page(
    analysis: Analysis,
    results: Results,
    folder: Path,
    findings: Sequence[Finding] = (),
    pictures: PictureSettings | int | None = None,
) -> Path:
    """Write a page on sweeps to `folder`; its `index.html`.

    Args:
        analysis: of these results.
        results: the cells; those of several sweeps are one explorer.
        folder: the page's own; the sweeps' pictures are found from it by relative path, so it moves with them.
        findings: what is shown on top.
        pictures: copies a reduced set into the page, of at most so many bytes, and refers to no other; None: the
            sweep's own files where they lie. Pictures in archives are always a reduced set.

    Raises:
        ValueError: a setting of `pictures` is not allowed.
        OSError: the folder cannot be written.
    """
    settings = PictureSettings(max_bytes=pictures) if isinstance(pictures, int) else pictures
    report = report_data(analysis, results, findings)
    folder.mkdir(parents=True, exist_ok=True)
    scripts = {
        "report": report,
        "scores": scores_data(analysis, results),
        "cells": cells_data(results.cells, results, page_pictures(results, folder, settings)),
    }
    for name in ("data", "assets"):
        (folder / name).mkdir(exist_ok=True)
    for name, data in scripts.items():
        write_atomically(folder / "data" / f"{name}.js", script(name, data))
    for asset in files("scripts.report").joinpath("assets").iterdir():
        if asset.name.endswith((".css", ".js")):
            write_atomically(folder / "assets" / asset.name, asset.read_bytes())
    template = files("scripts.report").joinpath("assets", "index.html").read_text("utf-8")
    path = folder / "index.html"
    write_atomically(path, template.replace("{{title}}", html.escape(report["title"])).encode())
    return path
