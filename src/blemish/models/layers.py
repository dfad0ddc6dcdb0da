r"""Layers of StyleGAN2 (Karras et al., 2020), arranged for speed without a compiled extension.

A modulated convolution multiplies the weight $w_{oik}$ by a style $s_i$ per sample and divides by
its norm (eq. 1 and 3). Since convolution is linear in both, scaling the *activations* instead,

    y_o = d_o \sum_i w_{oi} * (s_i x_i),    d_o = (\sum_{ik} (s_i w_{oik})^2 + \epsilon)^{-1/2},

needs one weight for the whole batch. The gain √2 after a leaky ReLU is moved before it, into an
existing factor (the ReLU is homogeneous), so that bias, noise and ReLU work in place. Parameters
have the published names.
"""

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from math import ceil, sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SQRT2 = sqrt(2)
SLOPE = 0.2  # slope of leaky ReLUs below zero


def activate(x: Tensor, *, limit: float | None = None) -> Tensor:
    """Leaky ReLU, in place, then clamped to ±limit; its gain is in `x` already."""
    x = F.leaky_relu(x, SLOPE, inplace=True)
    return x if limit is None else x.clamp(-limit, limit)


def normalise(x: Float[Tensor, "n d"]) -> Float[Tensor, "n d"]:
    """Scale each row to a mean square of one."""
    return x * (x.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()


def binomial_filter() -> Float[Tensor, "4 4"]:
    """Separable filter [1, 3, 3, 1], normalised to a sum of one."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0])
    return torch.outer(taps, taps) / 64


def blur(
    x: Float[Tensor, "n c h w"],
    kernel: Float[Tensor, "k k"],
    *,
    padding: int,
    gain: float = 1,
    stride: int = 1,
) -> Float[Tensor, "n c p q"]:
    """Filter every channel in the same way."""
    return _each_channel(F.conv2d, x, kernel * gain, padding=padding, stride=stride)


def gaussian_blur(x: Float[Tensor, "n c h w"], deviation: float) -> Float[Tensor, "n c h w"]:
    """Every channel blurred, reflected at the border.

    Args:
        x: Images larger than three deviations.
        deviation: Standard deviation in pixels.
    """
    reach = ceil(3 * deviation)
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=torch.float32)
    taps = (-(offsets.square()) / (2 * deviation**2)).exp()
    taps = taps / taps.sum()
    padded = F.pad(x, (reach,) * 4, mode="reflect")
    across = _each_channel(F.conv2d, padded, taps[None, :], padding=0, stride=1)
    return _each_channel(F.conv2d, across, taps[:, None], padding=0, stride=1)


def upsample(
    x: Float[Tensor, "n c h w"], kernel: Float[Tensor, "4 4"]
) -> Float[Tensor, "n c h2 w2"]:
    """Double the size: zeros between the pixels, then the filter, its zeros skipped by stride."""
    return _each_channel(F.conv_transpose2d, x, kernel * 4, padding=1, stride=2)


def _each_channel(
    convolve: Callable[..., Tensor], x: Tensor, kernel: Tensor, *, padding: int, stride: int
) -> Tensor:
    """Filter channel by channel, in single precision on a CPU.

    There the gradients of such a filter in bfloat16 take ten times as long (PyTorch 2.13), longer
    than those of the convolutions.
    """
    slow = x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", enabled=False) if slow else nullcontext():
        inputs = x.float() if slow else x
        taps = kernel.to(inputs.dtype).expand(x.shape[1], 1, -1, -1)
        y = convolve(inputs, taps, padding=padding, stride=stride, groups=x.shape[1])
    return y.to(x.dtype)


def conv_up(
    x: Float[Tensor, "n i h w"], weight: Float[Tensor, "o i 3 3"], kernel: Float[Tensor, "4 4"]
) -> Float[Tensor, "n o h2 w2"]:
    """Convolve at twice the resolution, then filter."""
    doubled = F.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
    return blur(doubled, kernel, padding=1, gain=4)


def modulated_conv(
    x: Float[Tensor, "n i h w"],
    weight: Float[Tensor, "o i k k"],
    style: Float[Tensor, "n i"],
    *,
    up: Float[Tensor, "4 4"] | None = None,
    demodulate: bool = True,
    gain: float = 1,
) -> Float[Tensor, "n o p q"]:
    """Convolve with a weight scaled per sample, by scaling input and output.

    Args:
        x: Feature maps.
        weight: Weight shared by the batch, with an odd side `k`.
        style: Scale of each input channel.
        up: Filter for doubling the size, if wanted; `k` must be 3.
        demodulate: Whether each output channel's weight is normalised.
        gain: Norm of normalised weights.
    """
    x = x * style[:, :, None, None].to(x.dtype)
    k = weight.shape[-1]
    y = F.conv2d(x, weight, padding=k // 2) if up is None else conv_up(x, weight, up)
    if not demodulate:
        return y
    power = style.float().square() @ weight.float().square().sum(dim=(2, 3)).T
    return y * ((power + 1e-8).rsqrt() * gain)[:, :, None, None].to(y.dtype)


class FullyConnected(nn.Module):
    """Dense layer with an equalised learning rate (Karras et al., 2018, §4.1)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        activation: bool = False,
        lr_multiplier: float = 1,
        bias: float = 0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((outputs,), bias / lr_multiplier))
        gain = lr_multiplier * (SQRT2 if activation else 1)
        self.weight_gain, self.bias_gain, self.activation = gain / sqrt(inputs), gain, activation

    def forward(self, x: Float[Tensor, "n i"]) -> Float[Tensor, "n o"]:
        y = F.linear(x, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return activate(y) if self.activation else y


class Conv(nn.Module):
    """Convolution of the critic with an equalised learning rate, optionally halving the size."""

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        down: bool = False,
        bias: bool = True,
        activation: bool = True,
        gain: float = 1,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.register_buffer("resample_filter", binomial_filter())
        self.limit = None if clamp is None else clamp * gain
        self.bias_gain = gain * (SQRT2 if activation else 1)
        self.weight_gain = self.bias_gain / sqrt(inputs * kernel**2)
        self.kernel, self.down, self.activation = kernel, down, activation

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o p q"]:
        bias = None if self.bias is None else self.bias * self.bias_gain
        y = self.convolve(x, self.weight * self.weight_gain, bias)
        return activate(y, limit=self.limit) if self.activation else y

    def convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not self.down:
            return F.conv2d(x, weight, bias, padding=self.kernel // 2)
        if self.kernel == 1:  # filter and skip first: dropped pixels are never convolved
            return F.conv2d(blur(x, self.resample_filter, padding=1, stride=2), weight, bias)
        return F.conv2d(blur(x, self.resample_filter, padding=2), weight, bias, stride=2)


def moments_inside(
    maps: Iterable[Float[Tensor, "n c h w"]], mask: Float[Tensor, "n 1 p q"], *, floor: float
) -> Float[Tensor, "n s"]:
    """Mean and deviation of each channel inside a mask, map after map.

    Args:
        maps: Feature maps of any size.
        mask: Mask in [0, 1], not empty.
        floor: Variance that is added to each.
    """
    found = []
    for x in maps:
        weight = F.adaptive_avg_pool2d(mask, (x.shape[2], x.shape[3]))
        weight = weight / weight.sum(dim=(2, 3), keepdim=True).clamp(min=1e-6)
        mean = (x * weight).sum(dim=(2, 3))
        spread = ((x - mean[:, :, None, None]).square() * weight).sum(dim=(2, 3))
        found += [mean, (spread + floor).sqrt()]
    return torch.cat(found, dim=1)


class StyledLayer(nn.Module):
    """Modulated convolution, noise, bias, activation; for maps of any size.

    Args:
        inputs: Channels of the maps.
        outputs: Channels of the result.
        w_dim: Width of a code.
        up: Whether it doubles the side.
        clamp: Bound of the result, if any.
    """

    resample_filter: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        w_dim: int,
        up: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3))
        self.noise_strength = nn.Parameter(torch.zeros([]))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.register_buffer("resample_filter", binomial_filter())
        self.up, self.clamp = up, clamp

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"], noise: Tensor | None
    ) -> Float[Tensor, "n o p q"]:
        """Convolve.

        Args:
            x: Feature maps.
            w: Codes.
            noise: Map of the result's size, for all channels; None adds none.
        """
        up = self.resample_filter if self.up else None
        y = modulated_conv(x, self.weight, self.affine(w), up=up, gain=SQRT2)
        y = y.add_((self.bias * SQRT2)[:, None, None].to(y.dtype))
        if noise is not None:
            y = y.add_((noise * (self.noise_strength * SQRT2)).to(y.dtype))
        return activate(y, limit=self.clamp)


class SynthesisLayer(StyledLayer):
    """Styled layer of one resolution, with a constant noise map."""

    noise_const: Tensor

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        w_dim: int,
        resolution: int,
        up: bool = False,
        clamp: float | None = None,
    ) -> None:
        super().__init__(inputs, outputs, w_dim=w_dim, up=up, clamp=clamp)
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        self.resolution = resolution


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to colours, or to mask logits."""

    def __init__(
        self, inputs: int, outputs: int, *, w_dim: int, clamp: float | None = None
    ) -> None:
        super().__init__()
        self.affine = FullyConnected(w_dim, inputs, bias=1)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.weight_gain, self.clamp = 1 / sqrt(inputs), clamp

    def forward(
        self, x: Float[Tensor, "n i h w"], w: Float[Tensor, "n d"]
    ) -> Float[Tensor, "n o h w"]:
        style = self.affine(w) * self.weight_gain
        y = modulated_conv(x, self.weight, style, demodulate=False)
        y = y.float() + self.bias[:, None, None]
        return y if self.clamp is None else y.clamp(-self.clamp, self.clamp)
