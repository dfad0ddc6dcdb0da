"""Embedding: what the statistics of an object are made of.

A photograph at one size is described by four vectors: the means of three feature maps of the frozen
EfficientNet-Lite0, from fine texture to shape, and quantiles of its colours. Means over the whole
picture do not depend on where the part lies; quantiles change little with a small stain.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from blemish.efficientnet import TAPS, load_lite0

SIDE = 224  # pixels; the same for every bundle, so that statistics do not depend on its resolution
COLOURS = "colours"
STAGES = 5  # of the network; the later ones know classes of everyday objects, not surfaces
NAMES = frozenset({*(name for stage, name in TAPS.items() if stage < STAGES), COLOURS})
QUANTILES = (0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98)
SMOOTH = 4  # pixels that are averaged before colours are ranked, against noise

Embedding = dict[str, Float[Tensor, "n _c"]]


class Embedder:
    """Frozen network that embeds pictures, on the CPU."""

    def __init__(self) -> None:
        self.network = load_lite0()
        self.network.stages = self.network.stages[:STAGES]

    @torch.no_grad()
    def __call__(self, images: Float[Tensor, "n 3 s s"]) -> Embedding:
        """Embed images in [-1, 1] of `SIDE`² pixels."""
        maps = self.network(images)
        means = {name: features.mean(dim=(2, 3)) for name, features in maps.items()}
        return {**means, COLOURS: colours(images)}


def colours(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n c"]:
    """Quantiles of red, green and blue, and of red and blue relative to the mean of the three."""
    small = F.avg_pool2d(images, SMOOTH)
    grey = small.mean(dim=1, keepdim=True)
    axes = torch.cat([small, small[:, :1] - grey, small[:, 2:] - grey], dim=1).flatten(2)
    ranked = axes.quantile(torch.tensor(QUANTILES), dim=2)
    return ranked.permute(1, 2, 0).flatten(1)
