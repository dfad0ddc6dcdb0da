"""What a mask generator learns by: an encoder of masks, and a critic of masks on their parts."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.models.layers import Conv, FullyConnected
from blemish.models.mask_generator import BASE, FAR, NEAR, MaskConfig

LOG_VARIANCE = -3.0  # of an untrained encoder; more noise would drown what it learns
SET_SIZE = 8  # masks whose spread the critic sees together


class Trunk(nn.Module):
    """A mask on its part to features of the coarsest size."""

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        widths = config.channels[::-1]
        self.first = Conv(12, widths[0], kernel=3)
        self.down = nn.ModuleList(Conv(a, b, kernel=3, down=True) for a, b in pairwise(widths))

    def forward(
        self, mask: Float[Tensor, "n 1 s s"], part: Float[Tensor, "n 1 s s"]
    ) -> Float[Tensor, "n c p p"]:
        """Features.

        Args:
            mask: In [0, 1].
            part: Signed distance to the part's outline, in pixels.
        """
        hints = [(part / NEAR).clamp(-1, 1), (part / FAR).clamp(-1, 1)]
        x = self.first(F.pixel_unshuffle(torch.cat([2 * mask - 1, *hints], dim=1), 2))
        for down in self.down:
            x = down(x)
        return x


class MaskEncoder(nn.Module):
    """A mask on its part to a Gaussian over z."""

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        self.types, width = len(config.types), config.channels[0]
        self.trunk = Trunk(config)
        self.hidden = FullyConnected(
            width * BASE**2 + self.types, 2 * config.w_dim, activation=True
        )
        self.out = FullyConnected(2 * config.w_dim, 2 * config.z_dim)
        nn.init.constant_(self.out.bias[config.z_dim :], LOG_VARIANCE)

    def forward(
        self,
        mask: Float[Tensor, "n 1 s s"],
        part: Float[Tensor, "n 1 s s"],
        kind: Int[Tensor, " n"],
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance."""
        kinds = F.one_hot(kind, self.types).to(mask.dtype)
        seen = torch.cat([self.trunk(mask, part).flatten(1), kinds], dim=1)
        mean, log_variance = self.out(self.hidden(seen)).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 2)


class MaskCritic(nn.Module):
    """A mask on its part to a logit: whether it is real for its type."""

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        width = config.channels[0]
        self.trunk = Trunk(config)
        self.mix = Conv(width + 1, width, kernel=3)
        self.hidden = FullyConnected(width * BASE**2, config.w_dim, activation=True)
        self.out = FullyConnected(config.w_dim, len(config.types))

    def forward(
        self,
        mask: Float[Tensor, "n 1 s s"],
        part: Float[Tensor, "n 1 s s"],
        kind: Int[Tensor, " n"],
    ) -> Float[Tensor, " n"]:
        """Logits of reality."""
        x = self.trunk(mask, part)
        x = self.mix(torch.cat([x, _spread(x)], dim=1))
        return self.out(self.hidden(x.flatten(1))).gather(1, kind[:, None])[:, 0]


def _spread(x: Float[Tensor, "n c p q"]) -> Float[Tensor, "n 1 p q"]:
    """Mean deviation of the features within sets of items (Karras et al., 2018)."""
    size = SET_SIZE if len(x) % SET_SIZE == 0 else len(x)
    sets = x.view(-1, size, *x.shape[1:])
    deviation = (sets.var(dim=1, unbiased=False) + 1e-8).sqrt().mean(dim=(1, 2, 3))
    return deviation.repeat_interleave(size)[:, None, None, None].expand(-1, 1, *x.shape[2:])
