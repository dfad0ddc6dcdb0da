from math import log10

import pytest
import torch
import torch.nn.functional as F

from blemish.errors import DataError
from blemish.evaluation.metrics import (
    boundary_f,
    frechet_distance,
    kernel_distance,
    mask_iou,
    memorisation_rate,
    ms_ssim,
    nearest,
    psnr,
    sliced_wasserstein,
)


def pictures(n: int = 2, side: int = 64) -> torch.Tensor:
    """Smooth noise, so that neighbours resemble each other as in photographs."""
    return F.interpolate(torch.rand(n, 3, 8, 8) * 2 - 1, size=side, mode="bilinear")


def square(*corners: tuple[int, int, int, int], side: int = 64) -> torch.Tensor:
    masks = torch.zeros(len(corners), 1, side, side)
    for mask, (top, left, bottom, right) in zip(masks, corners, strict=True):
        mask[:, top:bottom, left:right] = 1
    return masks


@pytest.mark.parametrize("offset", [0.01, 0.1, 1.0])
def test_psnr_of_a_constant_offset(offset: float) -> None:
    a = torch.zeros(2, 3, 8, 8)
    expected = torch.full((2,), 10 * log10(4 / offset**2))
    torch.testing.assert_close(psnr(a, a + offset), expected)


def test_psnr_of_black_against_white_is_zero_and_of_equals_infinite() -> None:
    a = torch.full((1, 3, 8, 8), -1.0)
    assert psnr(a, -a).item() == pytest.approx(0)
    assert psnr(a, a).isposinf().all()


@pytest.mark.parametrize("side", [11, 32, 64, 176])
def test_ms_ssim_of_equal_pictures_is_one(side: int) -> None:
    a = pictures(side=side)
    torch.testing.assert_close(ms_ssim(a, a), torch.ones(2))


def test_ms_ssim_falls_with_noise() -> None:
    a, noise = pictures(1), torch.randn(1, 3, 64, 64)
    scores = torch.cat([ms_ssim(a, a + level * noise) for level in (0.01, 0.05, 0.2, 0.8)])
    assert (scores.diff() < 0).all() and scores[0] > 0.95 and scores[-1] < 0.6


def test_ms_ssim_of_two_constants_is_the_luminance_of_the_last_scale() -> None:
    a, b = torch.full((1, 3, 64, 64), -0.4), torch.full((1, 3, 64, 64), 0.6)
    luminance = (2 * 0.3 * 0.8 + 1e-4) / (0.3**2 + 0.8**2 + 1e-4)
    weight = 0.3001 / (0.0448 + 0.2856 + 0.3001)
    score = ms_ssim(a.double(), b.double()).float()
    torch.testing.assert_close(score, torch.tensor([luminance**weight]))


def test_ms_ssim_at_one_scale_is_the_ssim_written_out() -> None:
    a, b = torch.rand(1, 3, 11, 11), torch.rand(1, 3, 11, 11)
    taps = torch.exp(-(torch.arange(-5.0, 6) ** 2) / 4.5)
    window = torch.outer(taps, taps) / taps.sum() ** 2
    channels = []
    for x, y in zip(a[0].double(), b[0].double(), strict=True):
        mx, my = (window * x).sum(), (window * y).sum()
        vx, vy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum()
        vxy = (window * (x - mx) * (y - my)).sum()
        upper = (2 * mx * my + 0.01**2) * (2 * vxy + 0.03**2)
        channels.append(upper / ((mx**2 + my**2 + 0.01**2) * (vx + vy + 0.03**2)))
    expected = torch.stack(channels).clamp(min=0).mean()[None].float()
    torch.testing.assert_close(ms_ssim(2 * a - 1, 2 * b - 1), expected, atol=1e-4, rtol=1e-3)


def test_iou_of_squares() -> None:
    a = square((0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 10, 10), (0, 0, 0, 0), (0, 0, 0, 0))
    b = square((0, 0, 10, 10), (0, 5, 10, 15), (20, 20, 30, 30), (0, 0, 4, 4), (0, 0, 0, 0))
    torch.testing.assert_close(mask_iou(a, b), torch.tensor([1, 1 / 3, 0, 0, 1]))


def test_iou_is_symmetric_and_cuts_at_one_half() -> None:
    a, b = torch.rand(4, 1, 16, 16), torch.rand(4, 1, 16, 16)
    torch.testing.assert_close(mask_iou(a, b), mask_iou(b, a))
    torch.testing.assert_close(mask_iou(a, (a >= 0.5).float()), torch.ones(4))


@pytest.mark.parametrize(("shift", "score"), [(0, 1), (3, 1), (30, 0)])
def test_boundary_f_forgives_what_lies_within_the_tolerance(shift: int, score: float) -> None:
    a = square((10, 10, 20, 20))
    b = square((10 + shift, 10, 20 + shift, 20))
    torch.testing.assert_close(boundary_f(a, b), torch.tensor([float(score)]))


def test_boundary_f_of_lines_counts_the_pixels_near() -> None:
    long, short = square((8, 0, 9, 40)), square((8, 0, 9, 10))
    recall = 13 / 40  # ten pixels of the short line and three beyond its end
    expected = torch.tensor([2 * recall / (1 + recall)])
    torch.testing.assert_close(boundary_f(short, long), expected)
    torch.testing.assert_close(boundary_f(long, short), expected)


def test_boundary_f_separates_a_disc_from_its_ring_only_by_the_hole() -> None:
    solid, ring = square((10, 10, 50, 50)), square((10, 10, 50, 50))
    ring[..., 20:40, 20:40] = 0
    assert 0.6 < boundary_f(solid, ring).item() < 0.9


