r"""Mapper from photograph, mask, type and a random code to codes, in one forward pass.

The encoder gives the part's rows. The defect's rows start at the branch's own mapping f of the
random code z and type k, and are moved depending on the photograph x and the mask m (a residual
mapper, like StyleCLIP's; Patashnik et al., 2021):

    w = E(x),    w_d = f(z, k) + \sigma \, h(E_1(x) | m, m, k, z).

h sees the encoder's features E_1 under the mask, and the mask with its distance map. Its last layer
starts at zero, so that an untrained mapper draws what the branch has learnt.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from blemish.checkpoint import Bundle
from blemish.errors import BundleError
from blemish.generator.network import Generator, GeneratorConfig, distance_map
from blemish.generator.restore import load_network, shape_of
from blemish.inversion.encoder import Encoder, mean_under
from blemish.inversion.space import w_defect_statistics
from blemish.types import Codes

MAPPER = "mapper"
MASK_SIDE = 8
HIDDEN = 256


class Mapper(nn.Module):
    """Function h of the module's docstring, with the deviation σ of defect codes.

    Args:
        config: Configuration of the generator, which must have a defect branch.
    """

    unit: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        assert config.defect is not None
        self.rows, self.w_dim = config.defect_layers, config.w_dim
        self.kinds = max(1, len(config.defect.types))
        seen = sum(config.channels(max(4, r // 2)) for r in config.resolutions() if r > 4)
        seen += config.channels(config.resolution)
        inputs = seen + 2 * MASK_SIDE**2 + self.kinds
        self.fc0, self.fc1 = nn.Linear(inputs, HIDDEN), nn.Linear(HIDDEN, HIDDEN)
        self.fromz = nn.Linear(config.z_dim, HIDDEN, bias=False)
        nn.init.normal_(self.fromz.weight, std=config.z_dim**-0.5)  # as large as all other inputs
        self.torows = nn.Linear(HIDDEN, self.rows * self.w_dim)
        nn.init.zeros_(self.torows.weight)
        nn.init.zeros_(self.torows.bias)
        self.register_buffer("unit", torch.ones([]))

    def describe(
        self, features: list[Tensor], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n i"]:
        """Describe the part under a mask, and the mask's shape.

        Args:
            features: Features of the encoder, from fine to coarse.
            mask: Mask of the defect, in [0, 1].
        """
        hint = torch.cat([2 * mask - 1, distance_map(mask)], dim=1)
        seen = [mean_under(level, mask) for level in features]
        return torch.cat([*seen, F.adaptive_avg_pool2d(hint, MASK_SIDE).flatten(1)], dim=1)

    def forward(
        self,
        described: Float[Tensor, "n i"],
        kind: Int[Tensor, " n"],
        z: Float[Tensor, "n z"],
    ) -> Float[Tensor, "n defect_layers d"]:
        """Displacement of the defect's rows.

        Args:
            described: Result of `describe`.
            kind: Index of the defect's type.
            z: Standard normal numbers.
        """
        onehot = F.one_hot(kind, self.kinds).to(z.dtype)
        x = self.fc0(torch.cat([described, onehot], dim=1)) + self.fromz(z)
        x = F.leaky_relu(self.fc1(F.leaky_relu(x, 0.2)), 0.2)
        return self.unit * self.torows(x).unflatten(1, (self.rows, self.w_dim))


def given_to(
    generator: Generator, mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 1 h w"] | None:
    """The mask if the branch takes one, else None."""
    defect = generator.config.defect
    return mask if defect is not None and defect.takes_mask else None


def fresh_mapper(generator: Generator, *, seed: int) -> Mapper:
    """Mapper without any displacement yet."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapper = Mapper(generator.config)
    mapper.unit.fill_(w_defect_statistics(generator).unit)
    return mapper.to(generator.mapping.w_avg.device)


def load_mapper(bundle: Bundle, device: torch.device | str = "cpu") -> Mapper:
    """The bundle's mapper, frozen.

    Raises:
        BundleError: The bundle has no mapper, or one that does not fit.
    """
    if not bundle.has(MAPPER) or shape_of(bundle).defect is None:
        raise BundleError(
            got=f"{bundle.path}, a bundle without a mapper",
            expected="one with a mapper, which places defects in one forward pass",
            todo=f"Run 'blemish train mapper DATA --bundle {bundle.path}', or choose the method "
            "optimize, which needs no mapper.",
        )
    config = shape_of(bundle)
    return load_network(bundle, MAPPER, lambda: Mapper(config), device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Encoder outputs for photographs of good parts.

    Attributes:
        features: Features from fine to coarse.
        w: Rows of the part.
    """

    features: list[Tensor]
    w: Float[Tensor, "n layers d"]

    def repeated(self, times: int) -> "Seen":
        """The outputs with each photograph repeated in a row."""
        features = [x.repeat_interleave(times, dim=0) for x in self.features]
        return Seen(features=features, w=self.w.repeat_interleave(times, dim=0))


@torch.no_grad()
def see(encoder: Encoder, photograph: Float[Tensor, "n 3 h w"]) -> Seen:
    """Encode photographs, in [-1, 1] at the generator's resolution."""
    features = encoder.features(photograph)
    return Seen(features=features, w=encoder.part_rows(features))


def codes_for(
    generator: Generator,
    mapper: Mapper,
    seen: Seen,
    mask: Float[Tensor, "n 1 h w"],
    kind: Int[Tensor, " n"],
    z: Float[Tensor, "n z"],
) -> Codes:
    """Codes of parts with their defects; gradients flow to the mapper.

    Args:
        generator: Generator with a defect branch.
        mapper: Mapper of the same bundle.
        seen: Parts, encoded by the encoder of the same bundle.
        mask: Mask of the defect, in [0, 1].
        kind: Index of the defect's type.
        z: Standard normal numbers; other numbers give another defect.
    """
    moved = mapper(mapper.describe(seen.features, mask), kind, z).float()
    return Codes(w=seen.w, w_defect=by_chance(generator, kind, z) + moved, space="w+")


@torch.no_grad()
def by_chance(
    generator: Generator, kind: Int[Tensor, " n"], z: Float[Tensor, "n z"]
) -> Float[Tensor, "n defect_layers d"]:
    """Rows that the branch's own mapping gives to a random code, f(z, k)."""
    row = generator.defect_mapping(z, kind if generator.defect_mapping.kinds else None)
    return row[:, None].repeat(1, generator.config.defect_layers, 1)
