from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from blemish.models import layers
from blemish.models.layers import (
    SQRT2,
    Conv,
    FullyConnected,
    SynthesisLayer,
    ToRGB,
    activate,
    binomial_filter,
    blur,
    conv_up,
    gaussian_blur,
    modulated_conv,
    normalise,
    upsample,
)
from blemish.models.reference import (
    downsample_reference,
    filter_reference,
    fir_reference,
    modulated_conv2d_reference,
    slow_path,
    upsample_reference,
)

# The demodulation is computed in float32 whatever comes in.
CLOSE: dict[str, Any] = {"rtol": 1e-5, "atol": 1e-6}
UP = binomial_filter().double()
Operator = Callable[..., Tensor]


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def orders(operator: Operator, inputs: list[Tensor]) -> list[Tensor]:
    """The value, its gradient along a fixed direction, and the gradient of that gradient."""
    rng = torch.Generator().manual_seed(1)
    leaves = [t.detach().clone().requires_grad_() for t in inputs]
    value = operator(*leaves)
    along = torch.randn(value.shape, generator=rng, dtype=value.dtype)
    first = torch.autograd.grad((value * along).sum(), leaves, create_graph=True)
    turned = [torch.randn(t.shape, generator=rng, dtype=t.dtype) for t in first]
    total = torch.stack([(f * t).sum() for f, t in zip(first, turned, strict=True)]).sum()
    second = torch.autograd.grad(total, leaves, allow_unused=True)
    return [value, *first, *(s for s in second if s is not None)]


def assert_same(fast: Operator, slow: Operator, inputs: list[Tensor]) -> None:
    for got, expected in zip(orders(fast, inputs), orders(slow, inputs), strict=True):
        torch.testing.assert_close(got, expected, **CLOSE)


def test_the_filter_is_the_references() -> None:
    torch.testing.assert_close(binomial_filter(), filter_reference(), rtol=0, atol=0)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("demodulate", [False, True])
