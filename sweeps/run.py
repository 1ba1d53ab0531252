"""Running groups: denoise, store the pictures, score them."""

import importlib.metadata
import json
import math
import subprocess
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from metrics.score import EditPictures
from torch import Tensor

from p2p.loading import Models
from p2p.sampling import decode_latents, denoise, embed_streams, make_scheduler, prepare_latents
from p2p.streams import compile_streams
from sweeps.cells import Cell
from sweeps.plan import CellStreams, Group, plan_group
from sweeps.score import Scorer, edit_pictures
from sweeps.store import Store

Progress = Callable[[int], None]


class Drawn(NamedTuple):
    """A group's pictures, uint8 (streams, 3, height, width), which of them are of finite latents, and the cost."""

    pictures: Tensor
    finite: list[bool]
    unet_samples: int
    wall_s: float


class CellPictures(NamedTuple):
    """One cell's stored pictures and the row of the edits table."""

    cell: Cell
    row: Mapping[str, Any]
    pictures: EditPictures | None


@dataclass(frozen=True)
class Runner:
    """A worker: models and networks loaded once, a store, and how to run.

    Attributes:
        models: the diffusion model.
        scorer: what scores the pictures.
        store: where results go.
        sweep: its name.
        batch_size: edited streams per UNet call.
        progress: told the number of UNet samples after each step.
    """

    models: Models
    scorer: Scorer
    store: Store
    sweep: str
    batch_size: int
    progress: Progress

    def run(self, group: Group) -> None:
        """Draw, store and score a group; if that fails, each of its cells alone, and a failure becomes a row."""
        try:
            drawn = draw_group(self.models, group, self.batch_size, self.progress)
        except Exception as error:
            if isinstance(error, torch.OutOfMemoryError) and torch.cuda.is_available():
                torch.cuda.empty_cache()
            if len(group.cells) > 1:
                for cell in group.cells:
                    self.run(plan_group([cell]))
                return
            message = "".join(traceback.format_exception(error))
            self.store.append_edits(group.cells[0].cell_id, [self._row(group.cells[0], "failed", message)])
            return
        stored = self._store(group, drawn)
        self.scorer.score([one.pictures for one in stored if one.pictures is not None])

    def _store(self, group: Group, drawn: Drawn) -> list[CellPictures]:
        source = drawn.pictures[0]
        source_image = self.store.save_picture("source", group.cells[0].group_id, source) if drawn.finite[0] else None
        stored = []
        samples = group.samples_by_cell()
        for cell, place, count in zip(group.cells, group.places, samples, strict=True):
            wall_s = drawn.wall_s * count / sum(samples)
            cost: dict[str, Any] = {"unet_samples": count, "wall_s": wall_s}
            error = _failure(drawn.finite, place)
            if error is not None:
                status, message = error
                stored.append(CellPictures(cell, self._row(cell, status, message, **cost), None))
                continue
            target = drawn.pictures[place.target]
            cycle = None if place.cycle is None else drawn.pictures[place.cycle]
            images = {
                "source_image": source_image,
                "target_image": self.store.save_picture("target", cell.cell_id, target),
                "cycle_image": None if cycle is None else self.store.save_picture("cycle", cell.cell_id, cycle),
            }
            pictures = edit_pictures(cell, source, target, cycle)
            stored.append(CellPictures(cell, self._row(cell, "ok", None, **images, **cost), pictures))
        self.store.append_edits(group.cells[0].group_id, [one.row for one in stored])
        return stored

    def _row(self, cell: Cell, status: str, error: str | None, **more: Any) -> dict[str, Any]:
        return {**cell_columns(cell), **self._run_columns(), "status": status, "error": error, **more}

    def _run_columns(self) -> dict[str, Any]:
        device = self.models.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        return {
            "sweep": self.sweep,
            "device": name,
            "versions": json.dumps({**library_versions(), "batch_size": self.batch_size}),
            "git_commit": git_commit(),
            "created_at": datetime.now(UTC),
        }


def draw_group(models: Models, group: Group, batch_size: int, progress: Progress = lambda samples: None) -> Drawn:
    """All pictures of a group in one `denoise`."""
    start = time.perf_counter()
    sampler, seed = group.cells[0].sampler, group.cells[0].seed
    prompts = [stream.prompt for stream in group.streams]
    embeds, negative = embed_streams(models, prompts, sampler.negative_prompt)
    latents, unet_samples = denoise(
        models,
        make_scheduler(models, sampler.scheduler, sampler.num_inference_steps),
        compile_streams(group.streams, sampler.num_inference_steps),
        embeds,
        negative,
        prepare_latents(models, seed, sampler.height, sampler.width),
        sampler.guidance_scale,
        batch_size,
        progress,
    )
    finite = latents.isfinite().flatten(1).all(1).tolist()
    pictures = decode_latents(models, latents.nan_to_num())
    return Drawn(pictures.cpu(), finite, unet_samples, time.perf_counter() - start)


def cell_columns(cell: Cell) -> dict[str, Any]:
    """A cell as columns of the edits table; a window that does not start at 0, or differs by word, is null there."""
    edit = cell.edit
    return {
        "cell_id": cell.cell_id,
        "config_id": cell.config_id,
        "model": cell.model.name,
        "category": cell.category,
        "pair": cell.pair,
        "kind": edit.kind,
        "source_prompt": cell.source.text,
        "target_prompt": cell.target.text,
        "seed": cell.seed,
        "num_inference_steps": cell.sampler.num_inference_steps,
        "guidance_scale": cell.sampler.guidance_scale,
        "k": edit.k,
        "cross_replace_steps": _window_end(edit.cross_replace_steps),
        "self_replace_steps": _window_end(edit.self_replace_steps),
        "v_inject_steps": _window_end(edit.v_inject_steps),
        "edit": json.dumps(edit.canonical(), sort_keys=True),
        "cycle_mode": cell.cycle_mode,
        "dtype": cell.model.dtype,
    }


@cache
def library_versions() -> dict[str, str]:
    """Versions of the libraries that decide pixels and scores."""
    names = ("torch", "diffusers", "transformers", "open_clip_torch", "lpips", "torchmetrics", "p2p-sweep")
    return {name: importlib.metadata.version(name) for name in names}


@cache
def git_commit() -> str | None:
    """The commit of this checkout, `+changed` if files differ from it; None where the code is installed."""
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=True)
        changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=root, capture_output=True, check=False)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+changed" if changed.returncode else "")


def _window_end(window: Any) -> float | None:
    if isinstance(window, Mapping):
        return None
    return 0.0 if window[0] == window[1] else float(window[1]) if math.isclose(window[0], 0) else None


def _failure(finite: Sequence[bool], place: CellStreams) -> tuple[str, str] | None:
    if not finite[place.source]:
        return "skipped", "the source's latents are not finite"
    own = (place.target, place.cycle_root, place.cycle)
    if not all(finite[i] for i in own if i is not None):
        return "failed", "the latents are not finite (NaN or infinite); a wider model.dtype may help"
    return None
