"""Hold the editor against a folder of reference cases: `python scripts/conformance.py FOLDER`.

The folder has `cases.json`, `reference.safetensors` and `pipeline/`. Prints one line a case, `ok` or `FAIL`, with the
largest difference of the latents relative to the reference's standard deviation. Exit status 0 if all are ok.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

from p2p.alignment import refinement_mapper, replacement_mapper
from p2p.blend import normalised_map
from p2p.edits import Edit
from p2p.loading import Models, load_models
from p2p.plan import plan_streams
from p2p.prompts import tokenize
from p2p.sampling import Step, denoise, embed_streams, make_scheduler
from p2p.streams import Blend, Stream, compile_streams, cross_replace_alpha

TOLERANCE = {"float64": 1e-6, "float32": 1e-4}
MASK_TIE = 1e-5
KINDS = {"replace": "swap", "refine": "refine"}


class Verdict(NamedTuple):
    """How a case came out.

    Attributes:
        difference: largest difference of the latents, relative to the reference's standard deviation.
        margin: how close a normalised word map came to k, where a mask may fall either way.
        problems: what else differs.
    """

    difference: float
    margin: float
    problems: list[str]

    def is_ok(self, dtype: str) -> bool:
        """Within the tolerance; in float32 a mask may differ where its map is within 1e-5 of k."""
        tied = dtype == "float32" and self.margin <= MASK_TIE
        return not self.problems and (self.difference <= TOLERANCE[dtype] or tied)


def case_edit(case: Mapping[str, Any]) -> Edit | None:
    """The edit that a case describes; None for a plain one."""
    if case["kind"] == "none":
        return None
    blend = dict(case.get("local_blend") or {})
    settings = {name: case[name] for name in ("equalizer", "self_replace_max_pixels") if name in case}
    windows = {
        name: tuple(value) if isinstance(value, list) else value
        for name in ("cross_replace_steps", "self_replace_steps")
        if (value := case.get(name, 0.0)) is not None
    }
    return Edit.from_mapping(
        {"kind": KINDS[case["kind"]], "k": blend.pop("k", None), "local_blend": blend, **windows, **settings}
    )


def check_case(models: Models, case: Mapping[str, Any], reference: Mapping[str, Tensor]) -> Verdict:
    """Run one case through the public API and compare everything that the reference holds."""
    source, target = tokenize(models.tokenizer, case["source"]), tokenize(models.tokenizer, case["target"])
    edit = case_edit(case)
    streams = [Stream(source), Stream(target)]
    if edit is not None:
        streams[1] = Stream(target, parent=0, edit=edit.resolve(source, target))
    embeds, negative = embed_streams(models, [source, target], "")
    blend = compile_streams(streams, case["steps"])[1].blend
    margins = [1.0]
    latents = denoise(
        models,
        make_scheduler(models, "ddim", case["steps"]),
        plan_streams(streams, case["steps"]),
        embeds,
        negative,
        reference["initial_latents"].to(models.device, models.dtype),
        case["guidance_scale"],
        batch_size=1,
        callback=lambda step: margins.append(_margin(blend, step)),
    ).latents
    expected = reference["latents"].to(latents)
    difference = float((latents - expected).abs().max() / expected.std())
    return Verdict(difference, min(margins), _compare_alignment(streams[1], source, case["steps"], reference))


def _margin(blend: Blend | None, step: Step) -> float:
    """The least distance of a normalised word map of this step to k."""
    if blend is None or step.number < blend.start_step:
        return 1.0
    size = (step.latents.shape[2], step.latents.shape[3])
    maps = [(step.word_maps[0 if is_parent else 1], at) for is_parent, at in blend.maps]
    normalised = [normalised_map(of_stream[at], size) for of_stream, at in maps if of_stream is not None]
    return float(min((one - blend.k).abs().min() for one in normalised))


def _compare_alignment(stream: Stream, source: Any, steps: int, reference: Mapping[str, Tensor]) -> list[str]:
    if stream.edit is None:
        return []
    found = {"cross_replace_alpha": cross_replace_alpha(stream.prompt, stream.edit.cross_replace_steps, steps)}
    if stream.edit.kind == "swap":
        found["mapper"] = replacement_mapper(source, stream.prompt)
    else:
        found["mapper"], found["alphas"] = refinement_mapper(source, stream.prompt)
    wanted = {name: reference[name] for name in reference if name in ("cross_replace_alpha", "mapper", "alphas")}
    return [
        f"{name} differs"
        for name, value in wanted.items()
        if name not in found or not torch.equal(found[name].to(value.dtype), value)
    ]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder with cases.json, reference.safetensors and pipeline/")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", choices=sorted(TOLERANCE), help="one precision only; default both")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Run every case; 0 if all are ok."""
    options = parse_arguments(arguments)
    cases = json.loads((options.folder / "cases.json").read_text())
    tensors = load_file(options.folder / "reference.safetensors")
    failed = 0
    for dtype in [options.dtype] if options.dtype else TOLERANCE:
        models = load_models(str(options.folder.resolve() / "pipeline"), dtype=dtype, device=options.device)
        for i, case in enumerate(cases):
            reference = {name.split(".", 1)[1]: t for name, t in tensors.items() if name.startswith(f"{i}.")}
            verdict = check_case(models, case, reference)
            ok = verdict.is_ok(dtype)
            failed += not ok
            notes = "".join(f"  {problem}" for problem in verdict.problems)
            print(f"{'ok  ' if ok else 'FAIL'} {dtype}  {verdict.difference:.1e}  {case['name']}{notes}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
