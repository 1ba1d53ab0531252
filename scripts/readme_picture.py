"""Draw results/quickstart.png from the quickstart's store: a word swap of every category by four configurations."""

import sys
from pathlib import Path

import pandas as pd

from sweeps.contact_sheets import Sheet, SheetRow, draw_sheet

CONFIGURATIONS = {
    ("literature", "k 0.3", "cross 0.8, self 0.2"): (0.3, 0.8, 0.2, 0.0),
    ("literature", "with V-injection", "V 0.4"): (0.3, 0.8, 0.2, 0.4),
    ("proposed", "k 0", "cross 0.2, self 0.8"): (0.0, 0.2, 0.8, 0.0),
    ("proposed", "with silhouette", "k 0.3"): (0.3, 0.2, 0.8, 0.0),
}
SETTINGS = ["k", "cross_replace_steps", "self_replace_steps", "v_inject_steps"]


def main(folder: Path = Path("results/quickstart"), out: Path = Path("results/quickstart.png")) -> None:
    """Read the summary, write the picture."""
    summary = pd.read_parquet(folder / "summary.parquet").query("kind == 'swap'")
    rows = []
    for _, cells in summary.groupby("category", sort=False):
        cells = cells[cells["pair"] == cells["pair"].iloc[0]]
        edits = {tuple(row[name] for name in SETTINGS): folder / row["target_image"] for _, row in cells.iterrows()}
        first = cells.iloc[0]
        caption = f"{first['source_prompt']} -> {first['target_prompt']}"
        rows.append(SheetRow(caption, folder / first["source_image"], tuple(map(edits.get, CONFIGURATIONS.values()))))
    draw_sheet(Sheet("Edits of the quickstart", tuple(CONFIGURATIONS), tuple(rows), ())).save(out)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
