import pytest
import torch
from torch import Tensor

from blemish.inversion.losses import (
    feature_error,
    mask_error,
    noise_regularity,
    renormalise,
    squared_error,
)


def mask_of(n: int = 2, side: int = 16) -> Tensor:
    mask = torch.zeros(n, 1, side, side)
    mask[:, :, 4:9, 5:12] = 1
    return mask


def test_squared_error_is_the_mean_square() -> None:
    a, b = torch.randn(3, 3, 8, 8), torch.randn(3, 3, 8, 8)
    expected = torch.stack([(x - y).square().mean() for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(squared_error(a, b), expected)
    torch.testing.assert_close(squared_error(a, b, torch.ones(3, 1, 8, 8)), expected)


def test_squared_error_sees_only_what_counts() -> None:
    a, b, where = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 16, 16), mask_of()
    other = torch.where(where > 0, b, torch.randn_like(b))
    torch.testing.assert_close(squared_error(a, b, where), squared_error(a, other, where))
    inside = (a - b).square()[:, :, 4:9, 5:12].mean(dim=(1, 2, 3))
    torch.testing.assert_close(squared_error(a, b, where), inside)


def test_where_nothing_counts_there_is_no_error() -> None:
    a, b = torch.randn(2, 3, 8, 8), torch.randn(2, 3, 8, 8)
    assert not squared_error(a, b, torch.zeros(2, 1, 8, 8)).any()


def test_feature_error_is_blind_to_scale_and_zero_at_home() -> None:
    a = [torch.randn(2, 4, 8, 8), torch.randn(2, 6, 4, 4)]
    b = [torch.randn_like(x) for x in a]
    far = feature_error(a, b)
    assert not feature_error(a, a).any()
    torch.testing.assert_close(feature_error([7 * x for x in a], [7 * x for x in b]), far)
    alone = torch.stack([feature_error([x], [y]) for x, y in zip(a, b, strict=True)])
    torch.testing.assert_close(alone.mean(dim=0), far)


def test_feature_error_of_left_out_places() -> None:
    b = [torch.randn(1, 4, 8, 8)]
    a, where = [b[0].clone()], torch.ones(1, 1, 16, 16)
    a[0][:, :, :2] += 1
    where[:, :, :4] = 0
    assert feature_error(a, b).item() > 0
    assert feature_error(a, b, where).item() == 0


def test_a_met_mask_has_next_to_no_error() -> None:
    target = mask_of()
    met = mask_error(60 * (2 * target - 1), target)
    torch.testing.assert_close(met, torch.zeros(2), atol=1e-6, rtol=0)


def test_an_empty_drawing_is_as_far_as_the_mask_is_large() -> None:
    target = mask_of(1)
    logits = torch.full_like(target, -20)
    missing = target.sum()
    # One for the binary distance, 20 for the cross-entropy of each missing pixel.
    torch.testing.assert_close(mask_error(logits, target), (missing + 20 * missing)[None] / missing)


def test_the_drawn_mask_is_cut_at_zero() -> None:
    target = mask_of(1)
    far = mask_error(target - 1e-6, target) - mask_error(target - 0.0, target)
    assert far.item() == pytest.approx(-(16 * 16 - 35) / 35, rel=1e-3), "a logit of 0 is a defect"


@pytest.mark.parametrize("logit", [0.1, 3, 30, 300])
def test_gradients_reach_logits_that_are_far_off(logit: float) -> None:
    target = mask_of(1)
    logits = (logit * (1 - 2 * target)).requires_grad_()
    (gradient,) = torch.autograd.grad(mask_error(logits, target).sum(), logits)
    assert gradient.isfinite().all()
    assert (gradient * (1 - 2 * target) > 1e-3 / 35).all(), "each pulls to its own side"


def test_errors_of_a_batch_are_those_of_its_items() -> None:
    logits, target = torch.randn(4, 1, 16, 16), (torch.rand(4, 1, 16, 16) < 0.3).float()
    apart = [mask_error(logits[k : k + 1], target[k : k + 1]) for k in range(4)]
    torch.testing.assert_close(mask_error(logits, target), torch.cat(apart))


def test_an_empty_target_is_no_division_by_zero() -> None:
    assert mask_error(torch.randn(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)).isfinite().all()


def test_white_noise_is_regular() -> None:
    noise = noise_regularity({"a": torch.randn(8, 1, 64, 64)})
    assert noise.shape == (8,)
    assert noise.mean().item() < 0.1


def test_a_constant_map_is_not() -> None:
    assert noise_regularity({"a": torch.ones(1, 1, 8, 8)}).item() == 2
    assert noise_regularity({"a": torch.ones(1, 1, 16, 16)}).item() == 2 + 2 * 16
    assert noise_regularity({"a": torch.ones(1, 1, 4, 4)}).item() == 2


def test_a_pattern_is_seen_at_its_scale() -> None:
    coarse = torch.randn(1, 1, 8, 8).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    assert noise_regularity({"a": coarse}) > 10 * noise_regularity({"a": torch.randn(1, 1, 64, 64)})


def test_maps_of_many_sizes_add_up() -> None:
    maps = {f"layer{side}": torch.randn(3, 1, side, side) for side in (4, 8, 16)}
    apart = sum(noise_regularity({name: map}) for name, map in maps.items())
    torch.testing.assert_close(noise_regularity(maps), apart)


def test_renormalising_brings_mean_and_deviation_back() -> None:
    maps = {"a": torch.randn(3, 1, 16, 16) * 5 + 2, "b": torch.rand(3, 1, 8, 8).requires_grad_()}
    renormalise(maps)
    for noise in maps.values():
        still = noise.detach()
        torch.testing.assert_close(still.mean(dim=(1, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
        torch.testing.assert_close(still.square().mean(dim=(1, 2, 3)), torch.ones(3))
    again = {name: noise.detach().clone() for name, noise in maps.items()}
    renormalise(again)
    torch.testing.assert_close(again["a"], maps["a"])


def test_a_flat_map_survives() -> None:
    maps = {"a": torch.full((1, 1, 8, 8), 3.0)}
    renormalise(maps)
    assert not maps["a"].any()
