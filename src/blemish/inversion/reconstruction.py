r"""Likeness of a generated image and the photograph: pixels, and features of the bundle's critic.

    d(y, x) = \lambda_p \lVert y - x \rVert^2 + \lambda_f d_F(y, x),

with d_F the distance in the critic's features, the domain's own perceptual space. Pixels that do
not count are left out of both.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.losses import feature_error, squared_error
from blemish.inversion.search import Terms
from blemish.models.critic import Critic


@dataclass(frozen=True, slots=True, kw_only=True)
class ReconstructionLoss:
    """Distance to photographs, whose features are computed once.

    Attributes:
        critic: Critic of images.
        target: Photographs in [-1, 1].
        where: Weight of each pixel, in [0, 1]; by default all count.
        wanted: Features of the target.
    """

    critic: Critic
    target: Float[Tensor, "n 3 h w"]
    where: Float[Tensor, "n 1 h w"] | None
    wanted: list[Tensor]

    @classmethod
    @torch.no_grad()
    def to(
        cls,
        critic: Critic,
        target: Float[Tensor, "n 3 h w"],
        where: Float[Tensor, "n 1 h w"] | None = None,
    ) -> "ReconstructionLoss":
        """Likeness to a target."""
        wanted = critic.features(_counted(target, where))
        return cls(critic=critic, target=target, where=where, wanted=wanted)

    def terms(self, image: Float[Tensor, "n 3 h w"]) -> Terms:
        """Squared error of pixels, and distance of features."""
        features = self.critic.features(_counted(image, self.where))
        return {
            "pixels": squared_error(image, self.target, self.where),
            "features": feature_error(features, self.wanted, self.where),
        }


def filled(
    image: Float[Tensor, "n 3 h w"], where: Float[Tensor, "n 1 h w"] | None
) -> Float[Tensor, "n 3 h w"]:
    """Photographs in which ignored pixels have the mean colour of the rest.

    An encoder would treat a black or grey hole as part of the image.
    """
    if where is None:
        return image
    weight = where.sum(dim=(2, 3), keepdim=True).clamp(min=1)
    mean = (image * where).sum(dim=(2, 3), keepdim=True) / weight
    return image * where + mean * (1 - where)


def _counted(
    image: Float[Tensor, "n 3 h w"], where: Float[Tensor, "n 1 h w"] | None
) -> Float[Tensor, "n 3 h w"]:
    # Features depend on their surroundings, so ignored pixels must be replaced first.
    return image if where is None else image * where
