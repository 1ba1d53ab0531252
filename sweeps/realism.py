"""Realism of a sweep's configurations: their edits beside plain pictures of the same prompts from other seeds.

Plain pictures are those of another sweep: its source pictures, and its edits that control nothing (`edit=plain`), of
the same model, steps and guidance; scheduler, negative prompt and size are the user's to keep alike.
`p2p-sweep -m +experiment=generation` draws them.
"""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from metrics.loading import MetricsConfig, load_networks
from metrics.realism import LEAST, realism
from metrics.registry import AGGREGATES, Null
from sweeps.aggregates import ALL, Aggregate
from sweeps.config import WORLD_PATH, world_digest
from sweeps.store import Store

_BATCH = 32
_MODEL = ["model_digest", "num_inference_steps", "guidance_scale"]
_CONTROLS = ["cross_replace_steps", "self_replace_steps", "v_inject_steps"]


def plain_pictures(store: Store) -> pd.DataFrame:
    """The stored pictures that no edit made: columns prompt, seed, path and what of the model they depend on."""
    cells = store.edits()
    cells = cells[cells["status"] == "ok"]
    columns = ["seed", *_MODEL]
    sources = cells[["source_prompt", "source_image", *columns]].set_axis(["prompt", "path", *columns], axis=1)
    controls = cells[["k", *_CONTROLS, "edit"]].itertuples(index=False)
    plain = cells[pd.Series([_is_plain(row) for row in controls], cells.index, dtype=bool)]
    targets = plain[["target_prompt", "target_image", *columns]].set_axis(["prompt", "path", *columns], axis=1)
    found = pd.concat([sources, targets]).dropna(subset=["path"])
    return found.drop_duplicates(["prompt", "seed", *_MODEL]).reset_index(drop=True)


def realism_rows(store: Store, cells: pd.DataFrame, config: MetricsConfig, device: str) -> Iterator[Aggregate]:
    """A row for each configuration, of each category and of all; null, `too_few`, below `LEAST` pictures a side.

    Args:
        store: the sweep's.
        cells: its drawn cells.
        config: with the reference and the network.
        device: of the network.
    """
    reference = Store(Path(str(config.realism.reference)).expanduser())
    features, plain = _Features(config, device), plain_pictures(reference)
    metric = AGGREGATES["realism"]
    kept = cells[cells["target_image"].notna() & _judgeable(cells, config)]
    for config_id, edits in kept.groupby("config_id"):
        for category, group in ((ALL, edits), *edits.groupby("category")):
            beside = _beside(group, plain)
            n, value = min(len(group), len(beside)), None
            if n >= LEAST:
                edited = features.of(store, group["target_image"])
                value = realism(edited, features.of(reference, beside["path"]))
            reason = None if value is not None else Null.TOO_FEW.value
            yield Aggregate(str(config_id), str(category), metric.name, metric.version, features.name, value, n, reason)


def _judgeable(cells: pd.DataFrame, config: MetricsConfig) -> pd.Series:
    """The cells whose pictures the network knows; the embedded world's knows those of that world alone."""
    clip = config.networks.clip
    if clip is None or not str(clip.path).startswith(WORLD_PATH):
        return pd.Series(True, index=cells.index)
    return cells["model_digest"] == world_digest()


def _beside(group: pd.DataFrame, plain: pd.DataFrame) -> pd.DataFrame:
    """Plain pictures of the edits' target prompts, by the same model, from seeds that the edits do not have."""
    same = plain.merge(group[_MODEL].drop_duplicates(), on=_MODEL)
    return same[same["prompt"].isin(group["target_prompt"]) & ~same["seed"].isin(group["seed"])]


def _is_plain(row: Any) -> bool:
    """Whether an edit controls nothing."""
    controls = (getattr(row, name) for name in _CONTROLS)
    return pd.isna(row.k) and all(value == 0 for value in controls) and not json.loads(row.edit).get("equalizer")


@dataclass
class _Features:
    """CLIP embeddings of stored pictures, each computed once; the network is loaded when first used."""

    config: MetricsConfig
    device: str
    seen: dict[str, Tensor] = field(default_factory=dict)

    @property
    def name(self) -> str:
        clip = self.config.networks.clip
        assert clip is not None, "checked with the reference"
        return (clip.model or Path(str(clip.path)).name) if clip.path else f"{clip.model}/{clip.pretrained}"

    @cached_property
    def _clip(self) -> Any:
        return load_networks(replace(self.config, names=("clip_score",)), self.device).clip

    def of(self, store: Store, paths: Iterable[str]) -> Tensor:
        """Unit embeddings (pictures, dim), in order.

        Raises:
            OSError: a picture cannot be read.
        """
        new = [path for path in dict.fromkeys(paths) if f"{store.folder}/{path}" not in self.seen]
        for start in range(0, len(new), _BATCH):
            part = new[start : start + _BATCH]
            pictures = [store.load_picture(path) for path in part]
            with torch.inference_mode():
                for _, own in itertools.groupby(zip(part, pictures, strict=True), lambda one: one[1].shape):
                    names, alike = zip(*own, strict=True)
                    embedded = self._clip.embed_images(torch.stack(alike))
                    self.seen.update({f"{store.folder}/{name}": one for name, one in zip(names, embedded, strict=True)})
        return torch.stack([self.seen[f"{store.folder}/{path}"] for path in paths])