@pytest.mark.parametrize("n, h, w", [(1, 8, 8), (3, 5, 8)])
def test_a_modulated_convolution_is_the_references(
    n: int, h: int, w: int, demodulate: bool, up: bool
) -> None:
    inputs = [draw(n, 4, h, w), draw(5, 4, 3, 3), draw(n, 4)]

    def fast(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
        return modulated_conv(x, weight, style, up=UP if up else None, demodulate=demodulate)

    def slow(x: Tensor, weight: Tensor, style: Tensor) -> Tensor:
        return modulated_conv2d_reference(
            x, weight, style, up=2 if up else 1, demodulate=demodulate
        )

    assert_same(fast, slow, inputs)


def test_a_modulated_pixelwise_convolution_is_the_references() -> None:
    inputs = [draw(2, 4, 6, 6), draw(3, 4, 1, 1), draw(2, 4)]
    assert_same(modulated_conv, modulated_conv2d_reference, inputs)


def test_the_gain_scales_what_was_demodulated() -> None:
    inputs = draw(2, 4, 6, 6), draw(3, 4, 3, 3), draw(2, 4)
    torch.testing.assert_close(modulated_conv(*inputs, gain=3), 3 * modulated_conv(*inputs))


def test_doubling_is_the_references() -> None:
    assert_same(lambda x: upsample(x, UP), upsample_reference, [draw(2, 3, 5, 8)])


@pytest.mark.parametrize("stride, padding", [(1, 1), (1, 2), (2, 1)])
def test_a_blur_is_the_references(stride: int, padding: int) -> None:
    def slow(x: Tensor) -> Tensor:
        y = fir_reference(x, filter_reference(), padding=(padding, padding), gain=4)
        return y[:, :, ::stride, ::stride]

    fast = lambda x: blur(x, UP, padding=padding, gain=4, stride=stride)  # noqa: E731
    assert_same(fast, slow, [draw(2, 3, 6, 8)])


@pytest.mark.parametrize("deviation", [0.7, 2.0])
def test_a_gaussian_blur_spreads_a_point_by_its_deviation(deviation: float) -> None:
    point = torch.zeros(2, 3, 33, 33)
    point[:, :, 16, 16] = 1
    spread = gaussian_blur(point, deviation)
    offsets = torch.arange(33.0) - 16
    assert spread.sum((2, 3)).allclose(torch.ones(2, 3))
    for axis in (2, 3):
        variance = (spread.sum(axis) * offsets.square()).sum(2)
        assert variance.sqrt().allclose(torch.tensor(deviation), rtol=0.03)
    assert gaussian_blur(torch.full((1, 1, 20, 20), 0.3), deviation).allclose(torch.tensor(0.3))


def test_a_convolution_up_in_one_channel_with_an_impulse_is_doubling() -> None:
    impulse = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    impulse[0, 0, 1, 1] = 1
    x = draw(2, 1, 4, 6)
    torch.testing.assert_close(conv_up(x, impulse, UP), upsample_reference(x), **CLOSE)


@pytest.mark.parametrize("kernel", [1, 3])
def test_a_critics_convolution_down_is_the_references(kernel: int) -> None:
    layer = Conv(4, 5, kernel=kernel, down=True, bias=False, activation=False).double()
    inputs = [draw(2, 4, 8, 6), layer.weight]

    def fast(x: Tensor, weight: Tensor) -> Tensor:
        return layer.convolve(x, weight, None)

    def slow(x: Tensor, weight: Tensor) -> Tensor:
        ones = torch.ones(2, 4, dtype=torch.float64)
        return modulated_conv2d_reference(x, weight, ones, demodulate=False, down=2)

    assert_same(fast, slow, inputs)


def test_a_critics_shortcut_keeps_a_constant_away_from_borders() -> None:
    layer = Conv(3, 3, kernel=1, down=True, bias=False, activation=False)
    layer.weight.data = torch.eye(3)[:, :, None, None] / layer.weight_gain
    x = torch.randn(2, 3, 8, 8)
    torch.testing.assert_close(layer(x), downsample_reference(x))


def synthesis_layer(up: bool, clamp: float | None = None) -> SynthesisLayer:
    layer = SynthesisLayer(4, 5, w_dim=6, resolution=8, up=up, clamp=clamp).double()
    layer.noise_strength.data.fill_(0.3)
    nn.init.normal_(layer.bias)
    return layer


@pytest.mark.parametrize("up", [False, True])
def test_a_synthesis_layer_is_the_same_on_the_slow_path(up: bool) -> None:
    layer = synthesis_layer(up)
    inputs = [draw(3, 4, 4 if up else 8, 4 if up else 8), draw(3, 6), draw(3, 1, 8, 8)]
    fast = orders(layer, inputs)
    with slow_path():
        slow = orders(layer, inputs)
    for got, expected in zip(fast, slow, strict=True):
        torch.testing.assert_close(got, expected, **CLOSE)


@pytest.mark.parametrize("up", [False, True])
def test_a_synthesis_layer_is_convolution_noise_bias_and_activation(up: bool) -> None:
    layer = synthesis_layer(up)
    x, w, noise = draw(2, 4, 4 if up else 8, 4 if up else 8), draw(2, 6), draw(2, 1, 8, 8)
    y = modulated_conv2d_reference(x, layer.weight, layer.affine(w), up=2 if up else 1)
    y = y + noise * layer.noise_strength + layer.bias[:, None, None]
    expected = torch.where(y > 0, y, 0.2 * y) * SQRT2
    torch.testing.assert_close(layer(x, w, noise), expected, **CLOSE)


def test_the_slow_path_ends_even_when_something_fails() -> None:
    fast = {name: getattr(layers, name) for name in ("modulated_conv", "blur", "upsample")}
    with pytest.raises(RuntimeError), slow_path():
        assert layers.modulated_conv is not fast["modulated_conv"]
        raise RuntimeError
    assert all(getattr(layers, name) is function for name, function in fast.items())


def test_the_layers_leave_what_they_were_given_alone() -> None:
    x, w, noise = draw(2, 4, 8, 8), draw(2, 6), draw(8, 8)
    kept = [t.clone() for t in (x, w, noise)]
    synthesis_layer(up=False)(x, w, noise)
    assert all(torch.equal(t, k) for t, k in zip((x, w, noise), kept, strict=True))


@pytest.mark.parametrize("limit", [None, 0.5, 3.0])
def test_the_activation_is_a_leaky_relu_within_its_limit(limit: float | None) -> None:
    x = torch.linspace(-20, 20, 81)
    y = activate(x.clone(), limit=limit)
    expected = torch.where(x > 0, x, x / 5)
    torch.testing.assert_close(y, expected if limit is None else expected.clamp(-limit, limit))


@pytest.mark.parametrize("clamp", [0.25, 1.0])
def test_the_clamp_holds_at_every_layer(clamp: float) -> None:
    x, w = 100 * draw(2, 4, 8, 8), draw(2, 6)
    layer = synthesis_layer(up=False, clamp=clamp)
    assert layer(x, w, None).abs().max() == clamp
    torgb = ToRGB(4, 3, w_dim=6, clamp=clamp).double()
    assert torgb(x, w).abs().max() == clamp
    conv = Conv(4, 4, kernel=3, gain=0.5, clamp=clamp).double()
    assert conv(x).abs().max() == clamp / 2


def test_normalising_brings_rows_to_a_mean_square_of_one() -> None:
    x = normalise(5 * draw(4, 7))
    torch.testing.assert_close(x.square().mean(dim=1), torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("activation", [False, True])
@pytest.mark.parametrize("multiplier", [1, 0.01])
def test_a_dense_layer_in_closed_form(multiplier: float, activation: bool) -> None:
    layer = FullyConnected(6, 4, activation=activation, lr_multiplier=multiplier, bias=0.5)
    x = torch.randn(3, 6)
    y = x @ layer.weight.T * multiplier / 6**0.5 + 0.5
    expected = torch.where(y > 0, y, y / 5) * SQRT2 if activation else y
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("inputs", [16, 256])
@pytest.mark.parametrize("multiplier", [1, 0.01])
def test_layers_keep_the_scale_of_what_goes_in(inputs: int, multiplier: float) -> None:
    dense = FullyConnected(inputs, 512, lr_multiplier=multiplier)(torch.randn(64, inputs))
    assert 0.9 < dense.std() < 1.1
    conv = Conv(inputs, 32, kernel=3, activation=False)(torch.randn(4, inputs, 12, 12))
    assert 0.9 < conv[:, :, 1:-1, 1:-1].std() < 1.1


@pytest.mark.parametrize("inputs", [16, 256])
@pytest.mark.parametrize("multiplier", [1, 0.01])
def test_a_step_of_adam_moves_every_layer_in_proportion(inputs: int, multiplier: float) -> None:
    layer = FullyConnected(inputs, 8, lr_multiplier=multiplier)
    before = layer.weight.detach().clone()
    adam = torch.optim.Adam(layer.parameters(), lr=0.1, betas=(0.0, 0.99))
    layer(torch.randn(4, inputs)).square().mean().backward()
    adam.step()
    moved = (layer.weight - before).abs().mean() * layer.weight_gain
    typical = before.std() * layer.weight_gain
    torch.testing.assert_close(moved / typical, torch.tensor(0.1 * multiplier), rtol=0.1, atol=0)


@pytest.mark.parametrize("up", [False, True])
def test_a_synthesis_layer_keeps_half_precision(up: bool) -> None:
    layer = synthesis_layer(up).bfloat16()
    x = torch.randn(1, 4, 8, 8).bfloat16()
    size = 16 if up else 8
    y = layer(x, torch.randn(1, 6).bfloat16(), torch.randn(size, size))
    assert y.dtype == torch.bfloat16 and y.shape == (1, 5, size, size)


@pytest.mark.parametrize("doubles", [False, True])
def test_filters_are_computed_in_single_precision_and_keep_half(doubles: bool) -> None:
    def filtered(x: Tensor) -> Tensor:
        return upsample(x, binomial_filter()) if doubles else blur(x, binomial_filter(), padding=2)

    exact = torch.randn(2, 3, 8, 8).bfloat16().float().requires_grad_()
    half = exact.detach().bfloat16().requires_grad_()
    wanted = filtered(exact)
    with torch.autocast("cpu", torch.bfloat16):
        found = filtered(half)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found, wanted.bfloat16(), rtol=0, atol=0)
    along = torch.randn_like(wanted).bfloat16()
    (gradient,) = torch.autograd.grad(found, half, along)
    (true,) = torch.autograd.grad(wanted, exact, along.float())
    torch.testing.assert_close(gradient, true.bfloat16(), rtol=0, atol=0)
