"""Measure: `python scripts/bench.py editor`, `... sweep`, `... metrics`; `... table` puts what is kept in the README.

All variants run in one process in turn, so that their ratios hold whatever else the machine does.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from p2p.loading import DTYPES, resolve_device
from scripts.benchmarks.editor import bench_editor
from scripts.benchmarks.machine import device_name
from scripts.benchmarks.metrics import TOGETHER, bench_metrics
from scripts.benchmarks.sweep import GRIDS, bench_sweep
from sweeps.files import write_atomically

RESULTS = Path("results/bench")
README = Path("README.md")
BEGIN, END = "<!-- python scripts/bench.py table -->", "<!-- end of table -->"
Report = dict[str, Any]


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    editor = commands.add_parser("editor", help="an edit beside plain generation and an editor that builds its maps")
    editor.add_argument("--width", type=int, default=64, help="channels of the UNet; Stable Diffusion has 320")
    editor.add_argument("--size", type=int, default=32, help="side of the latents; Stable Diffusion has 64")
    editor.add_argument("--edits", type=int, default=4, help="edits of one source")
    editor.add_argument("--steps", type=int, default=5)
    editor.add_argument("--memory-of", help=argparse.SUPPRESS)
    sweep = commands.add_parser("sweep", help="a grid of edits: cell by cell, with one source, with shared prefixes")
    sweep.add_argument("--geometry", choices=("world", "sd14"), default="world", help="sd14: random weights")
    sweep.add_argument("--grid", type=int, choices=sorted(GRIDS), default=75, help="number of cells")
    sweep.add_argument("--batch-size", type=int, default=8)
    sweep.add_argument("--steps", type=int, default=50)
    metrics = commands.add_parser("metrics", help="what scoring takes, by metric and of a sweep on the embedded model")
    metrics.add_argument("--groups", type=int, default=10, help="rendered sources, a dozen edits of each")
    metrics.add_argument("--grid", type=int, choices=sorted(GRIDS), default=75, help="cells of the sweep")
    metrics.add_argument("--batch-size", type=int, default=8)
    metrics.add_argument("--steps", type=int, default=20, help="of the sweep")
    for command in (editor, sweep, metrics):
        command.add_argument("--device", default="auto")
        command.add_argument("--dtype", default="float32", choices=sorted(DTYPES))
        command.add_argument("--rounds", type=int, default=3)
        command.add_argument("--out", type=Path, default=RESULTS)
    commands.add_parser("table", help="write the README's table of what is in results/bench")
    return parser.parse_args(arguments)


def keep(options: argparse.Namespace, results: Report) -> Path:
    """Write a report named by benchmark, geometry and device."""
    device = resolve_device(options.device)
    name = device_name(device)
    settings = {key: value for key, value in vars(options).items() if key not in ("command", "out", "memory_of")}
    report = {"benchmark": options.command, "device": name, "threads": torch.get_num_threads()}
    report |= {"torch": torch.__version__, "settings": settings, "results": results}
    options.out.mkdir(parents=True, exist_ok=True)
    parts = [options.command, *([options.geometry] if options.command == "sweep" else []), name.replace(" ", "-")]
    path: Path = options.out / f"{'-'.join(parts).lower()}.json"
    write_atomically(path, json.dumps(report, indent=1).encode())
    return path


def table(reports: list[Report]) -> str:
    """Reports as Markdown."""
    lines = []
    for report in sorted(reports, key=lambda report: (report["benchmark"], report["device"])):
        lines += ["", *_LINES[report["benchmark"]](report)]
    return "\n".join(lines)


def _editor_lines(report: Report) -> list[str]:
    s = report["settings"]
    what = f"SD 1.x geometry, {s['width']} of 320 channels, latents {s['size']} x {s['size']}, {s['dtype']}"
    rows = [
        f"| {name} | {r['ms_per_sample']:.1f} | {r['ms_per_sample_ratio']:.2f} | "
        f"{r['peak_bytes'] / 1e6:.0f} | {r['peak_bytes_ratio']:.2f} |"
        for name, r in report["results"].items()
    ]
    return [f"`bench.py editor`, {report['device']}: {what}", "", *_EDITOR_HEAD, *rows]


def _sweep_lines(report: Report) -> list[str]:
    s, results = report["settings"], report["results"]
    rows = [
        f"| {name} | {r['unet_samples']:,} | {r['samples_per_cell']:.1f} | {r['seconds']:.1f} | {r['time_ratio']:.2f} |"
        for name, r in results["drawing"].items()
    ]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in results["sweep"]["shares"].items())
    what = f"{s['geometry']}, {s['grid']} cells of one source, {s['steps']} steps, {s['dtype']}"
    lines = [f"`bench.py sweep`, {report['device']}: {what}", "", *_SWEEP_HEAD, *rows, ""]
    lines.append(f"A whole sweep of it, stored and scored: {results['sweep']['cells_per_s']:.2f} cells/s; {shares}.")
    if "matrix_rate" in results:
        rate = results["matrix_rate"]
        lines.append(
            f"The UNet reaches {rate['reached'] / 1e12:.0f} TFLOP/s, {rate['fraction']:.0%} of a matrix product's."
        )
    return lines


def _metrics_lines(report: Report) -> list[str]:
    s, results = report["settings"], report["results"]
    named = {name if name == TOGETHER else f"`{name}`": ms for name, ms in results["ms_per_edit"].items()}
    rows = [f"| {name} | {ms:.2f} |" for name, ms in named.items()]
    shares = ", ".join(f"{name} {share:.1%}" for name, share in results["sweep"]["shares"].items())
    what = f"world, {results['edits']} rendered edits of {s['groups']} sources"
    lines = [f"`bench.py metrics`, {report['device']}: {what}", "", "| | ms an edit |", "|---|---|", *rows, ""]
    lines.append(f"Of a sweep of {s['grid']} cells, {s['steps']} steps, cycle `swap`, stored and scored: {shares}.")
    return lines


_LINES = {"editor": _editor_lines, "sweep": _sweep_lines, "metrics": _metrics_lines}
_BENCHES = {"editor": bench_editor, "sweep": bench_sweep, "metrics": bench_metrics}
_EDITOR_HEAD = ["| | ms a UNet sample | ratio | peak MB | ratio |", "|---|---|---|---|---|"]
_SWEEP_HEAD = ["| | UNet samples | a cell | seconds | ratio |", "|---|---|---|---|---|"]


def read_reports(folder: Path) -> list[Report]:
    """All reports that are kept."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def with_table(readme: str, reports: list[Report]) -> str:
    """The README with its table made new."""
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table(reports)}\n\n{END}{after}"


def main(arguments: list[str] | None = None) -> None:
    """Run, print and keep the results."""
    options = parse_arguments(arguments)
    if options.command == "table":
        README.write_text(with_table(README.read_text(), read_reports(RESULTS)))
        return
    results = _BENCHES[options.command](options)
    if getattr(options, "memory_of", None):
        print(json.dumps(results))
        return
    path = keep(options, results)
    print(f"{table([json.loads(path.read_text())])}\n\n{path}")


if __name__ == "__main__":
    main()
