"""Losses other than those of logits (`logits`): functions of tensors, one value per item.

Weights, means and schedules belong to the stages that use them.
"""

from math import sqrt

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def r1_penalty(logits: Float[Tensor, " n"], real: Float[Tensor, "n c h w"]) -> Float[Tensor, " n"]:
    """Squared gradient of the critic at real samples (Mescheder et al., 2018).

    Args:
        logits: Critic's scores of `real`.
        real: Images, or images and masks stacked along channels, with gradients.

    Returns:
        The penalty of each sample, before weighting.
    """
    (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return gradient.float().square().sum(dim=(1, 2, 3))


def path_lengths(
    image: Float[Tensor, "n c h w"], w: Float[Tensor, "n layers d"], noise: Float[Tensor, "n c h w"]
) -> Float[Tensor, " n"]:
    """Length of the step in image space for a step in w (Karras et al., 2020, eq. 4).

    Args:
        image: Image generated from `w`, with its graph.
        w: Codes with gradients.
        noise: Standard normal, *not* yet divided by the resolution.
    """
    scaled = noise / sqrt(image.shape[2] * image.shape[3])
    (gradient,) = torch.autograd.grad((image * scaled).sum(), w, create_graph=True)
    return gradient.float().square().sum(dim=2).mean(dim=1).sqrt()


def multiscale_l1(
    drawn: Float[Tensor, "n c h w"], target: Float[Tensor, "n c h w"], *, scales: int = 4
) -> Float[Tensor, " n"]:
    """Mean absolute difference, averaged over repeatedly halved images."""
    total = torch.zeros(drawn.shape[0], device=drawn.device)
    for _ in range(scales):
        total = total + (drawn - target).abs().mean(dim=(1, 2, 3))
        drawn, target = F.avg_pool2d(drawn, 2), F.avg_pool2d(target, 2)
    return total / scales


def kl_to_normal(
    mean: Float[Tensor, "n d"], log_variance: Float[Tensor, "n d"]
) -> Float[Tensor, " n"]:
    """Divergence of a diagonal Gaussian from the standard one, in nats (Kingma & Welling, 2014)."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def overlap_error(
    logits: Float[Tensor, "n 1 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, " n"]:
    """One minus the soft Dice coefficient (Milletari et al., 2016), plus the cross-entropy.

    Dice does not let background outweigh a small mask; the cross-entropy has gradients where Dice
    has none.
    """
    soft = logits.sigmoid()
    both, total = (soft * mask).sum(dim=(1, 2, 3)), (soft + mask).sum(dim=(1, 2, 3))
    doubt = F.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return 1 - (2 * both + 1) / (total + 1) + doubt.mean(dim=(1, 2, 3))
