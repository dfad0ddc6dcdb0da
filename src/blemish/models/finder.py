"""Finder of defects: a photograph to the mask of its defect, in one forward pass.

Frozen EfficientNet-Lite0 features at four scales are summed from coarse to fine (feature pyramid
networks, Lin et al., 2017) and joined with trained features of the picture itself at full and half
resolution, which know where an outline runs to the pixel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.efficientnet import WIDTHS, load_lite0
from blemish.errors import OptionError

NETWORK = "finder"


@dataclass(frozen=True, slots=True, kw_only=True)
class FinderConfig:
    """Shape of a finder.

    Attributes:
        side: Side in pixels of the pictures that it reads.
        width: Channels of the pyramid; half as many at half resolution, a quarter at full.
    """

    side: int = 256
    width: int = 32

    def __post_init__(self) -> None:
        if self.side < 64 or self.side % 32 or self.width < 4 or self.width % 4:
            raise OptionError(
                got=f"a finder of side {self.side} and width {self.width}",
                expected="a multiple of 32, of 64 or more, as side, and a multiple of 4 as width",
                todo="Correct the options.",
            )


class Finder(nn.Module):
    """See the module's docstring.

    Args:
        config: Its shape.
    """

    def __init__(self, config: FinderConfig) -> None:
        super().__init__()
        self.config = config
        # Inside a list it is no submodule: checkpoints need not hold what a package ships.
        self._pretrained = [load_lite0()]
        width, half, quarter = (config.width // by for by in (1, 2, 4))
        self.across = nn.ModuleList(nn.Conv2d(c, width, 1) for c in WIDTHS.values())
        self.down = nn.ModuleList(_convolution(width, width) for _ in range(3))
        self.full = _convolution(3, quarter)
        self.halved = _convolution(quarter, half, stride=2)
        self.join_half = _join(width + half, half)
        self.join_full = _join(half + quarter, quarter)
        self.last = nn.Conv2d(quarter, 1, 3, padding=1)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Logits of the mask at each pixel.

        Args:
            images: RGB in [-1, 1], with sides that are multiples of 32.
        """
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            maps = [*self._pretrained[0](images).values()]
        x = self._pyramid(maps)
        full = self.full(images)
        half = self.halved(full)
        x = self.join_half(torch.cat([_enlarged(x, half), half], dim=1))
        return self.last(self.join_full(torch.cat([_enlarged(x, full), full], dim=1)))

    def _pyramid(self, maps: Sequence[Tensor]) -> Float[Tensor, "n c p q"]:
        """Sum of the pretrained maps at the finest one's resolution."""
        mixed = [mix(found) for mix, found in zip(self.across, maps, strict=True)]
        x = mixed[-1]
        for down, finer in zip(self.down, mixed[-2::-1], strict=True):
            x = down(_enlarged(x, finer) + finer)
        return x

    def _apply(self, fn: Any, recurse: bool = True) -> "Finder":
        self._pretrained[0]._apply(fn, recurse)  # moves along to another device
        return super()._apply(fn, recurse)


def load_finder(bundle: Bundle, device: str | torch.device = "cpu") -> Finder:
    """The finder of a bundle.

    Raises:
        BundleError: The bundle has none, or it does not fit its configuration.
    """
    bundle.require(NETWORK, "a finder of defects", "finder DATA")
    finder = Finder(bundle.shape_of(FinderConfig, NETWORK, "a finder"))
    bundle.load_into(finder, NETWORK)
    return finder.to(device).eval().requires_grad_(False)


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride, padding=1),
        nn.GroupNorm(1, outputs),
        nn.LeakyReLU(0.2),
    )


def _join(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, outputs), _convolution(outputs, outputs))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear")
