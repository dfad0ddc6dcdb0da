"""The window generator: what it leaves alone, sizes, gradients, codes."""

import pytest
import torch

from blemish.models.window_generator import (
    MARGIN,
    WindowConfig,
    WindowGenerator,
    WindowInput,
    cover_bounds,
    dilated,
)

CONFIG = WindowConfig(types=("scratch", "good"), z_dim=8, w_dim=16, channels=(8, 12, 16))


def window(n: int, side: int, *, seed: int = 0) -> WindowInput:
    rng = torch.Generator().manual_seed(seed)
    mask = torch.zeros(n, 1, side, side)
    mask[:, :, side // 4 : side // 2, side // 3 : side // 2] = 1
    image = torch.rand(n, 3, side, side, generator=rng) * 2 - 1
    return WindowInput(image=image, mask=mask, zoom=torch.zeros(n))


def drawing(generator: WindowGenerator, into: WindowInput, z: torch.Tensor) -> torch.Tensor:
    codes = generator.codes(z, torch.zeros(len(z), dtype=torch.long))
    return generator.draw(into, codes, torch.Generator().manual_seed(0)).image


@pytest.fixture
def generator() -> WindowGenerator:
    return WindowGenerator(CONFIG)


@pytest.mark.parametrize("side", [32, 48])
def test_nothing_changes_beyond_the_margin(generator: WindowGenerator, side: int) -> None:
    into = window(2, side)
    drawn = drawing(generator, into, torch.randn(2, 8))
    beyond = (dilated(into.mask, MARGIN) == 0).expand_as(drawn)
    assert torch.equal(drawn[beyond], into.image[beyond])
    assert not torch.allclose(drawn, into.image)


def test_pixels_under_the_mask_are_never_read(generator: WindowGenerator) -> None:
    into = window(1, 32)
    other = into.image.lerp(torch.ones_like(into.image), into.mask)
    z = torch.randn(1, 8)
    inside = (cover_bounds(into.mask)[0] == 1).expand_as(into.image)
    filled = WindowInput(image=other, mask=into.mask, zoom=into.zoom)
    torch.testing.assert_close(
        drawing(generator, into, z)[inside], drawing(generator, filled, z)[inside]
    )


def test_every_parameter_gets_a_finite_gradient(generator: WindowGenerator) -> None:
    # Biases and noise strengths start at zero, where some gradients vanish by chance.
    for parameter in generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    drawing(generator, window(2, 32), torch.randn(2, 8)).square().sum().backward()
    for name, parameter in generator.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_cover_is_whole_inside_and_gone_outside() -> None:
    mask = window(1, 32).mask
    lower, upper = cover_bounds(mask)
    assert (lower <= upper).all() and (lower >= 0).all() and (upper <= 1).all()
    assert (upper[dilated(mask, MARGIN) == 0] == 0).all()
    assert (lower[mask == 0] == 0).all()
    assert (upper[mask == 1] == 1).all()


def test_item_does_not_depend_on_its_batch(generator: WindowGenerator) -> None:
    into, z = window(3, 32), torch.randn(3, 8)
    kind = torch.zeros(3, dtype=torch.long)
    together = generator.draw(into, generator.codes(z, kind)).image
    alone = generator.draw(into[1:2], generator.codes(z[1:2], kind[1:2])).image
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_codes_have_a_row_for_each_layer(generator: WindowGenerator) -> None:
    codes = generator.codes(torch.randn(2, 8), torch.tensor([0, 1]))
    assert codes.w.shape == (2, CONFIG.layers, CONFIG.w_dim)