def test_boundary_f_of_empty_masks() -> None:
    empty, full = square((0, 0, 0, 0)), square((0, 0, 64, 64))
    scores = [boundary_f(x, y).item() for x, y in [(empty, empty), (empty, full), (full, empty)]]
    assert scores == [1, 0, 0]


def naive_kernel_distance(x: torch.Tensor, y: torch.Tensor) -> float:
    def k(a: torch.Tensor, b: torch.Tensor) -> float:
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    across = sum(k(a, b) for a in x for b in y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)


def test_kernel_distance_is_the_double_loop() -> None:
    x, y = torch.randn(7, 5).double(), torch.randn(4, 5).double() + 0.5
    assert kernel_distance(x, y) == pytest.approx(naive_kernel_distance(x, y))


def test_kernel_distance_is_about_zero_within_a_distribution_and_grows_with_the_shift() -> None:
    x, y = torch.randn(500, 16), torch.randn(400, 16)
    distances = [kernel_distance(x, y + shift) for shift in (0, 0.5, 1)]
    assert abs(distances[0]) < 0.02 and 0.1 < distances[1] < distances[2]


def test_kernel_distance_is_unbiased() -> None:
    draws = [kernel_distance(torch.randn(5, 4), torch.randn(5, 4)) for _ in range(400)]
    assert abs(torch.tensor(draws).mean()) < 4 * torch.tensor(draws).std() / 400**0.5


def test_kernel_distance_over_subsets_is_repeatable_and_near_the_whole() -> None:
    x, y = torch.randn(300, 8), torch.randn(300, 8) + 0.5
    whole = kernel_distance(x, y)
    first = kernel_distance(x, y, subsets=50, size=100, seed=1)
    assert first == kernel_distance(x, y, subsets=50, size=100, seed=1)
    assert first != kernel_distance(x, y, subsets=50, size=100, seed=2)
    assert first == pytest.approx(whole, rel=0.1)
    assert kernel_distance(x, y, subsets=1, size=1000) == pytest.approx(whole)


def gaussian_with(mean: torch.Tensor, deviations: torch.Tensor, n: int) -> torch.Tensor:
    """Rows whose sample mean and covariance are exactly those of the Gaussian."""
    white = torch.randn(n, len(mean)).double()
    white = torch.linalg.qr(white - white.mean(dim=0)).Q * (n - 1) ** 0.5
    return white * deviations + mean


def test_frechet_of_diagonal_gaussians_in_closed_form() -> None:
    means, deviations = torch.randn(2, 6).double(), torch.rand(2, 6).double() + 0.1
    x = gaussian_with(means[0], deviations[0], 50)
    y = gaussian_with(means[1], deviations[1], 80)
    expected = (means[0] - means[1]).square().sum() + (deviations[0] - deviations[1]).square().sum()
    assert frechet_distance(x, y) == pytest.approx(float(expected))


def test_frechet_is_the_formula_with_a_matrix_root() -> None:
    x, y = torch.randn(60, 5).double() @ torch.randn(5, 5).double(), torch.randn(70, 5).double()
    eigenvalues = torch.linalg.eigvals(torch.cov(x.T) @ torch.cov(y.T)).real
    traces = torch.cov(x.T).trace() + torch.cov(y.T).trace() - 2 * eigenvalues.sqrt().sum()
    expected = float((x.mean(dim=0) - y.mean(dim=0)).square().sum() + traces)
    assert frechet_distance(x, y) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 10, 100])
def test_frechet_of_a_set_with_itself_is_zero_however_few_there_are(n: int) -> None:
    x = torch.randn(n, 32)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, x + 1) == pytest.approx(32, rel=1e-5)


@pytest.mark.parametrize("measure", [kernel_distance, frechet_distance, memorisation_rate])
def test_a_set_of_one_is_refused(measure) -> None:
    with pytest.raises(DataError, match="set of 1"):
        measure(torch.randn(5, 4), torch.randn(1, 4))


def test_nearest_finds_the_row_and_its_distance() -> None:
    b = torch.randn(20, 8)
    order = torch.randperm(20)
    distance, index = nearest(b[order], b)
    assert torch.equal(index, order) and (distance == 0).all()
    far, _ = nearest(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [6.0, 8.0]]))
    assert far.item() == pytest.approx(5)


def test_memorisation_rate_separates_copies_from_fresh_draws() -> None:
    training = torch.randn(2000, 4)
    copies = training[:100] + 1e-4
    assert memorisation_rate(copies, training) == 1
    assert memorisation_rate(torch.randn(1000, 4), training) == pytest.approx(0.05, abs=0.03)
    assert memorisation_rate(torch.cat([copies, torch.full((100, 4), 50.0)]), training) == 0.5


def test_memorisation_of_a_training_set_with_duplicates_counts_exact_copies() -> None:
    training = torch.randn(10, 4).repeat(2, 1)
    assert memorisation_rate(training[:5], training) == 1
    assert memorisation_rate(training[:5] + 1, training) == 0


def test_sliced_wasserstein_is_zero_for_equal_sets_and_names_each_scale() -> None:
    a = pictures(6, 64)
    distances = sliced_wasserstein(a, a)
    assert list(distances) == [64, 32, 16] and not any(distances.values())


def test_sliced_wasserstein_finds_the_scale_that_differs() -> None:
    a, b = pictures(16, 64), pictures(16, 64)
    alike = sliced_wasserstein(a, b)
    noisy = sliced_wasserstein(a, b + 0.3 * torch.randn_like(b))
    assert noisy[64] > 2 * alike[64] and noisy[16] < 2 * alike[16]


@pytest.mark.parametrize("measure", [psnr, ms_ssim])
def test_a_batch_of_one_equals_an_item_of_a_batch(measure) -> None:
    a, b = pictures(3), pictures(3)
    alone = torch.cat([measure(a[i : i + 1], b[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(measure(a, b), alone)
