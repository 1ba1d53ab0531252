"""Running groups: denoise, store the pictures, score them."""

import importlib.metadata
import json
import math
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metrics.score import EditPictures
from p2p.inversion import encode_pictures, invert
from p2p.loading import Models
from p2p.plan import Plan, plan_streams
from p2p.sampling import Denoised, decode_latents, denoise, embed_streams, make_scheduler, prepare_latents, whole_batch
from p2p.streams import CompiledStream, Stream
from sweeps.cells import PIXELS_VERSION, Cell, Sampler
from sweeps.groups import Group, plan_group
from sweeps.pictures import pixel_hash
from sweeps.regions import region_picture, source_regions, words_of
from sweeps.score import Scorer, edit_pictures
from sweeps.store import Store

Progress = Callable[[int], None]
NOT_FINITE = "latents are not finite (NaN or infinite); a wider model.dtype may help"


class Drawn(NamedTuple):
    """A group's pictures and cost.

    Attributes:
        source: uint8 (3, height, width), or None if its latents are not finite.
        targets, cycles: one a cell, likewise; a cycle is None too where there is none.
        unet_samples: latents through the UNet.
        wall_s: seconds of drawing.
        batch_size: edited latents per UNet call.
        word_maps: for the source and each cell's target, the words of its prompt with their attention maps
            (map_height, map_width), where words are watched.
        regions: one a cell, bool (height, width), where the plain source attends to the edit's words; None where its
            prompt has none of them; empty where the group keeps none.
    """

    source: Tensor | None
    targets: list[Tensor | None]
    cycles: list[Tensor | None]
    unet_samples: int
    wall_s: float
    batch_size: int
    word_maps: list[list[tuple[str, Tensor]]]
    regions: tuple[Tensor | None, ...] = ()


