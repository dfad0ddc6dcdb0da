r"""Detail of a photograph that its codes lose, brought back into the generator's features.

With the photograph x and the codes w, what is lost is the distortion map Δ = x - G(w) (HFGI; Wang
et al., 2022). A branch reads it and changes the features f of the layers at a quarter of the
resolution, also where an edit has changed the code to w':

    residual   Δ' = align(Δ, G(w')),  (s, b) = consult(Δ'),  f(w') <- f(w') (1 + s) + b,
    gated      a = align(Δ, f(w)),  (d, g) = transform(a, f(w')),  f(w') <- f(w') + g d,

the latter after StyleRes (Pehlivan et al., 2023), with Δ instead of an encoder's features, and a
gate g in [0, 1]. Where a defect is to stay removed, Δ is set to zero. Pictures enter as blocks of
4 × 4 pixels, so that everything is computed at a quarter of the resolution.
"""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.inversion.invert import Inversion
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.load import load_network, shape_of
from blemish.names import ConsultTransform
from blemish.types import Codes

NETWORK = "consultation"
BLOCK = 4  # pixels a side that enter as one: features have a quarter of the resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsultConfig:
    """Shape of a consultation branch.

    Attributes:
        transform: How it changes the features; see the module's docstring.
        width: Channels of its layers.
    """

    transform: ConsultTransform = "gated"
    width: int = 48


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv0 = nn.Conv2d(width, width, 3, padding=1)
        self.conv1 = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        return x + self.conv1(F.leaky_relu(self.conv0(F.leaky_relu(x, 0.2)), 0.2))


