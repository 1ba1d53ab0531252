"""What a report says of sweeps, as tables: every figure, table and page is drawn from an `Analysis`."""

from dataclasses import dataclass

import pandas as pd

from scripts.report.results import Results

ALL = "all"
"""The category of rows over all categories, each counting alike."""


@dataclass(frozen=True)
class Analysis:
    """The tables of a report. Windows and k are columns of numbers named as in the summary; k is NaN without blend.

    Intervals are of 95%, from a two-level bootstrap: prompt pairs, then seeds. Categories include `ALL`.

    Attributes:
        configurations: `sweeps.configurations.configurations` of the cells, indexed by config_id: texts under the heads
            k, cross, self, V, whatever else differs, and `mark`; joined with the numeric columns of `AXES`.
        scores: one row a category, configuration and metric: category, config_id, metric, mean, low, high, n (values),
            pairs, seeds, nulls, failed, best (the best mean), tied (not distinguishable from the best: paired by pair
            and seed, multiplicity corrected).
        comparison: literature against proposed: category, metric, literature, proposed (means), difference, low, high,
            p, p_corrected, effect_size, pairs, seeds; empty where a sweep lacks one of the two.
        marginal: category, hyperparameter, value, metric, mean, low, high, n.
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
    """Compute every table of a report from the cells of one sweep or of several side by side."""
    raise NotImplementedError