@dataclass(frozen=True)
class Runner:
    """Draws, stores and scores groups with models and networks loaded once.

    Attributes:
        models: the diffusion model.
        scorer: what scores the pictures.
        store: where results go.
        sweep: its name.
        batch_size: edited latents per UNet call.
        progress: told after each step the number of UNet samples planned for it.
        writer: stores pictures while the next group is drawn.
    """

    models: Models
    scorer: Scorer
    store: Store
    sweep: str
    batch_size: int
    progress: Progress
    writer: Executor

    def run(self, group: Group) -> "Future[int]":
        """Draw and score a group; how many of its cells failed, known as soon as the group is stored.

        What fails as a whole is drawn cell by cell, and a failure becomes a row.

        Raises:
            OSError: the device no longer computes; its failures are no cell's.
        """
        drawn = self._attempt(group)
        if isinstance(drawn, str):
            if len(group.cells) == 1:
                row = self._row(group.cells[0], "failed", drawn, self.batch_size, datetime.now(UTC))
                return self.writer.submit(self._store_rows, [row])
            alone = [self.run(plan_group([cell])) for cell in group.cells]
            return self.writer.submit(lambda: sum(one.result() for one in alone))
        rows, edits = self._rows(group, drawn)
        group_id = group.cells[0].group_id
        if self.store.images.keeps(group_id):
            stored = self.writer.submit(self._store, group_id, rows, edits)
            self.score(edits)
            return stored
        if self.score(edits):
            return self.writer.submit(self._store_rows, rows)
        return self.writer.submit(self._store, group_id, rows, edits)

    def score(self, edits: Sequence[EditPictures]) -> bool:
        """Score the edits of one group; False if that fails: the next run of the command scores what is stored."""
        try:
            self.scorer.score(edits)
        except Exception:
            print(traceback.format_exc(), file=sys.stderr)
            return False
        return True

    def score_stored(self, cells: Sequence[Cell]) -> bool:
        """Score the stored pictures of one group's cells; False if they cannot be read and are to be drawn again."""
        try:
            edits = self.scorer.load(cells)
        except OSError as error:
            print(f"drawn again: {error}", file=sys.stderr)
            return False
        self.score(edits)
        return True

    def _attempt(self, group: Group) -> Drawn | str:
        """A group drawn, or the traceback of why not: in words, since the error itself would hold its tensors."""
        try:
            return self._draw(group)
        except Exception as error:
            check_computes(self.models.device)
            return "".join(traceback.format_exception(error))

    def _draw(self, group: Group) -> Drawn:
        """Draw a group; out of memory, again with half the batch, down to one latent a call."""
        group = replace(group, with_regions=self.scorer.config.needs_source_maps)
        guidance_scale = group.cells[0].sampler.guidance_scale
        batch_size = whole_batch(self.batch_size, guidance_scale)
        while True:
            try:
                return draw_group(self.models, group, batch_size, self.progress)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error) or batch_size == 1:
                    raise
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            half = whole_batch(batch_size // 2, guidance_scale)
            batch_size = half if half < batch_size else 1
            print(f"out of memory: a group is drawn again, {batch_size} latents a call", file=sys.stderr)

    def _rows(self, group: Group, drawn: Drawn) -> tuple[list[dict[str, Any]], list[EditPictures]]:
        """A row for each cell, and the pictures of those that worked."""
        rows, edits = [], []
        now = datetime.now(UTC)
        samples = group.samples_by_cell()
        for i, cell in enumerate(group.cells):
            share = samples[i] / sum(samples)
            cost = {"unet_samples": drawn.unet_samples * share, "wall_s": drawn.wall_s * share}
            target, cycle = drawn.targets[i], drawn.cycles[i]
            if drawn.source is None:
                rows.append({**self._row(cell, "skipped", f"the source's {NOT_FINITE}", drawn.batch_size, now), **cost})
            elif target is None or (cycle is None and group.places[i].cycle is not None):
                rows.append({**self._row(cell, "failed", f"the edit's {NOT_FINITE}", drawn.batch_size, now), **cost})
            else:
                mask = drawn.regions[i] if drawn.regions else None
                edits.append(edit_pictures(cell, drawn.source, target, cycle, mask))
                hashes = {
                    "source_hash": pixel_hash(drawn.source),
                    "target_hash": pixel_hash(target),
                    "cycle_hash": None if cycle is None else pixel_hash(cycle),
                }
                rows.append({**self._row(cell, "ok", None, drawn.batch_size, now), **hashes, **cost})
        return rows, edits

    def _store(self, group_id: str, rows: list[dict[str, Any]], edits: Sequence[EditPictures]) -> int:
        """Store pictures, then rows that name them."""
        pictures: dict[tuple[str, str], Tensor] = {}
        masks: dict[str, str] = {}
        for edit in edits:
            if edit.mask is not None:
                picture = region_picture(edit.mask)
                masks[edit.cell_id] = f"{group_id}-{pixel_hash(picture)[:8]}"
                pictures["mask", masks[edit.cell_id]] = picture
            pictures["source", group_id] = edit.source
            pictures["target", edit.cell_id] = edit.target
            if edit.cycle is not None:
                pictures["cycle", edit.cell_id] = edit.cycle
        paths = self.store.save_pictures(group_id, pictures) if pictures else {}
        for row in rows:
            if row["status"] == "ok":
                row["source_image"] = paths["source", group_id]
                row["target_image"] = paths["target", row["cell_id"]]
                row["cycle_image"] = paths.get(("cycle", row["cell_id"]))
                row["mask_image"] = paths.get(("mask", masks.get(row["cell_id"], "")))
        return self._store_rows(rows)

    def _store_rows(self, rows: list[dict[str, Any]]) -> int:
        self.store.append_edits(rows[0]["cell_id"], rows)
        return sum(row["status"] != "ok" for row in rows)

    def _row(self, cell: Cell, status: str, error: str | None, batch_size: int, created_at: datetime) -> dict[str, Any]:
        """A cell's row; those drawn together are of one time, by which `p2p-status` knows them."""
        device = self.models.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)
        return {
            **cell_columns(cell),
            "status": status,
            "error": error,
            "sweep": self.sweep,
            "device": name,
            "versions": json.dumps({**library_versions(), "batch_size": batch_size}),
            "git_commit": git_commit(),
            "created_at": created_at,
        }


