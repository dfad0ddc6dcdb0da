r"""Frozen features for critics (Projected GAN, Sauer et al., 2021).

A critic that learns what pictures are from thirty photographs learns little. Here the pictures pass
a frozen pretrained network; its maps are mixed across channels (1×1) and from coarse to fine scales
(3×3) by random convolutions that never learn,

    z_3 = y_3,    z_k = (up(A_k z_{k+1}) + y_k) / \sqrt 2,    y_k = B_k f_k,

so that no map can be ignored, and small heads judge each $z_k$. The random weights belong to the
critic: a checkpoint holds them, the pretrained ones come from their package.
"""

from math import sqrt
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.efficientnet import WIDTHS, EfficientNetLite0, load_lite0


class Projector(nn.Module):
    """Images to four mixed maps, fine to coarse, at strides 4, 8, 16 and 32.

    Args:
        width: Channels of each mixed map.
    """

    def __init__(self, width: int = 64) -> None:
        super().__init__()
        # Inside a list it is no submodule: checkpoints need not hold what a package ships.
        self._pretrained = [load_lite0()]
        self.across = nn.ModuleList(_random(c, width, kernel=1) for c in WIDTHS.values())
        self.down = nn.ModuleList(_random(width, width, kernel=3) for _ in range(3))
        self.width = width
        self.requires_grad_(False)

    @property
    def pretrained(self) -> EfficientNetLite0:
        return self._pretrained[0]

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> tuple[list[Tensor], list[Tensor]]:
        """Mixed maps, and the pretrained maps they are mixed of; both fine to coarse.

        Args:
            images: RGB in [-1, 1].
        """
        plain = list(self.pretrained(images).values())
        across = [mix(found) for mix, found in zip(self.across, plain, strict=True)]
        mixed = [across[-1]]
        for down, finer in zip(self.down[::-1], across[-2::-1], strict=True):
            size = (finer.shape[2], finer.shape[3])
            raised = F.interpolate(down(mixed[-1]), size=size, mode="bilinear")
            mixed.append((raised + finer) * sqrt(0.5))
        return mixed[::-1], plain

    def _apply(self, fn: Any, recurse: bool = True) -> "Projector":
        self.pretrained._apply(fn, recurse)  # moves along to another device
        return super()._apply(fn, recurse)

    def train(self, mode: bool = True) -> "Projector":
        """Stays frozen, also as a part of a critic that is being trained."""
        return super().train(False)


def _random(inputs: int, outputs: int, *, kernel: int) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer
