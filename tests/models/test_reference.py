import pytest
import torch

from blemish.models.reference import (
    downsample_reference,
    filter_reference,
    fir_reference,
    modulated_conv2d_reference,
    modulated_weight_reference,
    stuff_reference,
    upsample_reference,
)

INNER = (slice(None), slice(None), slice(3, -3), slice(3, -3))


def test_the_filter_is_separable_symmetric_and_sums_to_one() -> None:
    taps = torch.tensor([1.0, 3, 3, 1]) / 8
    torch.testing.assert_close(filter_reference(), torch.outer(taps, taps))
    torch.testing.assert_close(filter_reference().sum(), torch.tensor(1.0))


def test_stuffing_keeps_every_pixel_and_adds_only_zeros() -> None:
    x = torch.rand(2, 3, 4, 5) + 1
    stuffed = stuff_reference(x)
    assert stuffed.shape == (2, 3, 8, 10)
    torch.testing.assert_close(stuffed[:, :, ::2, ::2], x)
    assert stuffed.count_nonzero() == x.numel()


@pytest.mark.parametrize("resample", [upsample_reference, downsample_reference])
def test_resampling_keeps_a_constant_away_from_borders(resample) -> None:
    y = resample(torch.full((2, 3, 16, 16), 0.7))
    torch.testing.assert_close(y[INNER], torch.full_like(y[INNER], 0.7))


def test_resampling_doubles_and_halves_the_size() -> None:
    x = torch.randn(1, 2, 8, 12)
    assert upsample_reference(x).shape == (1, 2, 16, 24)
    assert downsample_reference(x).shape == (1, 2, 4, 6)


def test_upsampling_takes_three_quarters_of_the_nearer_pixel() -> None:
    ramp = torch.arange(8.0).expand(1, 1, 8, 8)
    y = upsample_reference(ramp)[0, 0, 8, 2:-2]
    torch.testing.assert_close(y, torch.arange(2, 14) / 2 - 0.25)


def test_downsampling_is_the_transpose_of_upsampling() -> None:
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 4, 4)
    into_small = (downsample_reference(x) * y).sum()
    into_large = (x * upsample_reference(y) / 4).sum()
    torch.testing.assert_close(into_small, into_large)


def test_the_filter_answers_an_impulse_with_itself() -> None:
    x = torch.zeros(1, 1, 7, 7)
    x[0, 0, 3, 3] = 1
    y = fir_reference(x, filter_reference(), padding=(0, 0), gain=2)
    torch.testing.assert_close(y[0, 0], 2 * filter_reference())


def test_demodulated_weights_have_unit_norm() -> None:
    weights = modulated_weight_reference(torch.randn(5, 4, 3, 3), torch.randn(2, 4))
    torch.testing.assert_close(weights.square().sum(dim=(2, 3, 4)), torch.ones(2, 5))


@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize(("up", "down", "size"), [(1, 1, 8), (2, 1, 16), (1, 2, 4)])
def test_a_batch_of_one_equals_an_item_of_a_batch(
    up: int, down: int, size: int, demodulate: bool
) -> None:
    x, weight, styles = torch.randn(3, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(3, 4)
    options = {"demodulate": demodulate, "up": up, "down": down}
    batch = modulated_conv2d_reference(x, weight, styles, **options)
    assert batch.shape == (3, 5, size, size)
    for i in range(3):
        alone = modulated_conv2d_reference(x[i : i + 1], weight, styles[i : i + 1], **options)
        torch.testing.assert_close(alone[0], batch[i])


def test_a_style_of_one_is_a_plain_convolution() -> None:
    x, weight = torch.randn(2, 4, 8, 8), torch.randn(5, 4, 3, 3)
    y = modulated_conv2d_reference(x, weight, torch.ones(2, 4), demodulate=False)
    expected = torch.nn.functional.conv2d(x, weight, padding=1)
    torch.testing.assert_close(y, expected, atol=1e-4, rtol=1e-4)


def test_demodulation_undoes_the_scale_of_the_style() -> None:
    x, weight, styles = torch.randn(2, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(2, 4)
    once = modulated_conv2d_reference(x, weight, styles)
    thrice = modulated_conv2d_reference(x, weight, 3 * styles)
    torch.testing.assert_close(once, thrice)


def test_convolving_up_with_an_impulse_is_upsampling() -> None:
    x, weight = torch.randn(2, 1, 8, 8), torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    y = modulated_conv2d_reference(x, weight, torch.ones(2, 1), demodulate=False, up=2)
    torch.testing.assert_close(y, upsample_reference(x))


def test_convolving_down_with_an_impulse_is_downsampling() -> None:
    x, weight = torch.randn(2, 1, 8, 8), torch.zeros(1, 1, 3, 3)
    weight[0, 0, 1, 1] = 1
    y = modulated_conv2d_reference(x, weight, torch.ones(2, 1), demodulate=False, down=2)
    torch.testing.assert_close(y, downsample_reference(x))


def test_convolving_up_transposes_the_weight() -> None:
    weight = torch.randn(1, 1, 3, 3)
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 4, 4] = 1
    y = modulated_conv2d_reference(x, weight, torch.ones(1, 1), demodulate=False, up=2)
    spread = fir_reference(weight, 4 * filter_reference(), padding=(3, 3))
    torch.testing.assert_close(y[0, 0, 6:12, 6:12], spread[0, 0])


def test_gradients_reach_everything() -> None:
    x, weight, styles = torch.randn(2, 4, 8, 8), torch.randn(5, 4, 3, 3), torch.randn(2, 4)
    for up, down in [(1, 1), (2, 1), (1, 2)]:
        leaves = [t.clone().requires_grad_() for t in (x, weight, styles)]
        modulated_conv2d_reference(*leaves, up=up, down=down).square().sum().backward()
        assert all(t.grad is not None and t.grad.isfinite().all() for t in leaves)
