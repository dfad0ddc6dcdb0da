r"""The critic of windows: small heads on frozen features, with the mask beside each map.

Each head sees a mixed map of `Projector` and the share of every place that each type's mask covers
(one channel a type, so the critic knows what it should see). Logits $l$ are averaged with weights
$w$ that follow the mask, and the losses are hinges:

    L_D = \sum_p w_p [\max(0, 1 - l^{real}_p) + \max(0, 1 + l^{fake}_p)],   L_G = -\sum_p w_p l_p.

One more head weighs the whole window evenly: it sees masks in wrong places and seams.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from blemish.generator.projector import Projector

FLOOR = 1e-3  # weight of a place far from the mask
NEAR = 9  # window pixels within which a place counts as near the mask


@dataclass(frozen=True, slots=True)
class Verdict:
    """Logits of one head, and the weight of each place; weights of an item sum to one."""

    logits: Float[Tensor, "n 1 p q"]
    weights: Float[Tensor, "n 1 p q"]

    def mean(self, values: Float[Tensor, "n 1 p q"]) -> Float[Tensor, " n"]:
        """The weighted mean of a function of the logits, for each item."""
        return (values * self.weights).sum(dim=(1, 2, 3))


class WindowCritic(nn.Module):
    """Judges windows with their masks; higher is more like the real ones.

    Args:
        types: How many types of defects there are, "good" among them.
        width: Channels of the projector's maps.
    """

    def __init__(self, types: int, width: int = 64) -> None:
        super().__init__()
        self.projector = Projector(width)
        self.heads = nn.ModuleList(_head(width + types, halve=k < 2) for k in range(4))
        self.whole = _head(width + types, halve=True)
        self.types = types

    def maps(self, images: Float[Tensor, "n 3 h w"]) -> tuple[list[Tensor], list[Tensor]]:
        """Mixed and pretrained feature maps; see `Projector`."""
        return self.projector(images)

    def forward(
        self, mixed: list[Tensor], mask: Float[Tensor, "n 1 h w"], kind: Int[Tensor, " n"]
    ) -> list[Verdict]:
        """Verdicts of all heads.

        Args:
            mixed: Maps of the windows.
            mask: Zeros and ones.
            kind: Types that the masks mark.
        """
        marked = mask * F.one_hot(kind, self.types)[:, :, None, None].to(mask.dtype)
        found = [_judge(head, x, marked, mask) for head, x in zip(self.heads, mixed, strict=True)]
        return [*found, _judge(self.whole, mixed[1], marked, None)]


def critic_hinge(real: list[Verdict], fake: list[Verdict]) -> Float[Tensor, " n"]:
    """The critic's loss, averaged over heads (Lim & Ye, 2017)."""
    pairs = [
        r.mean(F.relu(1 - r.logits)) + f.mean(F.relu(1 + f.logits))
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(pairs).mean(dim=0)


def generator_hinge(fake: list[Verdict]) -> Float[Tensor, " n"]:
    """The generator's loss, averaged over heads."""
    return torch.stack([-f.mean(f.logits) for f in fake]).mean(dim=0)


def _judge(head: nn.Module, x: Tensor, marked: Tensor, mask: Tensor | None) -> Verdict:
    size = (x.shape[2], x.shape[3])
    logits = head(torch.cat([x, F.adaptive_avg_pool2d(marked, size).to(x.dtype)], dim=1)).float()
    if mask is None:
        weights = torch.ones_like(logits)
    else:
        near = F.max_pool2d(mask, NEAR, stride=1, padding=NEAR // 2)
        weights = F.adaptive_avg_pool2d(near, (logits.shape[2], logits.shape[3])) + FLOOR
    return Verdict(logits, weights / weights.sum(dim=(1, 2, 3), keepdim=True))


def _head(inputs: int, *, halve: bool) -> nn.Sequential:
    kernel, stride = (4, 2) if halve else (3, 1)
    return nn.Sequential(
        spectral_norm(nn.Conv2d(inputs, 96, 3, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(96, 128, kernel, stride, padding=1)),
        nn.LeakyReLU(0.2),
        spectral_norm(nn.Conv2d(128, 1, 3, padding=1)),
    )
