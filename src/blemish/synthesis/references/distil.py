"""Reference distilled from real defects: statistics of a critic's features inside masks."""

from dataclasses import dataclass
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.models.critic import Critic, inside_statistics
from blemish.models.load import load_matching_critic, shape_of
from blemish.models.projected import pretrained_features
from blemish.pictures import to_tensor
from blemish.synthesis.real.defects import RealDefects


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


class DistilSource:
    """See `references.ReferenceSource`: statistics of all real defects of a type.

    Features are those of the bundle's matching critic if its generator has a branch, else
    pretrained ones. Without real defects, the statistics are the bundle's.
    """

    def __init__(self, real: RealDefects) -> None:
        self.real, self.distilled = real, cache(self._distilled)

    def prepare(self, kind: str) -> None:
        """See `references.ReferenceSource`."""
        self.distilled(kind)

    def choose(
        self,
        kind: str,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        seed: int,
    ) -> Distilled:
        """See `references.ReferenceSource`."""
        return self.distilled(kind)

    def _distilled(self, kind: str) -> Distilled:
        critic, bundle, device = self._critic(), self.real.bundle, self.real.device
        if self.real.folder is not None:
            pictures, masks = self.real.load(kind)
            real = torch.from_numpy(masks).float()[:, None].to(device)
            return distil(critic, to_tensor(pictures).to(device), real)
        known = bundle.statistics()
        names = [f"distil.{kind}.mean", f"distil.{kind}.deviation"]
        if any(name not in known for name in names):
            raise self.real.missing()
        return Distilled(critic, *(known[name].to(device) for name in names))

    def _critic(self) -> Critic:
        if shape_of(self.real.bundle).defect is not None:
            return load_matching_critic(self.real.bundle, self.real.device)
        return pretrained_features(self.real.device)
