"""Encoder from an image to rows of w, and with a defect to its code, type and mask.

The trunk is idinvert's (Zhu et al., 2020): a 5×5 stem, residual blocks with batch normalisation
that halve the size by average pooling down to 4², and one dense layer to all rows of w+. For
bundles with defects a decoder upsamples the trunk's features to mask logits, and the features under
that mask give the defect's code and type.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.models.generator import GeneratorConfig
from blemish.models.load import load_network, shape_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """Prediction of an encoder.

    Attributes:
        w: Rows for the backbone: the part without its defect.
        w_defect: Rows for the defect branch; None if the bundle has none.
        mask_logits: Logits of the mask; ≥ 0 is defect.
        kind_logits: Logits of the defect types.
    """

    w: Float[Tensor, "n layers d"]
    w_defect: Float[Tensor, "n defect_layers d"] | None = None
    mask_logits: Float[Tensor, "n 1 h w"] | None = None
    kind_logits: Float[Tensor, "n kinds"] | None = None


def _convolution(inputs: int, outputs: int, *, kernel: int = 3) -> nn.Sequential:
    """Convolution without a bias, with batch normalisation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class ResidualBlock(nn.Module):
    """Two convolutions and a shortcut, then half the size."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv0 = _convolution(inputs, inputs)
        self.conv1 = _convolution(inputs, outputs)
        self.skip = _convolution(inputs, outputs, kernel=1)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o p q"]:
        y = self.conv1(F.leaky_relu(self.conv0(x), 0.2))
        if self.training:
            return F.leaky_relu(F.avg_pool2d(y + self.skip(x), 2), 0.2)
        # With fixed statistics the shortcut is affine: pooled first, it is the same for a quarter.
        return F.leaky_relu(F.avg_pool2d(y, 2) + self.skip(F.avg_pool2d(x, 2)), 0.2)


class DefectReader(nn.Module):
    """Decoder from the trunk's features, fine to coarse, to a defect's mask, rows and type."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        assert config.defect is not None
        self.rows, self.w_dim = config.defect_layers, config.w_dim
        self.resolutions = [r for r in config.resolutions() if r > 4]
        below, seen = config.channels(4), 0
        for r in self.resolutions:
            channels = max(16, config.channels(r) // 2)
            self.add_module(f"b{r}", _convolution(below + config.channels(r), channels))
            below, seen = channels, seen + channels
        self.tomask = nn.Conv2d(below, 1, 1)
        self.look = nn.Linear(seen, config.channels(4))
        self.torows = nn.Linear(config.channels(4), self.rows * self.w_dim)
        self.tokind = nn.Linear(config.channels(4), max(1, len(config.defect.types)))

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Mask logits, rows and type logits, from the trunk's features at each resolution."""
        x, levels = features[-1], []
        for r, beside in zip(self.resolutions, reversed(features[:-1]), strict=True):
            x = torch.cat([F.interpolate(x, scale_factor=2.0), beside], dim=1)
            x = F.leaky_relu(self.get_submodule(f"b{r}")(x), 0.2)
            levels.append(x)
        logits = self.tomask(x).float()
        seen = [mean_under(level, logits.detach().sigmoid()) for level in levels]
        look = F.leaky_relu(self.look(torch.cat(seen, dim=1)), 0.2)
        return logits, self.torows(look).unflatten(1, (self.rows, self.w_dim)), self.tokind(look)


class Encoder(nn.Module):
    """Network from images in [-1, 1] to an `Encoding`; frozen ones must be in evaluation mode.

    Args:
        config: Configuration of the generator whose codes it predicts.
    """

    w_mean: Tensor
    w_defect_mean: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.resolutions = [r for r in reversed(config.resolutions()) if r > 4]
        self.stem = _convolution(3, config.channels(config.resolution), kernel=5)
        for r in self.resolutions:
            block = ResidualBlock(config.channels(r), config.channels(r // 2))
            self.add_module(f"b{r}", block)
        self.torows = nn.Linear(config.channels(4) * 16, config.layers * config.w_dim)
        self.register_buffer("w_mean", torch.zeros(config.w_dim))
        self.register_buffer("w_defect_mean", torch.zeros(config.w_dim))
        self.defect = DefectReader(config) if config.defect is not None else None

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> Encoding:
        features = self.features(image)
        w = self.part_rows(features)
        if self.defect is None:
            return Encoding(w=w)
        mask_logits, rows, kind_logits = self.defect(features)
        return Encoding(
            w=w,
            w_defect=self.w_defect_mean + rows.float(),
            mask_logits=mask_logits,
            kind_logits=kind_logits.float(),
        )

    def part_rows(self, features: list[Tensor]) -> Float[Tensor, "n layers d"]:
        """Rows for the backbone, from the result of `features`."""
        rows = self.torows(features[-1].flatten(1))
        return self.w_mean + rows.unflatten(1, (self.config.layers, self.config.w_dim)).float()

    def features(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Input of each block, from fine to coarse; the last is `n c 4 4`."""
        image = image.contiguous(memory_format=torch.channels_last)
        found = [F.leaky_relu(self.stem(image), 0.2)]
        for r in self.resolutions:
            found.append(self.get_submodule(f"b{r}")(found[-1]))
        return found


def load_encoder(bundle: Bundle, device: torch.device | str = "cpu") -> Encoder:
    """The bundle's encoder, frozen.

    Raises:
        BundleError: The bundle has none, or one that does not fit.
    """
    otherwise = ", or choose the method project, which needs no encoder"
    bundle.require("encoder", "an encoder", "encoder DATA", otherwise=otherwise)
    config = shape_of(bundle)
    return load_network(bundle, "encoder", lambda: Encoder(config), device)


def mean_under(
    features: Float[Tensor, "n c h w"], mask: Float[Tensor, "n 1 p q"]
) -> Float[Tensor, "n c"]:
    """Mean of features inside the mask."""
    weight = F.adaptive_avg_pool2d(mask, (features.shape[2], features.shape[3]))
    return (features * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp(min=1e-4)
