"""Contact sheets as the method's article shows them: rows are target words, columns a hyperparameter's values."""

import io
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from scripts.report.analysis import ALL, Analysis
from scripts.report.results import Results
from scripts.report.views import Walk, categories_in_order, walks
from sweeps.configurations import AXES
from sweeps.contact_sheets import Sheet, SheetRow, draw_sheet
from sweeps.files import write_atomically

MOST_ROWS = 8


def write_sheets(analysis: Analysis, results: Results, folder: Path, centres: Sequence[str]) -> list[Path]:
    """Draw `<category>-<hyperparameter>-<centre>.png` for every walk whose pictures were kept."""
    written = []
    for category in categories_in_order(analysis):
        if category == ALL:
            continue
        cells = results.cells[(results.cells["category"] == category) & results.cells["target_image"].notna()]
        for walk in walks(analysis, category, centres):
            rows = rows_of(cells, walk)
            if not rows:
                continue
            heads: list[tuple[str, ...]] = [(f"{AXES[walk.hyperparameter]} {value}",) for value in walk.values]
            heads[walk.home] = (walk.centre, *heads[walk.home])
            title = f"{category}: {AXES[walk.hyperparameter]}, at {walk.others}"
            buffer = io.BytesIO()
            draw_sheet(Sheet(title, tuple(heads), rows, ())).save(buffer, format="PNG", compress_level=6)
            path = folder / f"{category}-{AXES[walk.hyperparameter]}-{walk.centre}.png"
            write_atomically(path, buffer.getvalue())
            written.append(path)
    return written


def rows_of(cells: pd.DataFrame, walk: Walk) -> tuple[SheetRow, ...]:
    """A row for each prompt pair, at its first seed that has most of the walk's pictures."""
    own = cells[cells["config_id"].isin(walk.config_ids)]
    rows = []
    for _, group in list(own.groupby("pair", sort=False))[:MOST_ROWS]:
        seed = group.groupby("seed").size().idxmax()
        some = group[group["seed"] == seed]
        first = some.iloc[0]
        found = {row.config_id: picture(row.folder, row.target_image) for row in some.itertuples()}
        caption = f"{first['source_prompt']} -> {first['target_prompt']}   (seed {seed})"
        source = picture(first["folder"], first["source_image"])
        rows.append(SheetRow(caption, source, tuple(found.get(config_id) for config_id in walk.config_ids)))
    return tuple(rows)


def picture(folder: object, path: object) -> Path | None:
    """Where a cell's recorded picture lies; None if none was kept."""
    return Path(str(folder)) / path if isinstance(path, str) else None
