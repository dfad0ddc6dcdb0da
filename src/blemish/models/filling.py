r"""Network that fills holes by codes, in several ways (after Yildirim et al., 2023).

The encoder of erased images is the bundle's own with a correction that knows the hole: the hole is
continued smoothly, and the features at 16² and the known area correct those at 4²; the bundle's
last layer gives the rows u. A mixing network combines them with random rows v, row by row,

    w_l = g_l ⊙ (u_l + A_l u_l) + (1 - g_l) ⊙ (v_l + B_l v_l),      g_l = σ(MLP_l(u_l, v_l)),

both relative to the mean of w, in its deviations. So the codes are in w+, and edits apply to them.
Skips add to the generator's features x, at half and a quarter of the resolution, what the encoder's
features e know of what was not erased: x <- x + σ(s) d, (s, d) = conv(e ⊙ known, known, x).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.models.encoder import Encoder
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.load import load_network, shape_of
from blemish.types import Codes

NETWORK = "filling"
COARSE = 2.5  # logit of u's share in the rows of coarse maps, before training
FINE = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FillingConfig:
    """Shape of a filling network.

    Attributes:
        hidden: Width of the mixing network's hidden layer.
        width: Channels of the skips.
    """

    hidden: int = 64
    width: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ErasedReading:
    """What the encoder reads of an erased picture.

    Attributes:
        rows: Rows of w+.
        known: 1 where the picture is known, 0 in the hole.
        features: Features by their side, for the skips.
    """

    rows: Float[Tensor, "n layers d"]
    known: Float[Tensor, "n 1 h w"]
    features: dict[int, Tensor]


class _Rows(nn.Module):
    """A linear layer for each row, with equalised learning rates."""

    def __init__(self, layers: int, inputs: int, outputs: int, *, zero: bool = True) -> None:
        super().__init__()
        start = torch.zeros if zero else torch.randn
        self.weight, self.gain = nn.Parameter(start(layers, inputs, outputs)), inputs**-0.5
        self.bias = nn.Parameter(torch.zeros(layers, outputs))

    def forward(self, x: Float[Tensor, "n layers i"]) -> Float[Tensor, "n layers o"]:
        weight = (self.weight * self.gain).to(x.dtype)
        return torch.einsum("nli,lio->nlo", x, weight) + self.bias.to(x.dtype)


class _LastConvolution(nn.Conv2d):
    """Convolution whose result starts at zero, with an equalised learning rate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        self.gain = (9 * inputs) ** -0.5
        for parameter in self.parameters():
            nn.init.zeros_(parameter)

    def forward(self, input: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        return super().forward(input) * self.gain


class RowMixer(nn.Module):
    """The mixing network; see the module's docstring."""

    def __init__(self, config: GeneratorConfig, hidden: int) -> None:
        super().__init__()
        layers, d = config.layers, config.w_dim
        self.known, self.random = _Rows(layers, d, d), _Rows(layers, d, d)
        self.gate0 = _Rows(layers, 2 * d, hidden, zero=False)
        self.gate1 = _Rows(layers, hidden, d)
        half = layers // 2
        with torch.no_grad():
            self.gate1.bias[:half], self.gate1.bias[half:] = COARSE, FINE

    def forward(
        self, u: Float[Tensor, "n layers d"], v: Float[Tensor, "n layers d"]
    ) -> Float[Tensor, "n layers d"]:
        """Mixed rows; all in deviations from the mean of w."""
        both = F.leaky_relu(self.gate0(torch.cat([u, v], dim=2)), 0.2)
        share = self.gate1(both).sigmoid()
        return share * (u + self.known(u)) + (1 - share) * (v + self.random(v))


class _Skip(nn.Module):
    """Gated change of features by the encoder's features of the known area; starts at zero."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(2 * channels + 1, width, 3, padding=1)
        self.middle = nn.Conv2d(width, width, 3, padding=1)
        self.leave = _LastConvolution(width, channels + 1)

    def forward(
        self,
        x: Float[Tensor, "n c p q"],
        features: Float[Tensor, "n c p q"],
        known: Float[Tensor, "n 1 p q"],
    ) -> Float[Tensor, "n c p q"]:
        seen = torch.cat([features * known, known, x.to(features.dtype)], dim=1)
        y = F.leaky_relu(self.enter(seen), 0.2)
        y = self.leave(F.leaky_relu(y + self.middle(y), 0.2)).to(x.dtype)
        return x + y[:, :-1] * y[:, -1:].sigmoid()


class FillingNetwork(nn.Module):
    """See the module's docstring.

    Args:
        generator: Shape of the generator.
        config: Shape of the network.
    """

    w_mean: Tensor
    w_unit: Tensor

    def __init__(self, generator: GeneratorConfig, config: FillingConfig) -> None:
        super().__init__()
        self.config, self.resolution = config, generator.resolution
        finest = generator.resolution
        self.middle = min(16, finest)
        self.skipped = [side for side in (finest // 4, finest // 2) if side > 4]
        channels, last = generator.channels(self.middle), generator.channels(4)
        self.correct0 = nn.Conv2d(channels + 1, last, 3, padding=1)
        self.correct1 = nn.Conv2d(last, last, 3, padding=1)
        self.correct2 = _LastConvolution(last, last)
        self.mixer = RowMixer(generator, config.hidden)
        self.skips = nn.ModuleDict(
            {f"b{side}": _Skip(generator.channels(side), config.width) for side in self.skipped}
        )
        self.register_buffer("w_mean", torch.zeros(generator.w_dim))
        self.register_buffer("w_unit", torch.ones(()))

    def read(
        self,
        encoder: Encoder,
        image: Float[Tensor, "n 3 h w"],
        known: Float[Tensor, "n 1 h w"],
    ) -> ErasedReading:
        """Read pictures of which only an area is known.

        Args:
            encoder: The bundle's encoder, frozen.
            image: Pictures in [-1, 1]; what they show in the hole has no influence.
            known: 1 where they are known, 0 in the hole.
        """
        with torch.no_grad():
            features = encoder.features(continued(image, known))
        by_side = {x.shape[-1]: x for x in features}
        area = F.adaptive_avg_pool2d(known, self.middle)
        x = torch.cat([by_side[self.middle], area.to(features[0].dtype)], dim=1)
        x = F.leaky_relu(self.correct0(x), 0.2)
        x = F.leaky_relu(self.correct1(F.adaptive_avg_pool2d(x, 8)), 0.2)
        change = self.correct2(F.adaptive_avg_pool2d(x, 4))
        rows = encoder.part_rows([*features[:-1], features[-1] + change])
        return ErasedReading(
            rows=rows, known=known, features={side: by_side[side] for side in self.skipped}
        )

    def mix(
        self, read: ErasedReading, random: Float[Tensor, "n layers d"]
    ) -> Float[Tensor, "n layers d"]:
        """Rows of the filled picture, from what was read and random rows of w."""
        u, v = ((rows - self.w_mean) / self.w_unit for rows in (read.rows, random))
        return self.w_mean + self.w_unit * self.mixer(u, v)

    def draw(
        self, generator: Generator, codes: Codes, read: ErasedReading, *, skips: bool = True
    ) -> Float[Tensor, "n 3 h w"]:
        """Picture of codes with what is known of the picture, in about [-1, 1].

        Args:
            generator: The bundle's generator.
            codes: Mixed codes, or edits of them.
            read: The erased picture.
            skips: Whether the known area's features enter.
        """

        def change(side: int, x: Tensor) -> Tensor:
            if not skips or side not in read.features:
                return x
            known = -F.adaptive_max_pool2d(-read.known, side)  # no pixel of the hole enters
            return self.skips[f"b{side}"](x, read.features[side], known)

        return generator.synthesis(codes, change=change).image.float()


def continued(
    image: Float[Tensor, "n c h w"], known: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n c h w"]:
    """Pictures whose holes are continued smoothly, from means of the known area at each scale."""
    levels = [(image * known, known)]
    while levels[-1][0].shape[-1] > 1:
        levels.append((F.avg_pool2d(levels[-1][0], 2), F.avg_pool2d(levels[-1][1], 2)))
    found = levels[-1][0] / levels[-1][1].clamp(min=1e-6)
    for total, weight in reversed(levels[:-1]):
        size = (total.shape[2], total.shape[3])
        found = F.interpolate(found, size=size, mode="bilinear", align_corners=False)
        share = (weight > 0).to(total.dtype)
        found = found.lerp(total / weight.clamp(min=1e-6), share.expand_as(found))
    return found


def load_filling(bundle: Bundle, device: torch.device | str = "cpu") -> FillingNetwork:
    """The filling network of a bundle, frozen.

    Raises:
        BundleError: The bundle has none, or it does not fit.
    """
    otherwise = ", or choose the method windows"
    bundle.require(NETWORK, "a filling network", "filling DATA", otherwise=otherwise)
    shape, config = shape_of(bundle), bundle.shape_of(FillingConfig, NETWORK, "a filling network")
    return load_network(bundle, NETWORK, lambda: FillingNetwork(shape, config), device)
