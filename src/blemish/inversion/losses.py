"""Terms of code search: functions of tensors that return one value per item."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def squared_error(
    a: Float[Tensor, "n c h w"],
    b: Float[Tensor, "n c h w"],
    where: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Mean squared difference, over the pixels that count.

    Args:
        a: Images in about [-1, 1].
        b: Images in about [-1, 1].
        where: Weight of each pixel, in [0, 1]; equal by default.
    """
    far = (a - b).square().mean(dim=1, keepdim=True)
    if where is None:
        return far.mean(dim=(1, 2, 3))
    return (far * where).sum(dim=(1, 2, 3)) / where.sum(dim=(1, 2, 3)).clamp(min=1)


def feature_error(
    a: Sequence[Float[Tensor, "n _c _h _w"]],
    b: Sequence[Float[Tensor, "n _c _h _w"]],
    where: Float[Tensor, "n 1 h w"] | None = None,
) -> Float[Tensor, " n"]:
    """Squared difference of feature maps over their own spread, averaged over layers.

    Dividing by the mean square of the target's features makes layers and networks comparable.
    """
    total = []
    for x, y in zip(a, b, strict=True):
        weight = None if where is None else F.adaptive_avg_pool2d(where, (x.shape[2], x.shape[3]))
        scale = y.square().mean(dim=(1, 2, 3)).clamp(min=1e-8)
        total.append(squared_error(x, y, weight) / scale)
    return torch.stack(total).mean(dim=0)


def mask_error(
    logits: Float[Tensor, "n 1 h w"], target: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, " n"]:
    """Euclidean distance of a drawn binary mask to the target, as a fraction of the target's norm.

    The mask is binary in the forward pass and sigmoid in the backward pass, so that logits far from
    the threshold still get gradients; the added cross-entropy has gradients where the sigmoid is
    flat.
    """
    soft = logits.sigmoid()
    binary = (logits >= 0).to(logits.dtype) + soft - soft.detach()
    norm = target.square().sum(dim=(1, 2, 3)).clamp(min=1)
    far = (binary - target).square().sum(dim=(1, 2, 3)) / norm
    doubt = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return far + doubt.sum(dim=(1, 2, 3)) / norm


def noise_regularity(maps: Mapping[str, Float[Tensor, "n 1 _h _w"]]) -> Float[Tensor, " n"]:
    """Squared mean product of neighbours at every scale down to 8² (Karras et al., 2020, eq. 9)."""
    total = torch.zeros(1)
    for noise in maps.values():
        total = total.to(noise.device)
        while True:
            right = (noise * noise.roll(1, dims=3)).mean(dim=(1, 2, 3)).square()
            down = (noise * noise.roll(1, dims=2)).mean(dim=(1, 2, 3)).square()
            total = total + right + down
            if noise.shape[2] <= 8:
                break
            noise = F.avg_pool2d(noise, 2) * 2
    return total


@torch.no_grad()
def renormalise(maps: Mapping[str, Float[Tensor, "n 1 _h _w"]]) -> None:
    """Normalise each map to mean zero and deviation one, in place."""
    for noise in maps.values():
        noise -= noise.mean(dim=(1, 2, 3), keepdim=True)
        noise *= noise.square().mean(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12).rsqrt()
