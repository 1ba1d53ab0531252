import dataclasses
from collections.abc import Iterator

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from metrics.registry import METRICS
from scripts.report.analysis import ALL, Analysis
from scripts.report.figures import effects, tradeoffs, write_figures
from scripts.report.figures.sheets import rows_of, write_sheets
from scripts.report.figures.style import category_styles, print_style, save
from scripts.report.views import categories_in_order, metrics_in_order, walks
from tests.scripts.report.pictures import colour, with_pictures

CATEGORIES = ("animals", "faces", ALL)
LPIPS = METRICS["lpips"]
SMALLEST = 7.0


@pytest.fixture(autouse=True)
def style() -> Iterator[None]:
    with print_style():
        yield


def panels(figure: Figure | None) -> list[mpl.axes.Axes]:
    """The panels that show something, without colour bars."""
    assert figure is not None
    return [axes for axes in figure.axes if axes.axison and axes.get_label() != "<colorbar>"]


def test_curves_are_the_marginal_means(analysis):
    axes = panels(effects.curves(analysis, [METRICS["ssim"], LPIPS], CATEGORIES))[4 + 1]
    assert axes.get_xlabel() == "cross-replace"
    found = analysis.marginal
    rows = found[(found["metric"] == "lpips") & (found["hyperparameter"] == "cross_replace_steps")]
    for line, category in zip(axes.get_lines(), CATEGORIES, strict=True):
        own = rows[rows["category"] == category].sort_values("value")
        np.testing.assert_array_equal(line.get_xdata(), own["value"])
        np.testing.assert_array_equal(line.get_ydata(), own["mean"])


def test_curves_of_one_category_show_its_interval(analysis):
    figure = effects.curves_by_category(analysis, LPIPS, CATEGORIES)
    axes = panels(figure)[4]
    found = analysis.marginal
    rows = found[(found["metric"] == "lpips") & (found["hyperparameter"] == "k") & (found["category"] == "faces")]
    (band,) = axes.collections
    ys = band.get_paths()[0].vertices[:, 1]
    assert (ys.min(), ys.max()) == (rows["low"].min(), rows["high"].max())


def test_no_blend_stands_left_of_the_smallest_k_and_words_at_equal_distances():
    numbers = pd.DataFrame({"value": [0.3, np.nan, 0.0], "text": ["0.3", "none", "0"]})
    assert effects._places(numbers) == {"none": -0.3, "0": 0.0, "0.3": 0.3}
    words = pd.DataFrame({"value": [np.nan] * 3, "text": ["self", "both", "cross"]})
    assert effects._places(words) == {"both": 0.0, "cross": 1.0, "self": 2.0}


def test_heat_maps_hold_the_two_way_means_and_print_them(analysis):
    first = panels(effects.heat_maps(analysis, LPIPS, "faces"))[0]
    names = {"k (silhouette)": "k", "cross-replace": "cross_replace_steps"}
    found = analysis.two_way
    found = found[(found["category"] == "faces") & (found["metric"] == "lpips")]
    own = found[(found["first"] == names[first.get_ylabel()]) & (found["second"] == names[first.get_xlabel()])]
    table = own.pivot(index="first_value", columns="second_value", values="mean").to_numpy()
    np.testing.assert_array_equal(first.get_images()[0].get_array(), table)
    assert [text.get_text() for text in first.texts] == [f"{value:.2f}".lstrip("0") for value in table.flat]


def test_heat_maps_by_category_are_differences_from_its_mean(analysis):
    for axes in panels(effects.heat_by_category(analysis, LPIPS, CATEGORIES)):
        values = np.asarray(axes.get_images()[0].get_array())
        assert abs(values.mean()) < 1e-12
        assert np.ptp(values) > 0


