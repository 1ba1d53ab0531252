"""Scoring of pictures that are stored, fresh from drawing or from an earlier run."""

from collections.abc import Sequence

import pandas as pd
from torch import Tensor

from metrics.loading import MetricsConfig, Networks
from metrics.score import EditPictures, score_edits
from sweeps.cells import Cell
from sweeps.regions import region_of_picture
from sweeps.store import Store


class Scorer:
    """Scores pictures with one choice of metrics and appends what comes out to the store.

    Args:
        store: the sweep's.
        config: which metrics, by which networks.
        networks: loaded ones.
    """

    def __init__(self, store: Store, config: MetricsConfig, networks: Networks):
        self.store, self.config, self.networks = store, config, networks
        self._rows = pd.DataFrame()

    def score(self, edits: Sequence[EditPictures]) -> None:
        """Score the edits of one group."""
        if edits:
            scores = score_edits(edits, self.config.names, self.networks)
            self.store.append_scores(edits[0].cell_id, scores)

    def load(self, cells: Sequence[Cell]) -> list[EditPictures]:
        """The pictures of one group's cells, all of them stored; those whose pictures are not kept miss.

        Raises:
            OSError: a picture cannot be read.
        """
        if not {cell.cell_id for cell in cells} <= set(self._rows.index):  # other workers store too
            self._rows = self.store.edits().set_index("cell_id")

        def picture(cell: Cell, kind: str) -> Tensor | None:
            path = self._rows.loc[cell.cell_id, f"{kind}_image"]
            return self.store.load_picture(path) if isinstance(path, str) else None

        def mask(cell: Cell) -> Tensor | None:
            stored = picture(cell, "mask") if self.config.needs_source_maps else None
            return None if stored is None else region_of_picture(stored)

        source = picture(cells[0], "source")
        found = [(cell, picture(cell, "target"), picture(cell, "cycle")) for cell in cells]
        return [
            edit_pictures(cell, source, target, cycle, mask(cell))
            for cell, target, cycle in found
            if source is not None and target is not None
        ]


def edit_pictures(
    cell: Cell, source: Tensor, target: Tensor, cycle: Tensor | None, mask: Tensor | None = None
) -> EditPictures:
    """What the metrics read of a cell; pictures uint8 (3, height, width), the edit's region bool (height, width)."""
    return EditPictures(
        cell_id=cell.cell_id,
        category=cell.category,
        kind=cell.edit.kind,
        source_prompt=cell.source.text,
        target_prompt=cell.target.text,
        cycle_mode=cell.cycle_mode,
        source=source,
        target=target,
        cycle=cycle,
        words=tuple(sorted(cell.edit.equalizer)) if cell.edit.kind == "reweight" else (),
        mask=mask,
    )
