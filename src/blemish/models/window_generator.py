r"""The window generator: a defect under a mask, drawn into a window of a real photograph.

Co-modulated inpainting (Zhao et al., 2021). An encoder of the window with the mask erased gives
skip features at every size and a context code $c$; a StyleGAN2 decoder is modulated by the row
$w_l$ of the defect code joined with $c$. The output is a picture $y$ and a coverage $a$:

    out = x (1 - a) + y a,      a = lower + (upper - lower) \sigma(logit),

where `lower` is one well inside the mask and `upper` is zero beyond `MARGIN` pixels around it, so
only the rim is learnt. All layers are convolutions and the context is pooled: one network draws
windows of any side that `2**(levels - 1)` divides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.models.generator import Mapping, distance_map
from blemish.models.layers import (
    SQRT2,
    Conv,
    FullyConnected,
    StyledLayer,
    ToRGB,
    binomial_filter,
    upsample,
)
from blemish.types import Codes, Space

GOOD = "good"  # the type that fills a hole with good material
MARGIN = 4  # pixels around the mask that may change
RGB, LOGIT = slice(0, 3), slice(3, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowConfig:
    """Shape of a window generator.

    Attributes:
        types: Names of the types, "good" among them.
        z_dim: Width of the latent.
        w_dim: Width of a row of w.
        mapping_layers: Layers of the mapping from one to the other.
        channels: Feature channels at each size, from the window's own down, halving each time.
    """

    types: tuple[str, ...]
    z_dim: int = 64
    w_dim: int = 128
    mapping_layers: int = 2
    channels: tuple[int, ...] = (32, 64, 96, 128, 128)

    @property
    def layers(self) -> int:
        """Rows of a defect code: two for each size."""
        return 2 * len(self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowInput:
    """Windows of photographs, and the masks under which something is to be drawn.

    Attributes:
        image: Windows in [-1, 1]; what lies under the mask is never read.
        mask: Zeros and ones.
        zoom: Base-2 logarithm of photograph pixels per window pixel.
    """

    image: Float[Tensor, "n 3 h w"]
    mask: Float[Tensor, "n 1 h w"]
    zoom: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, index: slice | Tensor) -> "WindowInput":
        return WindowInput(image=self.image[index], mask=self.mask[index], zoom=self.zoom[index])

    def to(self, device: torch.device | str) -> "WindowInput":
        """The same on another device."""
        image, mask, zoom = (x.to(device) for x in (self.image, self.mask, self.zoom))
        return WindowInput(image=image, mask=mask, zoom=zoom)


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowDrawing:
    """What the generator drew.

    Attributes:
        image: The window with the defect, in about [-1, 1], not clamped.
        cover: Coverage in [0, 1]; zero beyond `MARGIN` pixels around the mask.
    """

    image: Float[Tensor, "n 3 h w"]
    cover: Float[Tensor, "n 1 h w"]


class Context(nn.Module):
    """The window around the mask: skip features at every size, and one code for the whole."""

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        widths = config.channels
        self.first = Conv(6, widths[0], kernel=3)
        self.down = nn.ModuleList(
            nn.Sequential(Conv(a, a, kernel=3), Conv(a, b, kernel=3, down=True))
            for a, b in pairwise(widths)
        )
        self.code = FullyConnected(2 * widths[-1] + 1, config.w_dim, activation=True)

    def forward(self, window: WindowInput) -> tuple[list[Tensor], Float[Tensor, "n d"]]:
        """Features from fine to coarse, and the context code."""
        wide = dilated(window.mask, 2)
        hint = [wide, 2 * window.mask - 1, distance_map(window.mask)]
        x = torch.cat([window.image * (1 - wide), *hint], dim=1)
        x = self.first(x.contiguous(memory_format=torch.channels_last))
        features = [x]
        for down in self.down:
            x = down(x)
            features.append(x)
        pooled = torch.cat([x.float().mean(dim=(2, 3)), x.float().std(dim=(2, 3))], dim=1)
        return features, self.code(torch.cat([pooled, window.zoom[:, None]], dim=1))


def styled_pairs(widths: Sequence[int], w_dim: int) -> tuple[nn.ModuleList, nn.ModuleList]:
    """Two convolutions for each resolution, the first of which enlarges beyond the coarsest."""
    inputs = (widths[0], *widths[:-1])
    first = nn.ModuleList(
        StyledLayer(a, b, w_dim=w_dim, up=k > 0)
        for k, (a, b) in enumerate(zip(inputs, widths, strict=True))
    )
    return first, nn.ModuleList(StyledLayer(b, b, w_dim=w_dim) for b in widths)


def _noise(x: Tensor, rng: torch.Generator | None, *, up: bool = False) -> Tensor | None:
    """Fresh noise for a layer's result; none without a generator."""
    if rng is None:
        return None
    h, w = (side * 2 if up else side for side in x.shape[2:])
    return torch.randn(len(x), 1, h, w, generator=rng).to(x.device)


