import numpy as np
import pytest
import torch

from metrics.realism import LEAST, realism


def features(number: int, seed: int, shift: float = 0.0, dim: int = 16) -> torch.Tensor:
    drawn = torch.randn((number, dim), generator=torch.Generator().manual_seed(seed)) + shift
    return torch.nn.functional.normalize(drawn, dim=1)


def polynomial_mmd(first: np.ndarray, second: np.ndarray) -> float:
    """The unbiased squared MMD of all pictures with the kernel (x.y / dim + 1)^3."""
    dim = first.shape[1]
    kernel = [(a @ b.T / dim + 1) ** 3 for a, b in ((first, first), (second, second), (first, second))]
    within = [(k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)) for k in kernel[:2]]
    return sum(within) - 2 * kernel[2].mean()


def test_it_is_the_kernel_distance_of_the_two_sets() -> None:
    edited, plain = features(400, 0, shift=0.5), features(500, 1)
    expected = polynomial_mmd(edited.double().numpy(), plain.double().numpy())
    assert expected > 1e-3
    assert realism(edited, plain) == pytest.approx(expected, rel=0.1)


def test_it_grows_with_the_difference_and_is_near_zero_without_one() -> None:
    plain = features(300, 1)
    same, near, far = (realism(features(300, 0, shift), plain) for shift in (0.0, 0.3, 1.0))
    assert abs(same) < near / 5
    assert near < far


def test_the_seed_fixes_it_and_the_callers_randomness_is_left_alone() -> None:
    edited, plain = features(LEAST, 0, 0.2), features(LEAST, 1)
    before = torch.random.get_rng_state()
    assert realism(edited, plain) == realism(edited, plain)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert realism(edited, plain) != realism(edited, plain, seed=1)


def test_too_few_pictures_and_other_features_are_refused() -> None:
    with pytest.raises(ValueError, match=f"needs {LEAST} features a side, got {LEAST - 1} and {LEAST}"):
        realism(features(LEAST - 1, 0), features(LEAST, 1))
    with pytest.raises(ValueError, match="two of one width, got 8 and 16"):
        realism(features(LEAST, 0, dim=8), features(LEAST, 1))
