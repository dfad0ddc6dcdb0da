"""Through which network pictures are compared: the bundle's critic, or a classifier.

Distances of two images and of two sets depend on the network, so its name is given with every
figure.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.features import Network, feature_distance
from blemish.inversion.losses import feature_error
from blemish.models.critic import Critic

BATCH = 16
LEAST_SIDE = 32  # minimum side of images for SqueezeNet


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureExtractor:
    """Frozen feature network.

    Attributes:
        name: Name of the network.
        look: Function from images in [-1, 1] to feature maps, the deepest last.
        compare: Function from feature maps of pairs to their distances, 0 for equal ones.
    """

    name: str
    look: Callable[[Float[Tensor, "n 3 h w"]], list[Tensor]]
    compare: Callable[[list[Tensor], list[Tensor]], Float[Tensor, " n"]]

    @classmethod
    def of_critic(cls, critic: Critic, side: int | None = None) -> "FeatureExtractor":
        """The bundle's own perceptual space; images of any size are resized to `side` first."""

        def look(image: Float[Tensor, "n 3 _h _w"]) -> list[Tensor]:
            if side is not None:
                image = F.interpolate(image, (side, side), mode="area")
            return critic.features(image)

        return cls(name="critic", look=look, compare=feature_error)

    @classmethod
    def of_network(cls, network: Network) -> "FeatureExtractor":
        """A classifier, with the distance of `features.perceptual_distance`."""
        return cls(
            name=network.name,
            look=lambda image: list(network(image).values()),
            compare=lambda a, b: feature_distance(_named(a), _named(b)),
        )

    @torch.no_grad()
    def distance(
        self, a: Float[Tensor, "n 3 h w"], b: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Perceptual distance of two images."""
        pairs = zip(a.split(BATCH), b.split(BATCH), strict=True)
        return torch.cat([self.compare(self.look(x), self.look(y)) for x, y in pairs])

    @torch.no_grad()
    def pooled(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Deepest features averaged over the image, each row of length √d."""
        means = torch.cat([self.look(x)[-1].mean(dim=(2, 3)) for x in images.split(BATCH)])
        return F.normalize(means, dim=1) * means.shape[1] ** 0.5

    @torch.no_grad()
    def described(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        """Mean and maximum of every feature map, so that small objects are not averaged away."""
        return torch.cat([_described(self.look(x)) for x in images.split(BATCH)])


def _described(maps: list[Tensor]) -> Float[Tensor, "n d"]:
    means = [features.mean(dim=(2, 3)) for features in maps]
    return torch.cat([*means, *(features.amax(dim=(2, 3)) for features in maps)], dim=1)


def _named(maps: list[Tensor]) -> dict[str, Tensor]:
    return {str(index): features for index, features in enumerate(maps)}
