r"""The mask generator: a defect's mask on a given part, from a code.

A latent $z$ and the defect's type give $w$; the row $w_0$ gives the coarsest
features, further rows modulate convolutions that double the size. Each size also sees how far its
places are from the part's outline, and adds to the mask at twice its own resolution, four numbers a
place (Shi et al., 2016), since convolutions at the full one would take most of the time. With the
field $f$ that comes out and the signed distance $d$ to the outline, in pixels, positive inside, the
logits are

    l = \min(f, s (d + m_k)),

so no mask reaches farther beyond the part than the margin $m_k$ of real masks of its type, and one
that is the whole part takes the part's outline.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.models.layers import (
    SQRT2,
    Conv,
    FullyConnected,
    ToRGB,
    binomial_filter,
    normalise,
    upsample,
)
from blemish.models.window_generator import TypedGenerator, styled_pairs
from blemish.types import Codes

BASE = 8  # side of the coarsest features
STEEP = 4.0  # logits per pixel at the part's outline
NEAR, FAR = 3.0, 12.0  # pixels that the two hints about the outline reach
EMPTY = -4.0  # logits of an untrained network, since most of a part has no defect


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskConfig:
    """Shape of a mask generator.

    Attributes:
        types: Names of the types.
        z_dim: Width of the latent.
        w_dim: Width of a row of w.
        channels: Feature channels at each size, from 8² on, doubling each time; the mask has twice
            the side of the last.
        solid: Types none of whose real masks has a hole. A search may leave holes in theirs; masks
            that are drawn for use have none.
    """

    types: tuple[str, ...]
    z_dim: int = 128
    w_dim: int = 160
    channels: tuple[int, ...] = (48, 40, 24)
    solid: tuple[str, ...] = ()

    @property
    def side(self) -> int:
        """Side of the frame."""
        return BASE * 2 ** len(self.channels)

    @property
    def layers(self) -> int:
        """Rows of a code: one for the coarsest features, two for each size."""
        return 1 + 2 * len(self.channels)


class MaskMapping(nn.Module):
    """Mapping from a latent and a type to w: a linear one, and two layers beside it.

    It learns at the same rate as the rest: StyleGAN2's, at a hundredth of it, hardly moves in so
    short a training, and as it starts, w depends on the type more than on the latent.
    """

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        self.types, width = len(config.types), config.w_dim
        self.linear = FullyConnected(config.z_dim, width)
        self.fc0 = FullyConnected(config.z_dim + self.types, width, activation=True)
        self.fc1 = FullyConnected(width, width)

    def forward(self, z: Float[Tensor, "n z"], kind: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
        x = normalise(z)
        kinds = F.one_hot(kind, self.types).to(x.dtype)
        return self.linear(x) + self.fc1(self.fc0(torch.cat([x, kinds], dim=1)))


class MaskGenerator(TypedGenerator):
    """(part, code) → logits of the mask."""

    resample_filter: Tensor
    margin: Tensor

    def __init__(self, config: MaskConfig) -> None:
        super().__init__()
        self.config, self.layers = config, config.layers
        self.mapping = MaskMapping(config)
        widths, style = config.channels, config.w_dim
        self.base = FullyConnected(config.w_dim, widths[0] * BASE**2, activation=True)
        self.hints = nn.ModuleList(Conv(2, width, kernel=3) for width in widths)
        self.conv0, self.conv1 = styled_pairs(widths, style)
        self.tofield = nn.ModuleList(ToRGB(b, 4, w_dim=style) for b in widths)
        self.register_buffer("resample_filter", binomial_filter())
        self.register_buffer("margin", torch.zeros(len(config.types)))

    def draw(
        self, part: Float[Tensor, "n 1 s s"], codes: Codes, kind: Int[Tensor, " n"]
    ) -> Float[Tensor, "n 1 s s"]:
        """Logits of the mask; above zero the defect.

        Args:
            part: Signed distance to the part's outline, in pixels, positive inside.
            codes: One row of w for each layer.
            kind: Index into `config.types`, for the margin.
        """
        hints = torch.cat([(part / NEAR).clamp(-1, 1), (part / FAR).clamp(-1, 1)], dim=1)
        first, *rows = codes.w.unbind(1)
        x = self.base(first).view(len(first), -1, BASE, BASE)
        field = None
        for k in range(len(self.config.channels)):
            x = self.conv0[k](x, rows[2 * k], None)
            x = (x + self.hints[k](F.adaptive_avg_pool2d(hints, BASE * 2**k))) / SQRT2
            x = self.conv1[k](x, rows[2 * k + 1], None)
            fresh = F.pixel_shuffle(self.tofield[k](x, rows[2 * k + 1]), 2)
            field = fresh if field is None else upsample(field, self.resample_filter) + fresh
        assert field is not None
        field = _smoothed(field.float())
        limit = STEEP * (part + self.margin[kind][:, None, None, None])
        return torch.minimum(field + EMPTY, limit)


def _smoothed(field: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
    """Filtered by [1, 2, 1], since neighbours come from different weights and differ in pattern."""
    taps = field.new_tensor([0.25, 0.5, 0.25])
    kernel = torch.outer(taps, taps)[None, None]
    return F.conv2d(F.pad(field, (1, 1, 1, 1), mode="replicate"), kernel)
