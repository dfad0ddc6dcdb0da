"""Training state beside the weights: averages, frozen parameters, strength of augmentation."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


def average_of(module: Module) -> Module:
    """Frozen copy that `follow` updates."""
    return deepcopy(module).eval().requires_grad_(False)


@contextmanager
def frozen(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Keep gradients off parameters that are otherwise learnt, as when they judge."""
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)


@torch.no_grad()
def follow(average: nn.Module, module: nn.Module, *, decay: float) -> None:
    """Exponential moving average of parameters; buffers are copied."""
    for mean, value in zip(average.parameters(), module.parameters(), strict=True):
        mean.copy_(value.lerp(mean, decay))
    for mean, value in zip(average.buffers(), module.buffers(), strict=True):
        mean.copy_(value)


def follow_after(
    average: nn.Module, module: nn.Module, index: int, *, batch: int, ema_kimg: float
) -> None:
    """Update a weight average after a step.

    Args:
        average: Average of the weights.
        module: The weights.
        index: The step.
        batch: Images per step.
        ema_kimg: Half-life of the average; it is shorter at the start.
    """
    decay = ema_decay(index * batch, batch=batch, half_life_nimg=ema_kimg * 1000, ramp=0.05)
    follow(average, module, decay=decay)


def ema_decay(nimg: int, *, batch: int, half_life_nimg: float, ramp: float) -> float:
    """Decay per step for a half-life in images, shorter at the start (Karras et al., 2020b)."""
    half_life = max(min(half_life_nimg, nimg * ramp), 1e-8)
    return 0.5 ** (batch / half_life)


class AdaptiveAugmentation(nn.Module):
    """Controller that keeps the fraction of real images that the critic rates real near a target.

    ADA (Karras et al., 2020b): when sign(D(real)) exceeds the target on average, the critic is
    memorising, and every augmentation is applied with a higher probability.

    Args:
        target: Target of the mean sign, 0.6 in the paper.
        speed_nimg: Number of images over which the probability may go from 0 to 1.
        cap: Maximum probability; above about 0.8 augmentations leak into the samples.
    """

    probability: Tensor

    def __init__(self, *, target: float, speed_nimg: int, cap: float) -> None:
        super().__init__()
        self.register_buffer("probability", torch.zeros([]))
        self.target, self.speed_nimg, self.cap = target, speed_nimg, cap

    @torch.no_grad()
    def update(self, logits_real: Float[Tensor, " n"], *, nimg: int) -> None:
        """Update with the critic's scores of `nimg` real images."""
        direction = (logits_real.sign().mean() - self.target).sign()
        moved = self.probability + direction * nimg / self.speed_nimg
        self.probability.copy_(moved.clamp(0, self.cap))


class PathLength(nn.Module):
    """Running mean of path lengths, the target of their penalty (Karras et al., 2020, eq. 4).

    It starts at the first lengths, not at zero: with zero, a generator that can draw already, after
    a warm start or grown from a coarser one, would be pulled towards the same image for all codes.
    """

    mean: Tensor

    def __init__(self, *, decay: float = 0.01) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros([]))
        self.decay = decay

    def penalty(
        self, lengths: Float[Tensor, " n"], seen: Float[Tensor, " m"]
    ) -> Float[Tensor, " n"]:
        """Squared distance of each length to the mean, which includes those of all processes."""
        known = self.mean if self.mean > 0 else seen.mean()
        self.mean.copy_(known.lerp(seen.mean(), self.decay))
        return (lengths - self.mean).square()
