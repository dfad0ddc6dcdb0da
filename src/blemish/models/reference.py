r"""Slow reference of the fast layers, for tests and benchmarks.

Each operator follows StyleGAN2's paper literally (Karras et al., 2020): one copy of the weight for
every sample (eq. 1-3), resampling by zeros between the pixels and one dense 2-D filter. Nothing is
folded, skipped or transposed, so that a mistake in the fast path can't be repeated here.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.models import generator as network
from blemish.models import layers

Padding = tuple[int, int]


def filter_reference() -> Float[Tensor, "4 4"]:
    """Outer product of [1, 3, 3, 1] with itself, with a sum of one."""
    return torch.tensor([[1.0, 3, 3, 1], [3, 9, 9, 3], [3, 9, 9, 3], [1, 3, 3, 1]]) / 64


def stuff_reference(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
    """Double the size: a zero after every pixel, and a row of zeros after every row."""
    stuffed = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    stuffed[:, :, ::2, ::2] = x
    return stuffed


def fir_reference(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"], *, padding: Padding, gain: float = 1
) -> Float[Tensor, "n c p q"]:
    """Filter each channel of each sample alone.

    Args:
        x: Feature maps.
        kernel: Symmetric filter, so that flipping it changes nothing.
        padding: Zeros before and after, the same on both axes.
        gain: Factor on the result.
    """
    padded = F.pad(x, (*padding, *padding))
    planes = padded.reshape(-1, 1, *padded.shape[2:])
    filtered = gain * F.conv2d(planes, kernel[None, None].to(x))
    return filtered.reshape(*x.shape[:2], *filtered.shape[2:])


def upsample_reference(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"] | None = None
) -> Float[Tensor, "n c h2 w2"]:
    """Double the size: zeros between the pixels, then the filter, with the gain 2² for them."""
    kernel = filter_reference() if kernel is None else kernel
    padding = ((len(kernel) + 1) // 2, (len(kernel) - 2) // 2)
    return fir_reference(stuff_reference(x), kernel, padding=padding, gain=4)


def downsample_reference(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "k k"] | None = None
) -> Float[Tensor, "n c h2 w2"]:
    """Halve an even size: the filter, then every second pixel."""
    kernel = filter_reference() if kernel is None else kernel
    padding = ((len(kernel) - 1) // 2, (len(kernel) - 2) // 2)
    return fir_reference(x, kernel, padding=padding)[:, :, ::2, ::2]


def modulated_weight_reference(
    weight: Float[Tensor, "o i k k"], styles: Float[Tensor, "n i"], *, demodulate: bool = True
) -> Float[Tensor, "n o i k k"]:
    """One weight for each sample: scaled by its style (eq. 1), then normalised (eq. 2 and 3)."""
    modulated = weight[None] * styles[:, None, :, None, None]
    if not demodulate:
        return modulated
    return modulated / (modulated.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).sqrt()


def modulated_conv2d_reference(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    styles: Float[Tensor, "n i"],
    *,
    demodulate: bool = True,
    up: int = 1,
    down: int = 1,
    kernel: Float[Tensor, "f f"] | None = None,
) -> Float[Tensor, "n o p q"]:
    """Convolution with a separate weight for each sample, optionally at double or half the size.

    Args:
        x: Feature maps.
        weight: Weight shared by the batch, with an odd side `k`.
        styles: Scale of each input channel.
        demodulate: Whether each output channel's weight is normalised.
        up: Factor; 2 convolves at twice the resolution, then filters; `k` must be 3.
        down: Factor; 2 filters, then convolves at every second place.
        kernel: Resampling filter of four taps a side; [1, 3, 3, 1] by default.

    Returns:
        Maps of side `h`, `2 h` or `h / 2`.
    """
    assert up in (1, 2) and down in (1, 2) and up * down < 4
    kernel = filter_reference() if kernel is None else kernel
    weights = modulated_weight_reference(weight, styles, demodulate=demodulate)
    if up == 2:
        return _up_reference(x, weights, kernel)
    if down == 2:
        return _down_reference(x, weights, kernel)
    return _conv_per_sample(x, weights, padding=weight.shape[-1] // 2)


def _conv_per_sample(
    x: Float[Tensor, "n i h w"], weights: Float[Tensor, "n o i k k"], *, padding: int
) -> Float[Tensor, "n o p q"]:
    n, o = weights.shape[:2]
    groups = x.reshape(1, -1, *x.shape[2:])
    y = F.conv2d(groups, weights.flatten(0, 1), padding=padding, groups=n)
    return y.reshape(n, o, *y.shape[2:])


def _up_reference(x: Tensor, weights: Tensor, kernel: Tensor) -> Tensor:
    # The published networks transpose this convolution, which flips the weight on both axes;
    # zeros stand between the pixels only, hence the last row and column go: 2h - 1, then 2h + 1.
    stuffed = stuff_reference(x)[:, :, :-1, :-1]
    y = _conv_per_sample(stuffed, weights.flip(3, 4), padding=2)
    return fir_reference(y, kernel, padding=(1, 1), gain=4)


def _down_reference(x: Tensor, weights: Tensor, kernel: Tensor) -> Tensor:
    margin = 1 + weights.shape[-1] // 2
    filtered = fir_reference(x, kernel, padding=(margin, margin))
    return _conv_per_sample(filtered, weights, padding=0)[:, :, ::2, ::2]


@contextmanager
def slow_path() -> Iterator[None]:
    """Context in which every network uses this file's operators: the same weights, the slow way.

    Operators are swapped for the whole process, so nothing else may run a network in the meantime.
    """
    slow = [
        (layers, "modulated_conv", _modulated_conv),
        (layers, "blur", _blur),
        (layers, "upsample", upsample_reference),
        (network, "upsample", upsample_reference),
    ]
    fast = [(module, name, getattr(module, name)) for module, name, _ in slow]
    try:
        for swap in slow:
            setattr(*swap)
        yield
    finally:
        for swap in fast:
            setattr(*swap)


def _modulated_conv(
    x: Tensor,
    weight: Tensor,
    style: Tensor,
    *,
    up: Tensor | None = None,
    demodulate: bool = True,
    gain: float = 1,
) -> Tensor:
    factor = 1 if up is None else 2
    return gain * modulated_conv2d_reference(
        x, weight, style, demodulate=demodulate, up=factor, kernel=up
    )


def _blur(x: Tensor, kernel: Tensor, *, padding: int, gain: float = 1, stride: int = 1) -> Tensor:
    y = fir_reference(x, kernel, padding=(padding, padding), gain=gain)
    return y[:, :, ::stride, ::stride]
