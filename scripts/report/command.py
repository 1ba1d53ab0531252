"""`p2p-report results/SWEEP ...`: tables, figures and a page on sweeps, from their folders alone.

`p2p-report suggest results/SWEEP` reads a one-at-a-time sweep and writes the experiment file of the grid to draw next.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.command_line import refusals

if TYPE_CHECKING:
    import pandas as pd

    from scripts.report.analysis import Analysis
    from scripts.report.findings import Finding
    from scripts.report.results import Results


def main() -> None:
    """The console script."""
    arguments = sys.argv[1:]
    with refusals("p2p-report"):
        if arguments[:1] == ["suggest"]:
            suggest(arguments[1:])
        else:
            report(arguments)


def report(arguments: Sequence[str]) -> None:
    """Read, analyse, and write all of a report.

    Raises:
        ValueError, OSError: a folder is no sweep's, an option does not fit, or nothing can be written.
    """
    options = _parser().parse_args(arguments)
    began = time.monotonic()
    folder = report_folder(options.sweeps, options.out)
    from scripts.report.analysis import analyse
    from scripts.report.findings import find, write_findings
    from scripts.report.results import read_results

    if options.publish is not None and not 0 < options.publish < math.inf:
        raise ValueError(f"--publish must be megabytes above 0, as 12, got {options.publish:g}")
    if options.wandb and folder != options.sweeps[0] / "report":
        raise ValueError("--wandb adds a report to its sweep's own run; give one sweep and no --out")
    results = read_results(options.sweeps)
    analysis = analyse(results, options.words, options.keep, options.seed)
    findings = find(read_results([*options.sweeps, *options.evidence]) if options.evidence else results, analysis)
    folder.mkdir(parents=True, exist_ok=True)
    print(
        f"{', '.join(results.names)}: {len(results.cells):,} cells of {len(analysis.configurations):,} configurations",
        flush=True,
    )
    if written := write_findings(findings, analysis.notes, folder):
        print(f"  findings    {written}")
    for line in _write(options, analysis, results, findings, folder):
        print(line, flush=True)
    for line in in_short(analysis, findings):
        print(line)
    print(f"\n{time.monotonic() - began:.0f} s")


def suggest(arguments: Sequence[str]) -> None:
    """Write the experiment file of the grid that a one-at-a-time sweep suggests, and say why and what to run.

    Raises:
        ValueError, OSError: the folder is no sweep's, nothing varies there, or the file cannot be written.
    """
    parser = argparse.ArgumentParser(prog="p2p-report suggest", description=(suggest.__doc__ or "").splitlines()[0])
    parser.add_argument("sweep", type=Path, help="the folder of a one-at-a-time sweep, as results/oat")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="a .yaml file in a folder `experiment` (results/SWEEP/experiment/SWEEP_grid.yaml)",
    )
    options = parser.parse_args(arguments)
    from scripts.report.suggest import write_suggestion

    print(write_suggestion(options.sweep, options.out))


def report_folder(sweeps: Sequence[Path], out: Path | None) -> Path:
    """Where a report goes: `out`, else `report` in the sweep's own folder.

    Raises:
        ValueError: several sweeps, and no `out`.
    """
    if out is None and len(sweeps) > 1:
        raise ValueError("--out is needed for several sweeps side by side; give the folder of their report")
    return out or sweeps[0] / "report"


def in_short(analysis: "Analysis", findings: "Sequence[Finding]") -> Iterator[str]:
    """Verdicts, recommended configurations, and literature against proposed values, a line each."""
    if findings:
        yield "\nClaims"
        yield from (f"  {finding.verdict:<13} {finding.claim}" for finding in findings)
    if len(analysis.recommended):
        roles = f"{analysis.words} against {analysis.keep}"
        yield f"\nRecommended ({roles}; chosen on half of the pairs, scores of the others)"
        yield from (_recommended(analysis, row) for _, row in analysis.recommended.iterrows())
    rows = analysis.comparison
    rows = rows[rows["category"] == rows["category"].iloc[-1]] if len(rows) else rows
    if len(rows):
        from scripts.report.analysis import ALL

        where = "over all categories" if rows["category"].iloc[0] == ALL else rows["category"].iloc[0]
        yield f"\nProposed against literature, {where} (p corrected by Holm's method)"
        yield from (_compared(row) for _, row in rows.iterrows())
    yield from (f"note: {note}" for note in analysis.notes)


def _parser() -> argparse.ArgumentParser:
    lines = (__doc__ or "").splitlines()
    parser = argparse.ArgumentParser(prog="p2p-report", description=lines[0], epilog=" ".join(lines[2:]))
    parser.add_argument(
        "sweeps", type=Path, nargs="+", metavar="SWEEP", help="folders of sweeps, as results/quickstart"
    )
    parser.add_argument(
        "--evidence", type=Path, nargs="+", default=[], metavar="SWEEP", help="more sweeps, read for the claims alone"
    )
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="the report's folder (results/SWEEP/report)")
    parser.add_argument("--words", metavar="METRIC", help="what following the words is (clip_directional)")
    parser.add_argument("--keep", metavar="METRIC", help="what keeping the picture is (lpips)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (0)")
    parser.add_argument(
        "--publish",
        type=float,
        metavar="MB",
        help="a report that stands alone: summaries of the sweeps, no sheets, pictures of at most so many megabytes",
    )
    parser.add_argument("--wandb", action="store_true", help="add tables, figures and sheets to the sweep's W&B run")
    for part in ("tables", "figures", "animations", "page"):
        parser.add_argument(f"--no-{part}", action="store_true", help=f"leave the {part} out")
    return parser


def _write(
    options: argparse.Namespace,
    analysis: "Analysis",
    results: "Results",
    findings: "Sequence[Finding]",
    folder: Path,
) -> Iterator[str]:
    """Write the parts that are asked for; a line each, when it is there."""
    if not options.no_tables:
        from scripts.report.tables import write_tables

        write_tables(analysis, results, folder)
        yield f"  tables      {folder / 'tables'}"
    if not options.no_figures:
        from scripts.report.figures import write_figures
        from scripts.report.views import CENTRES

        write_figures(analysis, results, folder, centres=CENTRES if options.publish is None else ())
        yield f"  figures     {folder / 'figures'}"
    if not options.no_animations:
        from scripts.report.animations import write_animations

        number = len(write_animations(analysis, results, folder))
        yield f"  animations  {folder / 'animations'}" if number else "  animations  none: no pictures are kept"
    if not options.no_page:
        from scripts.report.page import write_page

        pictures = None if options.publish is None else int(options.publish * 1e6)
        yield f"  page        {write_page(analysis, results, folder, findings, pictures)}"
    if options.publish is not None:
        from scripts.report.publish import compress_tables, publish_sweeps

        compress_tables(folder / "tables")
        publish_sweeps([*options.sweeps, *options.evidence], folder / "sweeps")
        yield f"  sweeps      {folder / 'sweeps'}"
    if options.wandb:
        from sweeps.tracking import track_report

        track_report(options.sweeps[0])
        yield "  wandb       added to the sweep's run"


def _recommended(analysis: "Analysis", row: "pd.Series") -> str:
    from scripts.report.views import in_words, settings

    line = f"  {row['category']:<15} {in_words(settings(analysis).loc[row['config_id']])}"
    if math.isnan(row["confidence"]):
        return f"{line}: of one pair alone"
    roles = (("words", analysis.words), ("keep", analysis.keep))
    scores = ", ".join(f"{metric} {_estimate(row, role, f'{role}_')}" for role, metric in roles)
    return f"{line}: chosen by {row['confidence']:.0%} of resamples; {scores}"


def _compared(row: "pd.Series") -> str:
    means = f"{row['literature']:8.3f} -> {row['proposed']:8.3f}"
    p = "" if math.isnan(row["p"]) else f", p {row['p_corrected']:.2g}"
    setting = f" [{row['setting']}]" if row["setting"] else ""
    return f"  {row['metric']:<20} {means}, difference {_estimate(row, 'difference', '', '+.3f')}{p}{setting}"


def _estimate(row: "pd.Series", name: str, ends: str, form: str = ".3f") -> str:
    """A mean with its interval, where there is one."""
    low, high = row[f"{ends}low"], row[f"{ends}high"]
    interval = "" if math.isnan(low) else f" ({low:{form}} to {high:{form}})"
    return f"{row[name]:{form}}{interval}"


if __name__ == "__main__":
    main()