class TypedGenerator(nn.Module):
    """Generator with a code for each layer, mapped from a latent and a type."""

    mapping: nn.Module
    layers: int

    def codes(
        self, z: Float[Tensor, "n z"], kind: Int[Tensor, " n"], *, space: Space = "z"
    ) -> Codes:
        """Codes of latents.

        Args:
            z: Standard normal.
            kind: Index of the type.
            space: Space that the codes name as their own.
        """
        return Codes(w=self.rows(self.mapping(z, kind)), space=space)

    def rows(self, w: Float[Tensor, "n d"]) -> Float[Tensor, "n layers d"]:
        """The same code for every layer."""
        return w[:, None].expand(-1, self.layers, -1)


class WindowGenerator(TypedGenerator):
    """(window, mask, zoom, code) → the window with a defect."""

    resample_filter: Tensor

    def __init__(self, config: WindowConfig) -> None:
        super().__init__()
        self.config, self.layers = config, config.layers
        self.mapping = Mapping(
            z_dim=config.z_dim,
            w_dim=config.w_dim,
            layers=config.mapping_layers,
            kinds=len(config.types),
        )
        self.context = Context(config)
        w_dim, widths = 2 * config.w_dim, config.channels[::-1]
        self.conv0, self.conv1 = styled_pairs(widths, w_dim)
        self.torgb = nn.ModuleList(ToRGB(b, 4, w_dim=w_dim) for b in widths)
        self.register_buffer("resample_filter", binomial_filter())

    def draw(
        self, window: WindowInput, codes: Codes, rng: torch.Generator | None = None
    ) -> WindowDrawing:
        """Draw.

        Args:
            window: With the place of the defect.
            codes: One row of w for each layer.
            rng: Source of the layers' noise, on the CPU; none is added without one.
        """
        features, context = self.context(window)
        styles = [torch.cat([row, context.to(row.dtype)], dim=1) for row in codes.w.unbind(1)]
        x, outputs = features[-1], None
        for k, skip in enumerate(features[::-1]):
            x = self.conv0[k](x, styles[2 * k], _noise(x, rng, up=k > 0))
            x = x if k == 0 else (x + skip) / SQRT2
            x = self.conv1[k](x, styles[2 * k + 1], _noise(x, rng))
            fresh = self.torgb[k](x, styles[2 * k + 1])
            outputs = fresh if outputs is None else upsample(outputs, self.resample_filter) + fresh
        assert outputs is not None
        return compose(window, outputs.float())


def compose(window: WindowInput, outputs: Float[Tensor, "n 4 h w"]) -> WindowDrawing:
    """Lay what was drawn over the window, as far as the learnt coverage goes."""
    lower, upper = cover_bounds(window.mask)
    cover = lower + (upper - lower) * (outputs[:, LOGIT] + 1).sigmoid()
    return WindowDrawing(
        image=torch.lerp(window.image, outputs[:, RGB], cover.expand(-1, 3, -1, -1)), cover=cover
    )


def cover_bounds(
    mask: Float[Tensor, "n 1 h w"],
) -> tuple[Float[Tensor, "n 1 h w"], Float[Tensor, "n 1 h w"]]:
    """Least and largest coverage: soft edges, 2 pixels inside and `MARGIN` outside the outline."""
    lower = F.avg_pool2d(-dilated(-mask, 3), 3, stride=1, padding=1)
    upper = F.avg_pool2d(dilated(mask, 2), 5, stride=1, padding=2)
    return lower, upper


def dilated(mask: Float[Tensor, "n 1 h w"], pixels: int) -> Float[Tensor, "n 1 h w"]:
    """Largest value within so many pixels, in chessboard distance."""
    return F.max_pool2d(mask, 2 * pixels + 1, stride=1, padding=pixels)