def test_bars_of_variance_are_whole(analysis):
    metrics = [METRICS["lpips"], METRICS["clip_directional"]]
    for axes in panels(effects.variance(analysis, metrics, CATEGORIES)):
        ends = np.zeros(2)
        for bars in axes.containers:
            ends += [bar.get_width() for bar in bars]
        np.testing.assert_allclose(ends, 1)
        looks = {(bars[0].get_facecolor(), bars[0].get_hatch()) for bars in axes.containers}
        assert len(looks) == len(axes.containers)


def test_the_front_and_the_marked_configurations_are_where_their_means_are(analysis):
    axes = next(one for one in panels(tradeoffs.fronts(analysis, CATEGORIES)) if one.get_title() == "faces")
    lines = {line.get_label(): line for line in axes.get_lines()}
    front = analysis.front[analysis.front["category"] == "faces"].sort_values("keep")
    np.testing.assert_array_equal(lines["Pareto front"].get_xdata(), front["keep"])
    np.testing.assert_array_equal(lines["Pareto front"].get_ydata(), front["words"])
    assert len(lines["configuration"].get_xdata()) == 16
    mark = analysis.configurations["mark"]
    means = analysis.scores[analysis.scores["category"] == "faces"].set_index(["config_id", "metric"])["mean"]
    for name in ("literature", "proposed"):
        config_id = mark.index[mark == name][0]
        at = means[config_id, analysis.keep], means[config_id, analysis.words]
        assert (lines[name].get_xdata()[0], lines[name].get_ydata()[0]) == at
    assert axes.xaxis_inverted(), "LPIPS is better where it is low, so that the best corner is at the upper right"


def test_cycle_errors_stand_beside_the_size_of_the_edit(analysis):
    axes = panels(tradeoffs.cycles(analysis, CATEGORIES))[1]
    lines = {line.get_label(): line for line in axes.get_lines()}
    assert len(lines["V 0"].get_xdata()) == len(lines["V 0.4"].get_xdata()) == 8
    assert lines["V 0.4"].get_ydata().mean() - lines["V 0"].get_ydata().mean() == pytest.approx(0.12, abs=0.02)
    assert axes.get_xlabel().startswith("LPIPS")


def test_differences_are_those_of_the_comparison(analysis):
    axes = panels(tradeoffs.differences(analysis, [LPIPS], CATEGORIES))[0]
    found = analysis.comparison[analysis.comparison["metric"] == "lpips"].set_index("category")
    assert [text.get_text() for text in axes.get_yticklabels()] == ["animals", "faces", "all categories"]
    dots = [line for line in axes.get_lines() if line.get_marker() not in ("None", "")]
    assert [line.get_xdata()[0] for line in dots] == [found.loc[category, "difference"] for category in CATEGORIES]


def test_text_is_readable_in_print_and_colours_are_not_alone(analysis, results):
    metrics = metrics_in_order(analysis, results)
    for figure in (
        effects.curves(analysis, metrics, CATEGORIES),
        effects.heat_maps(analysis, LPIPS, ALL),
        effects.heat_by_category(analysis, LPIPS, CATEGORIES),
        effects.variance(analysis, metrics, CATEGORIES),
        tradeoffs.fronts(analysis, CATEGORIES),
        tradeoffs.cycles(analysis, CATEGORIES),
        tradeoffs.differences(analysis, metrics, CATEGORIES),
    ):
        assert figure is not None
        assert figure.get_figwidth() <= 7
        texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
        assert min(text.get_fontsize() for text in texts) >= SMALLEST
    styles = category_styles([*"abcdef", ALL])
    for key in ("color", "marker", "linestyle"):
        assert len({str(styles[name][key]) for name in "abcdef"}) == 6
    light = sorted(
        sum(w * c for w, c in zip((0.299, 0.587, 0.114), to_rgb(s["color"]), strict=True)) for s in styles.values()
    )
    assert light[-1] - light[0] > 0.5


def test_the_same_figure_gives_the_same_bytes(analysis, tmp_path):
    for name in ("a", "b"):
        figure = tradeoffs.differences(analysis, [LPIPS], CATEGORIES)
        assert figure is not None
        save(figure, tmp_path / name, pdf=True)
    for kind in ("png", "pdf"):
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert b"CreationDate" not in (tmp_path / "a.pdf").read_bytes()


