from math import log, pi, sqrt

import pytest
import torch

from blemish.models.logits import HINGE, LOGISTIC, Heads, WeightedLogits, mean_logit
from blemish.models.losses import (
    kl_to_normal,
    multiscale_l1,
    overlap_error,
    path_lengths,
    r1_penalty,
)


def heads(*logits: torch.Tensor) -> Heads:
    return [WeightedLogits.single(each) for each in logits]


def test_an_undecided_critic_costs_the_logarithm_of_two() -> None:
    nothing = torch.zeros(3)
    torch.testing.assert_close(LOGISTIC.of_generator(heads(nothing)), torch.full((3,), log(2)))
    torch.testing.assert_close(
        LOGISTIC.of_critic(heads(nothing), heads(nothing)), torch.full((3,), 2 * log(2))
    )


def test_the_logistic_losses_are_negative_logarithms_of_probabilities() -> None:
    real, fake = torch.randn(5), torch.randn(5)
    torch.testing.assert_close(LOGISTIC.of_generator(heads(fake)), -fake.sigmoid().log())
    expected = -real.sigmoid().log() - (1 - fake.sigmoid()).log()
    torch.testing.assert_close(LOGISTIC.of_critic(heads(real), heads(fake)), expected)


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_the_logistic_losses_stay_finite_with_gradients(logit: float) -> None:
    logits = torch.full((2,), logit, requires_grad=True)
    found = heads(logits)
    (LOGISTIC.of_critic(found, found) + LOGISTIC.of_generator(found)).sum().backward()
    assert logits.grad is not None and logits.grad.isfinite().all()


def test_the_hinge_spares_what_is_judged_rightly_by_a_margin() -> None:
    sure, unsure = torch.tensor([1.0, 3.0]), torch.tensor([0.5, -1.0])
    assert HINGE.of_critic(heads(sure), heads(-sure)).tolist() == [0, 0]
    torch.testing.assert_close(HINGE.of_critic(heads(unsure), heads(-unsure)), 2 * (1 - unsure))
    torch.testing.assert_close(HINGE.of_generator(heads(unsure)), -unsure)


def test_heads_count_alike_and_places_by_their_weights() -> None:
    logits, weights = torch.tensor([[[[1.0, 5.0]]]]), torch.tensor([[[[0.75, 0.25]]]])
    one, other = WeightedLogits(logits, weights), WeightedLogits.even(torch.zeros(1, 1, 7, 3))
    torch.testing.assert_close(mean_logit([one, other]), torch.tensor([1.0]))


@pytest.mark.parametrize("n", [1, 4])
def test_r1_of_a_linear_critic_is_its_squared_weight(n: int) -> None:
    weight = torch.randn(4, 8, 8)
    real = torch.randn(n, 4, 8, 8, requires_grad=True)
    logits = (real * weight).sum(dim=(1, 2, 3))
    torch.testing.assert_close(r1_penalty(logits, real), weight.square().sum().expand(n))


def test_r1_of_a_square_is_four_times_it_and_has_a_gradient() -> None:
    real = torch.randn(3, 4, 8, 8, requires_grad=True)
    squares = real.square().sum(dim=(1, 2, 3))
    penalty = r1_penalty(squares, real)
    torch.testing.assert_close(penalty, 4 * squares)
    penalty.sum().backward()
    torch.testing.assert_close(real.grad, 8 * real.detach())


@pytest.mark.parametrize("layers", [1, 3])
def test_path_lengths_of_a_linear_generator(layers: int) -> None:
    """Each row adds A w to a picture of 6 × 4, so each row's gradient is A' y / √24."""
    a, w = torch.randn(3 * 6 * 4, 5), torch.randn(2, layers, 5, requires_grad=True)
    image = (w.sum(dim=1) @ a.T).view(2, 3, 6, 4)
    noise = torch.randn(2, 3, 6, 4)
    expected = (noise.flatten(1) @ a / sqrt(24)).norm(dim=1)
    torch.testing.assert_close(path_lengths(image, w, noise), expected)


def test_a_shift_of_all_pixels_is_its_own_size_at_every_scale() -> None:
    target = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(multiscale_l1(target + 0.3, target), torch.full((2,), 0.3))


@pytest.mark.parametrize("scales", [1, 2, 4])
def test_a_chequerboard_is_seen_at_the_finest_scale_alone(scales: int) -> None:
    axis = torch.arange(16)
    board = ((axis[:, None] + axis) % 2 * 2.0 - 1).expand(1, 3, 16, 16)
    far = multiscale_l1(board, torch.zeros_like(board), scales=scales)
    torch.testing.assert_close(far, torch.tensor([1 / scales]))


def test_a_standard_normal_diverges_by_nothing() -> None:
    assert not kl_to_normal(torch.zeros(2, 5), torch.zeros(2, 5)).any()


def test_the_divergence_of_a_gaussian() -> None:
    mean, log_variance = torch.randn(2, 4, 5).unbind()
    theirs = torch.distributions.Normal(mean, (log_variance / 2).exp())
    normal = torch.distributions.Normal(torch.zeros(5), torch.ones(5))
    expected = torch.distributions.kl_divergence(theirs, normal).sum(dim=1)
    torch.testing.assert_close(kl_to_normal(mean, log_variance), expected)


def test_the_divergence_grows_by_half_the_squared_mean() -> None:
    mean = torch.full((1, 4), pi)
    torch.testing.assert_close(kl_to_normal(mean, torch.zeros(1, 4)), torch.tensor([2 * pi**2]))


def half(n: int = 2) -> torch.Tensor:
    mask = torch.zeros(n, 1, 4, 4)
    mask[:, :, :2] = 1
    return mask


def test_a_mask_that_is_met_costs_nothing_and_its_opposite_the_most() -> None:
    mask = half()
    torch.testing.assert_close(overlap_error(40 * (2 * mask - 1), mask), torch.zeros(2))
    opposite = overlap_error(40 * (1 - 2 * mask), mask)
    torch.testing.assert_close(opposite, torch.full((2,), 40 + 1 - 1 / 17))


def test_an_undecided_mask_costs_the_logarithm_of_two_and_half_of_dice() -> None:
    both, total = 4, 16
    expected = log(2) + 1 - (2 * both + 1) / (total + 1)
    torch.testing.assert_close(
        overlap_error(torch.zeros(2, 1, 4, 4), half()), torch.full((2,), expected)
    )


def test_gradients_lead_to_a_small_mask_from_where_nothing_is_drawn() -> None:
    mask, logits = torch.zeros(1, 1, 16, 16), torch.full((1, 1, 16, 16), -20.0, requires_grad=True)
    mask[0, 0, 3, 4] = 1
    overlap_error(logits, mask).sum().backward()
    assert logits.grad is not None
    assert logits.grad[0, 0, 3, 4] < -1e-3
    assert logits.grad[mask == 0].abs().max() < 1e-6
