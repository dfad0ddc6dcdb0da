"""Reference distilled from real defects: statistics of a critic's features inside masks."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.generator.critic import Critic, inside_statistics


@dataclass(frozen=True, slots=True)
class Distilled:
    """Feature statistics of a type's real defects.

    Attributes:
        critic: Critic of images with masks.
        mean: Mean of `inside_statistics` over real defects.
        deviation: Standard deviation of the same.
    """

    critic: Critic
    mean: Float[Tensor, " s"]
    deviation: Float[Tensor, " s"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared distance to the statistics, in units of their deviation."""
        found = inside_statistics(self.critic, image, mask)
        return ((found - self.mean) / (self.deviation + 1e-2)).square().mean(dim=1)


@torch.no_grad()
def distil(
    critic: Critic, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Distilled:
    """Compute the statistics of real defects."""
    found = inside_statistics(critic, image, mask)
    return Distilled(critic, found.mean(dim=0), found.std(dim=0, unbiased=False))
