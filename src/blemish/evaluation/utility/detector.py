"""Detector: a U-Net that segments defects, and a small residual network that classifies their type.

Both are small enough for a processor and strong enough that the training data decides. They use
batch normalisation (Ioffe and Szegedy, 2015): batch statistics in training, running averages in
evaluation.
"""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

WIDTHS = (16, 32, 64, 128)
RARE = -3.0  # initial logit: few of all pixels are on a defect
STRIDE = 2 ** (len(WIDTHS) - 1)  # sides must be a multiple of it


class ConvBlock(nn.Module):
    """Two convolutions of 3×3, each with normalisation and rectifier."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv0, self.norm0 = _conv(inner, outer), nn.BatchNorm2d(outer)
        self.conv1, self.norm1 = _conv(outer, outer), nn.BatchNorm2d(outer)

    def forward(self, x: Float[Tensor, "n inner h w"]) -> Float[Tensor, "n outer h w"]:
        return F.relu(self.norm1(self.conv1(F.relu(self.norm0(self.conv0(x))))))


class UNet(nn.Module):
    """Segmentation network (Ronneberger et al., 2015), with half a million parameters."""

    def __init__(self) -> None:
        super().__init__()
        pairs = list(pairwise(WIDTHS))
        self.stem = ConvBlock(3, WIDTHS[0])
        self.down = nn.ModuleList(ConvBlock(narrow, wide) for narrow, wide in pairs)
        self.up = nn.ModuleList(
            ConvBlock(wide + narrow, narrow) for narrow, wide in reversed(pairs)
        )
        self.head = nn.Conv2d(WIDTHS[0], 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, RARE)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
        """Mask logits, for images in [-1, 1] with sides of a multiple of `STRIDE`."""
        levels = [self.stem(image.contiguous(memory_format=torch.channels_last))]
        for stage in self.down:
            levels.append(stage(F.max_pool2d(levels[-1], 2)))
        x = levels.pop()
        for stage in self.up:
            x = stage(torch.cat([F.interpolate(x, scale_factor=2.0), levels.pop()], dim=1))
        return self.head(x)


class Residual(nn.Module):
    """Residual block at half the resolution (He et al., 2016)."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.main, self.skip = ConvBlock(inner, outer), nn.Conv2d(inner, outer, 1, bias=False)

    def forward(self, x: Float[Tensor, "n inner h w"]) -> Float[Tensor, "n outer h2 w2"]:
        return F.avg_pool2d(self.skip(x) + self.main(x), 2)


class Classifier(nn.Module):
    """Classifier of the defect's type, from the whole image.

    Mean and maximum of every feature map are its input, so that small defects are not averaged
    away.
    """

    def __init__(self, types: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, WIDTHS[0], 5, stride=2, padding=2)
        pairs = zip(WIDTHS, (*WIDTHS[1:], WIDTHS[-1]), strict=True)
        self.blocks = nn.Sequential(*(Residual(inner, outer) for inner, outer in pairs))
        self.head = nn.Linear(2 * WIDTHS[-1], types)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n types"]:
        """Logits of each type, for images in [-1, 1] of 32 pixels a side or more."""
        maps = self.blocks(self.stem(image.contiguous(memory_format=torch.channels_last)))
        return self.head(torch.cat([maps.mean(dim=(2, 3)), maps.amax(dim=(2, 3))], dim=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Detector:
    """Both networks."""

    segmenter: UNet
    classifier: Classifier

    def to(self, device: torch.device) -> Self:
        """A copy on another device."""
        return replace(
            self, segmenter=self.segmenter.to(device), classifier=self.classifier.to(device)
        )

    def train(self, learning: bool = True) -> Self:
        """Switch both networks to training or evaluation mode."""
        self.segmenter.train(learning)
        self.classifier.train(learning)
        return self

    def parameters(self) -> list[nn.Parameter]:
        return [*self.segmenter.parameters(), *self.classifier.parameters()]


def fresh_detector(types: int, *, seed: int) -> Detector:
    """Untrained detector; a seed always gives the same one."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Detector(segmenter=UNet(), classifier=Classifier(types))


def _conv(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1, bias=False)
