import numpy as np
import pytest

from p2p.world.captions import parse
from p2p.world.pairs import NUISANCES, changed_share, draw_variants, faintly, partly, sample_pair
from p2p.world.scenes import CATEGORIES, change_mask, render

PAIRS = [sample_pair(number, 3) for number in range(25)]


def test_a_pair_depends_on_its_number_and_seed_alone() -> None:
    assert sample_pair(7, 3) == PAIRS[7]
    assert sample_pair(7, 4) != PAIRS[7]
    first, second = draw_variants(PAIRS[7], 3), draw_variants(PAIRS[7], 3)
    for name, picture in first.items():
        np.testing.assert_array_equal(picture, second[name])


def test_pairs_take_the_categories_in_turn() -> None:
    assert [pair.source.category for pair in PAIRS[:6]] == [*CATEGORIES, CATEGORIES[0]]


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.number}-{pair.factor}")
def test_exactly_one_captioned_factor_changes_and_no_nuisance(pair) -> None:
    source, edit = pair.source.factors, pair.edit.factors
    assert [name for name in source if source[name] != edit[name]] == [pair.factor]
    assert (pair.edit.subject, pair.edit.setting) == (pair.source.subject, pair.source.setting)
    assert change_mask(pair.source, pair.edit).any()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.number}-{pair.factor}")
def test_captions_differ_in_the_factor_alone_and_the_other_caption_is_false(pair) -> None:
    before, after = parse(pair.source_prompt).with_defaults(), parse(pair.target_prompt).with_defaults()
    assert {name for name in before if before[name] != after.get(name)} == {pair.factor}
    assert (before[pair.factor], after[pair.factor]) == (
        pair.source.factors[pair.factor],
        pair.edit.factors[pair.factor],
    )
    other = parse(pair.other_prompt)
    assert other.category == pair.source.category
    assert any(pair.edit.factors[name] != value for name, value in other.with_defaults().items())


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair.number}-{pair.factor}")
def test_wrong_edits_are_wrong_in_one_way(pair) -> None:
    side, both = pair.side.factors, pair.both.factors
    others = [name for name in side if side[name] != pair.source.factors[name]]
    assert len(others) == 1
    assert others != [pair.factor]
    assert both == {**pair.edit.factors, others[0]: side[others[0]]}
    if pair.wrong_value is not None:
        third = pair.wrong_value.factors[pair.factor]
        assert third not in (pair.source.factors[pair.factor], pair.edit.factors[pair.factor])


def test_variants_are_stored_pictures_and_nuisances_change_the_source() -> None:
    for pair in PAIRS[:5]:
        drawn = draw_variants(pair, 3)
        np.testing.assert_array_equal(drawn["none"], render(pair.source))
        np.testing.assert_array_equal(drawn["asked"], render(pair.edit))
        assert {(picture.dtype, picture.shape) for picture in drawn.values()} == {(np.dtype("uint8"), (128, 128, 3))}
        assert all(changed_share(drawn["none"], drawn[name]) > 0 for name in NUISANCES)


def test_the_mask_grows_with_the_share_and_lies_within_the_exact_one() -> None:
    source, edit = render(PAIRS[0].source), render(PAIRS[0].edit)
    exact, inside = (source != edit).any(axis=-1), np.zeros((128, 128), dtype=bool)
    for share in (0.0, 0.25, 0.5, 1.0):
        mask = (partly(source, edit, share) != source).any(axis=-1)
        assert not (inside & ~mask).any()
        assert not (mask & ~exact).any()
        assert mask.sum() == round(share * exact.sum())
        inside = mask
    np.testing.assert_array_equal(partly(source, edit, 1.0), edit)


def test_strength_goes_from_source_to_edit() -> None:
    source, edit = render(PAIRS[1].source), render(PAIRS[1].edit)
    np.testing.assert_array_equal(faintly(source, edit, 0.0), source)
    np.testing.assert_array_equal(faintly(source, edit, 1.0), edit)
    half = np.abs(faintly(source, edit, 0.5).astype(float) - source).sum()
    assert half == pytest.approx(np.abs(edit.astype(float) - source).sum() / 2, rel=0.02)


def test_impossible_shares_and_numbers_are_refused() -> None:
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="share must be in \\[0, 1\\], got 2"):
        partly(picture, picture, 2)
    with pytest.raises(ValueError, match="strength must be in \\[0, 1\\], got -1"):
        faintly(picture, picture, -1)
    with pytest.raises(ValueError, match="got -1 and 0"):
        sample_pair(-1, 0)
