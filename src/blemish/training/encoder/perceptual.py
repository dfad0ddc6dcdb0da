"""Feature networks of the perceptual loss: the bundle's critic, or a classifier.

EfficientNet-Lite0 is always at hand and knows the world; a projected critic's features are the
same. A residual critic knows the object alone. The weights of SqueezeNet and VGG16 must be there
(see `features.load_features`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.efficientnet import enlarged
from blemish.features import FeatureNetwork, load_features
from blemish.inversion.losses import feature_error, squared_error
from blemish.models.critic import Critic
from blemish.names import FeatureSource

LEAST_SIDE = 128  # side to which EfficientNet-Lite0 has smaller pictures enlarged
VGG_LAYER = "conv4_3"
# Weights in torchvision's convention take standardised colours; a network of rectifiers scales with
# its input, and 0..255 is about this many times as wide.
LEVELS_PER_DEVIATION = 57.6


@dataclass(frozen=True, slots=True, kw_only=True)
class PerceptualLoss:
    """Frozen feature network.

    Attributes:
        look: Function from images in [-1, 1] to feature maps.
        relative: Errors are relative to the target's own energy; otherwise they are idinvert's mean
            squared differences, for colours in 0..255.
    """

    look: Callable[[Float[Tensor, "n 3 h w"]], list[Tensor]]
    relative: bool = True

    @classmethod
    def of(
        cls, name: FeatureSource, critic: Critic, device: torch.device | str = "cpu"
    ) -> "PerceptualLoss":
        """Feature network by name.

        Raises:
            BundleError: The weights of a classifier are missing or damaged.
        """
        if name == "critic":
            return cls(look=critic.features)
        if name == "vgg16":
            network = load_features("vgg16").to(device)
            return cls(look=lambda image: [_vgg_features(network, image)], relative=False)
        other = load_features(name).to(device)
        least = LEAST_SIDE if name == "efficientnet-lite0" else 0
        return cls(look=lambda image: list(other(enlarged(image, least)).values()))

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
