"""Pictures of one colour for made-up sweeps, so that a test can tell which is drawn where."""

import dataclasses
from pathlib import Path

import pandas as pd
from PIL import Image

from scripts.report.results import Results
from sweeps.configurations import AXES

SIZE = 32
SOURCE, CYCLE = (255, 0, 0), (0, 0, 255)
Colour = tuple[int, int, int]


def colour(row: pd.Series) -> Colour:
    """The colour of a cell's edit: green, with its hyperparameters in the other channels."""
    k, cross, self_replace, injected = (0.0 if pd.isna(row[axis]) else float(row[axis]) for axis in AXES)
    return (int(20 + 200 * cross), int(250 - 100 * injected), int(20 + 100 * k + 100 * self_replace))


def with_pictures(results: Results, folder: Path, cycle: bool = True) -> Results:
    """The results with a source, an edit and a cycle picture for every cell, stored loose."""
    cells = results.cells.copy()
    for kind in ("source", "target", "cycle"):
        (folder / "images" / kind).mkdir(parents=True)
    Image.new("RGB", (SIZE, SIZE), SOURCE).save(folder / "images" / "source" / "red.png")
    Image.new("RGB", (SIZE, SIZE), CYCLE).save(folder / "images" / "cycle" / "blue.png")
    for _, row in cells.drop_duplicates("config_id").iterrows():
        Image.new("RGB", (SIZE, SIZE), colour(row)).save(folder / "images" / "target" / f"{name(row)}.png")
    cells["source_image"] = "images/source/red.png"
    cells["cycle_image"] = "images/cycle/blue.png" if cycle else None
    cells["target_image"] = [f"images/target/{name(row)}.png" for _, row in cells.iterrows()]
    return dataclasses.replace(results, cells=cells.assign(folder=str(folder)))


def name(row: pd.Series) -> str:
    """A file's name for a configuration."""
    return str(row["config_id"]).replace(" ", "_").replace(".", "-")
