"""What a report says of sweeps, as tables: every figure, table and page is drawn from an `Analysis`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from scripts.report.comparisons import comparison_table, robustness_table, scores_table
from scripts.report.effects import dead_table, marginal_table, shares_table, step_table, two_way_table
from scripts.report.grids import find_knobs, scopes
from scripts.report.pareto import choose_metric, front_tables, on_all_pairs
from scripts.report.results import Results
from scripts.report.statistics import ALL as ALL
from scripts.report.statistics import Panel, make_panels
from sweeps.configurations import AXES, configurations
from sweeps.provenance import mixtures

_FEW_PAIRS = 8
_WORLD = "world"
_OF_WORLD = (
    "the embedded model draws small cartoons: it tells how the hyperparameters trade against each other in a real "
    "diffusion model, scored where the truth is known; where on their scales the good values lie, which k fits, and "
    "what happens to photographs has to be measured on Stable Diffusion (model=sd14)"
)


@dataclass(frozen=True)
class Analysis:
    """The tables of a report. Windows and k are columns of numbers named as in the summary; k is NaN without blend.

    Intervals are of 95%, from the standard error of a two-level bootstrap (prompt pairs, then seeds) and Student's t;
    see `scripts.report.statistics`; NaN where there is one pair alone. Categories include `ALL`, in which each counts
    alike.

    Attributes:
        configurations: `sweeps.configurations.configurations` of the cells, indexed by config_id: texts under the heads
            cross, self, V, whatever else differs, and `mark`; joined with the numeric columns of `AXES`, k among them.
        scores: one row a category, configuration and metric: category, config_id, metric, mean, low, high, n (values),
            pairs, seeds, nulls, failed, best (the best mean), tied (not distinguishable from the best: paired by pair
            and seed, multiplicity corrected).
        comparison: literature against proposed: category, metric, literature, proposed (means), difference, low, high,
            p, p_corrected, effect_size, pairs, seeds, setting (what else differs); empty where a sweep lacks one.
        marginal: category, hyperparameter, value, text (the value in words), metric, mean, low, high, n.
        two_way: category, metric, first, first_value, second, second_value, mean, n.
        shares: functional ANOVA: category, metric, term (`k`, `k x cross_replace_steps`, ...), share of the variance
            over configurations; empty where the grid is not factorial.
        dead: hyperparameters that change nothing: category, hyperparameter, identical (share of neighbours along the
            axis whose pictures are equal, byte for byte), dead (bool).
        front: configurations that no other beats in both: category, config_id, words, keep.
        recommended: category, config_id, confidence (share of bootstrap samples that choose it), and for `words`
            and `keep` the mean, low and high on the pairs that did not choose it, and the literature's there:
            words, words_low, words_high, keep, keep_low, keep_high, words_literature, keep_literature.
        robustness: category, config_id, metric, value (spread over seeds within a pair, averaged over pairs).
        words, keep: the metrics of the front: following the words, keeping the picture.
        notes: what a reader has to know: mixtures of versions, failed cells, metrics left out and why.
    """

    configurations: pd.DataFrame
    scores: pd.DataFrame
    comparison: pd.DataFrame
    marginal: pd.DataFrame
    two_way: pd.DataFrame
    shares: pd.DataFrame
    dead: pd.DataFrame
    front: pd.DataFrame
    recommended: pd.DataFrame
    robustness: pd.DataFrame
    words: str
    keep: str
    notes: tuple[str, ...]


def analyse(results: Results, words: str | None = None, keep: str | None = None, seed: int = 0) -> Analysis:
    """Compute every table of a report from the cells of one sweep or of several side by side.

    Args:
        results: read by `read_results`.
        words: the metric of following the words; None: `clip_directional`, else `clip_score`.
        keep: the metric of keeping the picture; None: `lpips`, else `ssim`.
        seed: of the bootstrap.

    Raises:
        ValueError: `words` or `keep` is not scored in these sweeps, or has no direction.
    """
    metrics = results.metrics
    words_metric = choose_metric("words", words, ("clip_directional", "clip_score"), metrics)
    keep_metric = choose_metric("keep", keep, ("lpips", "ssim"), metrics)
    names = [metric.name for metric in metrics]
    texts = configurations(results.cells)
    kinds = _with_numbers(texts, results.cells)
    panels = make_panels(results.cells, names, list(kinds.index))
    knobs = find_knobs(texts, panels)
    found = scopes(knobs, panels)
    shares = shares_table(knobs, found, names)
    scores = scores_table(panels, metrics, list(kinds.index))
    steps = step_table(knobs, results.cells, kinds.index)
    trade = front_tables(panels, metrics, words_metric, keep_metric, kinds, seed)
    return Analysis(
        configurations=kinds,
        scores=scores,
        comparison=comparison_table(panels, metrics, kinds),
        marginal=marginal_table(knobs, found, names),
        two_way=two_way_table(knobs, found, names),
        shares=shares,
        dead=dead_table(steps),
        front=trade[0],
        recommended=trade[1],
        robustness=robustness_table(panels, metrics, list(kinds.index)),
        words=words_metric,
        keep=keep_metric,
        notes=tuple(_notes(results, panels, shares, trade[0], (words_metric, keep_metric))),
    )


def _with_numbers(texts: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Configurations in words, with the hyperparameters in numbers, k in numbers alone."""
    numbers = cells.drop_duplicates("config_id").set_index("config_id")[list(AXES)].astype("float64")
    words = texts.drop(columns=[head for head in texts if head in AXES])
    table = words.join(numbers)
    return table[
        [
            *(head for head in AXES.values() if head in AXES),
            *words,
            *(axis for axis in AXES if axis not in AXES.values()),
        ]
    ]


def _notes(
    results: Results, panels: Sequence[Panel], shares: pd.DataFrame, front: pd.DataFrame, roles: tuple[str, str]
) -> Iterator[str]:
    if set(results.cells.get("model", ())) == {_WORLD}:
        yield _OF_WORLD
    yield from mixtures(results.cells)
    failed = int((results.cells["status"] != "ok").sum())
    if failed:
        yield f"{failed} of {len(results.cells)} cells failed or were skipped and are in no mean"
    single = [panel.category for panel in panels if len(panel.pairs) == 1]
    if single:
        yield f"one prompt pair tells nothing about others: no intervals for {', '.join(single)}"
    few = [f"{len(panel.pairs)} in {panel.category}" for panel in panels if 1 < len(panel.pairs) < _FEW_PAIRS]
    if few:
        yield f"intervals rest on few prompt pairs: {', '.join(few)}"
    missing = [name for name in roles if name not in results.cells]
    if front.empty:
        what = f"{' and '.join(missing)} not scored" if missing else f"no cell has both {' and '.join(roles)}"
        yield f"no front and no recommended configuration: {what}; --words and --keep name other metrics"
    elif other := _on_other_pairs(results, panels, roles):
        yield f"not on the front, for want of the prompt pairs that others have: {', '.join(other)}"
    if shares.empty:
        yield "no complete grid of two hyperparameters or more: no shares of variance and no two-way means"


def _on_other_pairs(results: Results, panels: Sequence[Panel], roles: tuple[str, str]) -> list[str]:
    """How many configurations `on_all_pairs` leaves out, by category."""
    places = [[metric.name for metric in results.metrics].index(name) for name in roles]
    found = []
    for panel in panels:
        own = panel.values[places]
        known, kept = (int(np.isfinite(values).any((2, 3)).all(0).sum()) for values in (own, on_all_pairs(own)))
        if kept < known:
            found.append(f"{known - kept} configuration{'s' * (known - kept > 1)} in {panel.category}")
    return found
