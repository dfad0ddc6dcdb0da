"""Feature networks of the perceptual loss: the bundle's critic, or a classifier.

The bundle's critic is always available and knows the object. SqueezeNet and VGG16 are general, and
need their weights (see `features.load_features`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.features import FeatureNetwork, load_features
from blemish.generator.critic import Critic
from blemish.inversion.losses import feature_error, squared_error
from blemish.names import FeatureSource

VGG_LAYER = "conv4_3"
# Weights in torchvision's convention take standardised colours; a network of rectifiers scales with
# its input, and 0..255 is about this many times as wide.
LEVELS_PER_DEVIATION = 57.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Frozen feature network.

    Attributes:
        look: Function from images in [-1, 1] to feature maps.
        relative: Errors are relative to the target's own energy; otherwise they are idinvert's mean
            squared differences, for colours in 0..255.
    """

    look: Callable[[Float[Tensor, "n 3 h w"]], list[Tensor]]
    relative: bool = True

    @classmethod
    def of(cls, name: FeatureSource, critic: Critic, device: torch.device | str = "cpu") -> "Sight":
        """Feature network by name.

        Raises:
            BundleError: The weights of a classifier are missing or damaged.
        """
        if name == "critic":
            return cls(look=critic.features)
        network = load_features(name).to(device)
        if name == "squeezenet":
            return cls(look=lambda image: list(network(image).values()))
        return cls(look=lambda image: [_vgg_features(network, image)], relative=False)

    def error(
        self, drawn: Float[Tensor, "n 3 h w"], target: Float[Tensor, "n 3 h w"]
    ) -> Float[Tensor, " n"]:
        """Distance of generated images to the target; gradients flow to the generated ones."""
        with torch.no_grad():
            wanted = self.look(target)
        if self.relative:
            return feature_error(self.look(drawn), wanted)
        return torch.stack(
            [squared_error(x, y) for x, y in zip(self.look(drawn), wanted, strict=True)]
        ).mean(dim=0)


def _vgg_features(network: FeatureNetwork, image: Tensor) -> Tensor:
    scale = 1 if network.convention == "caffe" else LEVELS_PER_DEVIATION
    return network(image)[VGG_LAYER] * scale