class _Aligner(nn.Module):
    """U-shape over three sizes, with added skips."""

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, width, 1)
        self.down = nn.ModuleList(_Residual(width) for _ in range(3))
        self.up = nn.ModuleList(_Residual(width) for _ in range(3))
        self.last = nn.Conv2d(width, outputs, 3, padding=1)

    def forward(self, x: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o h w"]:
        x, skips = self.first(x), []
        for k, block in enumerate(self.down):
            x = block(x if k == 0 else F.avg_pool2d(x, 2))
            skips.append(x)
        for k, block in enumerate(self.up):
            x = block(x if k == 0 else F.interpolate(x, scale_factor=2.0) + skips[-1 - k])
        return self.last(F.leaky_relu(x, 0.2))


class Consultation(nn.Module):
    """See the module's docstring; untrained, it changes nothing.

    Args:
        generator: Shape of the generator.
        config: Shape of the branch.
    """

    def __init__(self, generator: GeneratorConfig, config: ConsultConfig) -> None:
        super().__init__()
        self.config, self.side = config, generator.resolution // BLOCK
        block, width = 3 * BLOCK**2, config.width
        channels = generator.channels(self.side)
        beside = channels if config.transform == "gated" else block
        aligned = width if config.transform == "gated" else block
        self.align = _Aligner(block + beside, width, aligned)
        read = aligned + (channels if config.transform == "gated" else 0)
        outputs = channels + 1 if config.transform == "gated" else 2 * channels
        self.enter = nn.Conv2d(read, width, 3, padding=1)
        self.blocks = nn.Sequential(_Residual(width), _Residual(width))
        self.leave = nn.Conv2d(width, outputs, 3, padding=1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def aligned(
        self,
        lost: Float[Tensor, "n 3 h w"],
        reference: Float[Tensor, "n 3 h w"],
        before: Float[Tensor, "n c p q"],
    ) -> Float[Tensor, "n a p q"]:
        """The distortion map, aligned with the edited picture or with the unedited features."""
        beside = before if self.config.transform == "gated" else F.pixel_unshuffle(reference, BLOCK)
        return self.align(torch.cat([F.pixel_unshuffle(lost, BLOCK), beside], dim=1))

    def forward(
        self, features: Float[Tensor, "n c p q"], aligned: Float[Tensor, "n a p q"]
    ) -> Float[Tensor, "n c p q"]:
        """The features changed."""
        gated = self.config.transform == "gated"
        x = torch.cat([aligned, features.to(aligned.dtype)], dim=1) if gated else aligned
        found = self.leave(F.leaky_relu(self.blocks(self.enter(x)), 0.2)).to(features.dtype)
        if gated:
            return features + found[:, :-1] * found[:, -1:].sigmoid()
        scale, shift = found.chunk(2, dim=1)
        return features * (1 + scale) + shift


@dataclass(frozen=True, slots=True, kw_only=True)
class Plain:
    """What a generator draws of codes without a consultation.

    Attributes:
        codes: The codes.
        image: Their picture, in about [-1, 1], not clamped.
        features: Features of the layers that the branch changes.
    """

    codes: Codes
    image: Float[Tensor, "n 3 h w"]
    features: Float[Tensor, "n c p q"]

    @classmethod
    @torch.no_grad()
    def of(cls, generator: Generator, side: int, codes: Codes) -> Self:
        """Draw codes.

        Args:
            generator: Frozen generator.
            side: Side of the layers that the branch changes.
            codes: The codes.
        """
        kept: list[Tensor] = []

        def keep(here: int, x: Tensor) -> Tensor:
            if here == side:
                kept.append(x)
            return x

        image = generator.synthesis(codes, change=keep).image.float()
        return cls(codes=codes, image=image, features=kept[0].float())


@dataclass(frozen=True, slots=True, kw_only=True)
class Consulted:
    """What a consultation draws.

    Attributes:
        image: Picture of the edited codes with the photograph's detail, in about [-1, 1].
        aligned: Distortion map as the branch aligned it.
    """

    image: Float[Tensor, "n 3 h w"]
    aligned: Float[Tensor, "n a p q"]


def consult(
    generator: Generator,
    branch: Consultation,
    lost: Float[Tensor, "n 3 h w"],
    before: Plain,
    after: Plain,
) -> Consulted:
    """Draw codes with the detail of a photograph.

    Args:
        generator: Generator of the codes.
        branch: Its consultation branch.
        lost: Distortion map: the photograph minus what its codes draw, zero where a defect is to
            stay removed.
        before: The photograph's codes as the generator draws them.
        after: The codes to draw, the same without an edit.
    """
    aligned = branch.aligned(lost, after.image, before.features)
    drawn = generator.synthesis(
        after.codes, change=lambda side, x: branch(x, aligned) if side == branch.side else x
    )
    return Consulted(image=drawn.image.float(), aligned=aligned)


@torch.no_grad()
def draw_detailed(
    generator: Generator,
    branch: Consultation,
    target: Float[Tensor, "1 3 h w"],
    codes: Codes,
    edited: Codes,
    keep: Float[Tensor, "1 1 h w"] | None = None,
) -> Float[Tensor, "n 3 h w"]:
    """Pictures of edited codes with the detail of one photograph, in [-1, 1].

    Args:
        generator: Generator of the codes.
        branch: Its consultation branch.
        target: Photograph.
        codes: Its codes.
        edited: Codes to draw.
        keep: 1 where detail is kept, 0 where it is a defect that stays removed; 1 by default.
    """
    before = Plain.of(generator, branch.side, codes)
    lost = (target - before.image) * (1 if keep is None else keep)
    found = []
    for k in range(len(edited)):
        after = Plain.of(generator, branch.side, edited[k : k + 1])
        found.append(consult(generator, branch, lost, before, after).image.clamp(-1, 1))
    return torch.cat(found)


def with_detail(generator: Generator, branch: Consultation, inversion: Inversion) -> Inversion:
    """An inversion of a good part with the photograph's detail."""
    codes = inversion.codes.good()
    return replace(
        inversion, detail=draw_detailed(generator, branch, inversion.target, codes, codes)
    )


def load_consultation(bundle: Bundle, device: torch.device | str = "cpu") -> Consultation:
    """The consultation branch of a bundle, frozen.

    Raises:
        BundleError: The bundle has none, or it does not fit.
    """
    what, otherwise = "a consultation branch", ", or leave out --fidelity consult"
    bundle.require(NETWORK, what, "consultation DATA", otherwise=otherwise)
    shape, config = shape_of(bundle), bundle.shape_of(ConsultConfig, NETWORK, what)
    return load_network(bundle, NETWORK, lambda: Consultation(shape, config), device)
