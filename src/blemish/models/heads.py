"""Small trained heads on frozen feature maps: what critics on pretrained features are made of."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from blemish.models.logits import WeightedLogits

FLOOR = 1e-3  # weight of a place far from the mask
NEAR = 9  # pixels within which a place counts as near the mask
GROUPS = 8  # groups of channels that are normalised together: batch norm leaks in small batches


def place_head(inputs: int, *, halve: bool) -> nn.Sequential:
    """A logit for each place of a map, or of the map at half the size."""
    kernel, stride = (4, 2) if halve else (3, 1)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(inputs, 96, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(96, 128, kernel, stride, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(128, 1, 3, padding=1)),
    )


def picture_head(inputs: int, *, halvings: int, width: int = 64, most: int = 128) -> nn.Sequential:
    """A logit for each place of a map that was halved several times: it sees far.

    Args:
        inputs: Channels of the map.
        halvings: How often the map is halved.
        width: Half the channels after the first halving; they double from halving to halving.
        most: Most channels.
    """
    layers = list(_halvings(inputs, halvings, width, most))
    channels = inputs if halvings == 0 else min(width * 2**halvings, most)
    return nn.Sequential(
        *layers,
        spectral_norm(nn.Conv2d(channels, most, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(most, 1, 1)),
    )


def logits_beside(
    head: nn.Module,
    x: Float[Tensor, "n c p q"],
    marked: Float[Tensor, "n k h w"],
    near: Float[Tensor, "n 1 h w"] | None,
) -> WeightedLogits:
    """A head's logits on a map, with the share of each place that masks cover beside it.

    Args:
        head: Head made by `place_head` for c + k channels.
        x: A mixed map.
        marked: Masks in [0, 1].
        near: The mask near which places count; all places count alike if absent. No gradient
            flows into the weights, or a generator would move the mask to where it is not judged.
    """
    covered = F.adaptive_avg_pool2d(marked, (x.shape[2], x.shape[3])).to(x.dtype)
    logits = head(torch.cat([x, covered], dim=1)).float()
    if near is None:
        weights = torch.ones_like(logits)
    else:
        wide = F.max_pool2d(near.detach(), NEAR, stride=1, padding=NEAR // 2)
        weights = F.adaptive_avg_pool2d(wide, (logits.shape[2], logits.shape[3])) + FLOOR
    return WeightedLogits(logits, weights / weights.sum(dim=(1, 2, 3), keepdim=True))


def _halvings(inputs: int, halvings: int, width: int, most: int) -> Iterator[nn.Module]:
    for k in range(halvings):
        outputs = min(width * 2 ** (k + 1), most)
        yield spectral_norm(nn.Conv2d(inputs, outputs, 4, 2, padding=1))
        yield nn.GroupNorm(GROUPS, outputs)
        yield nn.LeakyReLU(0.2)
        inputs = outputs
