"""The figures of a report, as PDF and PNG: what hyperparameters do, what they trade, and the pictures themselves."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from metrics.registry import METRICS
from scripts.report.analysis import ALL, Analysis
from scripts.report.figures import effects, tradeoffs
from scripts.report.figures.style import print_style, save
from scripts.report.results import Results
from scripts.report.views import CENTRES, categories_in_order, metrics_in_order

_CURVES = 6
"""Metrics of a figure of curves; the first has those that tell most, further ones the others."""


def write_figures(
    analysis: Analysis, results: Results, folder: Path, pdf: bool = True, centres: Sequence[str] = CENTRES
) -> list[Path]:
    """Write `figures/*.{png,pdf}` and contact sheets as `figures/sheets/*.png` below the folder.

    Colours are told apart with any colour vision and never alone; text is at least 7 points at the size of print. The
    same tables give the same bytes. What the sweep has no numbers or pictures for is not drawn, and that of an earlier
    report removed.

    Args:
        analysis: the tables that are drawn.
        results: the cells whose pictures the sheets show.
        folder: the report's.
        pdf: also as PDF.
        centres: of `CENTRES`, through which contact sheets vary each hyperparameter.

    Returns:
        The files.

    Raises:
        ValueError: a centre is unknown.
    """
    from scripts.report.figures.sheets import write_sheets  # pictures need torch, the rest does not

    if unknown := set(centres) - set(CENTRES):
        raise ValueError(f"centres: unknown {', '.join(sorted(unknown))}; known: {', '.join(CENTRES)}")
    folder = folder / "figures"
    (folder / "sheets").mkdir(parents=True, exist_ok=True)
    written = []
    with print_style():
        for name, figure in _figures(analysis, results):
            written += save(figure, folder / name, pdf)
    written += write_sheets(analysis, results, folder / "sheets", centres)
    for old in {*folder.glob("*.p[nd][gf]"), *(folder / "sheets").glob("*.png")} - set(written):
        old.unlink()
    return written


def _figures(analysis: Analysis, results: Results) -> Iterator[tuple[str, Figure]]:
    """Every figure that there is something to draw for, with its file's name."""
    metrics, categories = metrics_in_order(analysis, results), categories_in_order(analysis)
    mapped = dict.fromkeys([analysis.words, analysis.keep, "attribute_success", "cycle_lpips"])
    drawn = {
        "pareto": lambda: tradeoffs.fronts(analysis, categories),
        "comparison": lambda: tradeoffs.differences(analysis, metrics, categories),
        "variance": lambda: effects.variance(analysis, metrics, categories),
        "cycle": lambda: tradeoffs.cycles(analysis, categories),
    }
    for name, draw in drawn.items():
        if (figure := draw()) is not None:
            yield name, figure
    for page, at in enumerate(range(0, len(metrics), _CURVES)):
        if (figure := effects.curves(analysis, metrics[at : at + _CURVES], categories)) is not None:
            yield f"effects-{page}" if page else "effects", figure
    for metric in (METRICS[name] for name in mapped):
        whole = ALL if ALL in categories else categories[0]
        for name, figure in (
            (f"effects-{metric.name}", effects.curves_by_category(analysis, metric, categories)),
            (f"heat-{metric.name}", effects.heat_maps(analysis, metric, whole)),
            (f"heat-{metric.name}-categories", effects.heat_by_category(analysis, metric, categories)),
        ):
            if figure is not None:
                yield name, figure