def draw_group(
    models: Models,
    group: Group,
    batch_size: int,
    progress: Progress = lambda samples: None,
    watch_words: bool = False,
) -> Drawn:
    """All pictures of a group: its streams in one `denoise`, then the cycles that start from inverted edits."""
    began = time.perf_counter()
    sampler = group.cells[0].sampler
    noise = prepare_latents(models, group.cells[0].seed, sampler.height, sampler.width)
    watched = words_of(group.cells) if group.with_regions else ()
    plan = replace(group.plan, watch_words=watch_words, watched=watched)
    drawn = _denoise(models, sampler, plan, noise, batch_size, progress)
    word_maps = [
        _word_maps(drawn.streams[i], drawn.word_maps[i]) for i in (0, *(place.target for place in group.places))
    ]
    regions = source_regions(group.cells, drawn) if group.with_regions else ()
    shown = [i for i, stream in enumerate(group.streams) if i == 0 or stream.parent is not None]
    pictures = dict(zip(shown, _finite_pictures(models, drawn.latents[shown]), strict=True))
    unet_samples = drawn.unet_samples
    targets = [pictures[place.target] for place in group.places]
    cycles = [None if p.cycle is None or p.is_inverted else pictures[p.cycle] for p in group.places]
    edits = [(i, target) for i, target in enumerate(targets) if group.places[i].is_inverted and target is not None]
    for at in range(0, len(edits), batch_size):  # each has a root of its own, whose attention is kept for a step
        places, some = zip(*edits[at : at + batch_size], strict=True)
        found, taken = _undo_inverted(models, [group.cells[i] for i in places], some, batch_size, progress)
        unet_samples += taken
        for i, picture in zip(places, found, strict=True):
            cycles[i] = picture
    wall_s = time.perf_counter() - began
    return Drawn(pictures[0], targets, cycles, unet_samples, wall_s, batch_size, word_maps, regions)


def _word_maps(stream: CompiledStream, maps: Tensor | None) -> list[tuple[str, Tensor]]:
    if maps is None:
        return []
    return [(word, maps[place]) for word, place in zip(stream.prompt.words, stream.words, strict=False)]


def _undo_inverted(
    models: Models, cells: Sequence[Cell], edits: Sequence[Tensor], batch_size: int, progress: Progress
) -> tuple[list[Tensor | None], int]:
    """Cycles of some cells, a root and its child each from the noise of the edit, and the UNet samples they took."""
    sampler = cells[0].sampler
    steps = sampler.num_inference_steps
    streams: list[Stream] = []
    for cell in cells:
        streams += [Stream(cell.target), Stream(cell.source, parent=len(streams), edit=cell.reverse)]
    embeds, _ = embed_streams(models, [cell.target for cell in cells], "")
    noise = invert(models, encode_pictures(models, torch.stack(list(edits))), embeds, steps, batch_size, progress)
    plan = plan_streams(streams, steps, starts=[i // 2 for i in range(len(streams))])
    drawn = _denoise(models, sampler, plan, noise, batch_size, progress)
    return _finite_pictures(models, drawn.latents[1::2]), drawn.unet_samples + len(cells) * steps


def _denoise(
    models: Models,
    sampler: Sampler,
    plan: Plan,
    latents: Tensor,
    batch_size: int,
    progress: Progress,
) -> Denoised:
    embeds, negative = embed_streams(models, [stream.prompt for stream in plan.streams], sampler.negative_prompt)
    scheduler = make_scheduler(models, sampler.scheduler, sampler.num_inference_steps)
    samples = 1 if sampler.guidance_scale == 1.0 else 2
    return denoise(
        models,
        scheduler,
        plan,
        embeds,
        negative,
        latents,
        sampler.guidance_scale,
        batch_size,
        lambda step: progress(len(step.latents) * samples),
    )


def _finite_pictures(models: Models, latents: Tensor) -> list[Tensor | None]:
    """Pictures, None for latents that are not finite."""
    finite = latents.isfinite().flatten(1).all(1).tolist()
    pictures = decode_latents(models, latents.nan_to_num())
    return [picture if ok else None for picture, ok in zip(pictures, finite, strict=True)]


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
        "edit": edit.canonical_json,
        "cycle_mode": cell.cycle_mode,
        "dtype": cell.model.dtype,
        "settings_id": cell.settings_id,
        "model_digest": cell.model.digest,
        "pixels_version": PIXELS_VERSION,
    }


def check_computes(device: torch.device) -> None:
    """Raise OSError if a GPU that has computed no longer does: after some errors every call of a process fails."""
    if device.type != "cuda":
        return
    try:
        torch.cuda.synchronize(device)  # takes no memory, which may be what ran out
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OSError(f"{device} no longer computes ({reason}); the same command goes on where it stopped") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on the device or on the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)


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
