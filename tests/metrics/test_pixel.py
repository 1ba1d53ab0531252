import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from metrics.pixel import mse, psnr, ssim
from tests.metrics.conftest import picture


def images(seed: int, number: int = 2) -> torch.Tensor:
    return torch.stack([picture(seed + i, 32) for i in range(number)]).double() / 255


def plain_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Wang et al. (2004) by its formula over the 11 x 11 windows of mirrored (3, height, width) pictures in [0, 1]."""
    line = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    weights = np.outer(line, line) / line.sum() ** 2

    def mean(values: np.ndarray) -> np.ndarray:
        mirrored = np.pad(values, [(0, 0), (5, 5), (5, 5)], mode="reflect")
        windows = np.lib.stride_tricks.sliding_window_view(mirrored, (11, 11), axis=(1, 2))
        return (windows * weights).sum((-1, -2))

    a, b = mean(first), mean(second)
    variance_a, variance_b = mean(first**2) - a**2, mean(second**2) - b**2
    covariance = mean(first * second) - a * b
    c1, c2 = 0.01**2, 0.03**2
    map_ = (2 * a * b + c1) * (2 * covariance + c2) / ((a**2 + b**2 + c1) * (variance_a + variance_b + c2))
    return float(map_.mean())


def test_ssim_is_the_published_formula():
    first, second = images(1), images(5)
    expected = [plain_ssim(a.numpy(), b.numpy()) for a, b in zip(first, second, strict=True)]
    torch.testing.assert_close(ssim(first, second), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-9)


def test_ssim_agrees_with_torchmetrics():
    first, second = images(1, 4)[:, :, :24], images(5, 4)[:, :, :24]
    expected = structural_similarity_index_measure(first, second, data_range=1.0, reduction="none")
    torch.testing.assert_close(ssim(first, second), expected)
    torch.testing.assert_close(ssim(first.float(), second.float()), expected.float(), rtol=1e-4, atol=1e-4)


def test_psnr_agrees_with_torchmetrics():
    first, second = images(1, 4), images(5, 4)
    expected = peak_signal_noise_ratio(first, second, data_range=1.0, reduction="none", dim=(1, 2, 3))
    torch.testing.assert_close(psnr(first, second), expected)


def test_psnr_and_mse_by_hand():
    first = torch.full((1, 3, 16, 16), 0.5)
    second = first.clone()
    second[:, :, :8] = 0.6
    torch.testing.assert_close(mse(first, second), torch.tensor([0.005]))
    torch.testing.assert_close(psnr(first, second), torch.tensor([-10 * np.log10(0.005)], dtype=torch.float32))


def test_equal_pictures_are_ideal():
    first = images(1)
    assert ssim(first, first).tolist() == pytest.approx([1, 1])
    assert psnr(first, first).tolist() == [float("inf")] * 2
    assert mse(first, first).tolist() == [0, 0]


@pytest.mark.parametrize("measure", [ssim, psnr, mse])
def test_a_picture_scores_alone_as_in_a_batch(measure):
    first, second = images(1, 3), images(5, 3)
    alone = torch.cat([measure(first[i : i + 1], second[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(measure(first, second), alone)


@pytest.mark.parametrize("measure", [ssim, psnr, mse])
def test_wrong_range_dtype_and_shape_are_refused(measure):
    good = images(1)
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got 0 to 255"):
        measure(torch.tensor([0.0, 255.0]).repeat(1, 3, 16, 8), torch.zeros(1, 3, 16, 16))
    with pytest.raises(ValueError, match=r"expected values in \[0, 1\], got -1"):
        measure(good, good * 2 - 1 - good.amin() * 2)
    with pytest.raises(ValueError, match=r"expected floats .* got uint8 \(2, 3, 32, 32\)"):
        measure((good * 255).to(torch.uint8), good)
    with pytest.raises(ValueError, match=r"got float64 \(3, 32, 32\)"):
        measure(good[0], good[0])
    with pytest.raises(ValueError, match=r"one shape, got \(2, 3, 32, 32\) and \(1, 3, 32, 32\)"):
        measure(good, good[:1])


def test_nan_is_not_in_the_range():
    with pytest.raises(ValueError, match="expected values in"):
        mse(torch.full((1, 3, 16, 16), float("nan")), torch.zeros(1, 3, 16, 16))