def bare(analysis: Analysis) -> Analysis:
    """The analysis of a sweep with one configuration and no complete grid."""
    names = ("comparison", "marginal", "two_way", "shares", "front", "recommended")
    return dataclasses.replace(analysis, **{name: getattr(analysis, name)[:0] for name in names})


def test_what_there_are_no_numbers_for_is_not_drawn_nor_left(analysis, results, tmp_path):
    folder = tmp_path / "figures"
    folder.mkdir()
    (folder / "variance.png").write_bytes(b"of an earlier report")
    written = write_figures(bare(analysis), results, tmp_path, pdf=False)
    assert {path.name for path in written} == {"pareto.png", "cycle.png"}
    assert {path.name for path in folder.glob("*.png")} == {"pareto.png", "cycle.png"}
    assert all(Image.open(path).width == 1400 for path in written)


def test_a_single_category_has_no_panels_by_category(analysis):
    one = dataclasses.replace(
        analysis,
        scores=analysis.scores[analysis.scores["category"] == "faces"],
        marginal=analysis.marginal[analysis.marginal["category"] == "faces"],
        two_way=analysis.two_way[analysis.two_way["category"] == "faces"],
    )
    assert categories_in_order(one) == ["faces"]
    assert effects.curves_by_category(one, LPIPS, ["faces"]) is None
    assert effects.heat_by_category(one, LPIPS, ["faces"]) is None
    assert len(panels(effects.curves(one, [LPIPS], ["faces"]))) == 4


def test_unknown_centres_are_refused(analysis, results, tmp_path):
    with pytest.raises(ValueError, match="centres: unknown best; known: literature, proposed, recommended"):
        write_figures(analysis, results, tmp_path, centres=("best",))


def test_sheets_show_target_words_by_values_source_first(analysis, results, tmp_path):
    shown = with_pictures(results, tmp_path / "sweep")
    written = write_sheets(analysis, shown, tmp_path, ("literature",))
    assert [path.name for path in written[:4]] == [
        f"animals-{head}-literature.png" for head in ("k", "cross", "self", "V")
    ]
    image = Image.open(next(path for path in written if path.name == "faces-cross-literature.png"))
    walk = next(one for one in walks(analysis, "faces", ("literature",)) if one.hyperparameter == "cross_replace_steps")
    cells = shown.cells.drop_duplicates("config_id").set_index("config_id")
    wanted = [(255, 0, 0), *(colour(cells.loc[config_id]) for config_id in walk.config_ids)]
    middles = [6 + 134 * place + 64 for place in range(3)]
    rows = [y for y in range(image.height) if image.getpixel((middles[0], y)) == (255, 0, 0)]
    assert len(rows) == 4 * 128, "a row for each of four prompt pairs"
    assert [image.getpixel((x, rows[0])) for x in middles] == wanted


def test_sheets_need_pictures_that_were_kept(analysis, results, tmp_path):
    cells = results.cells.assign(target_image=None, source_image=None)
    assert write_sheets(analysis, dataclasses.replace(results, cells=cells), tmp_path, ("literature",)) == []


def test_a_row_is_of_the_seed_with_most_pictures(analysis, results, tmp_path):
    shown = with_pictures(results, tmp_path / "sweep")
    walk = next(walks(analysis, "faces", ("proposed",)))
    cells = shown.cells[shown.cells["category"] == "faces"]
    lost = (cells["pair"] == "pair_00") & (cells["seed"] == 0) & (cells["config_id"] == walk.config_ids[0])
    rows = rows_of(cells[~lost], walk)
    assert [row.caption.rpartition("(")[2] for row in rows] == ["seed 1)", "seed 0)", "seed 0)", "seed 0)"]
    assert all(None not in row.edits for row in rows)
