r"""The mapper: photograph, mask, type and a random code to codes, in one pass.

The part's rows are the encoder's. The defect's begin where the branch would draw one by chance, at
its own mapping f of the random code z and type k, and are moved by what the photograph x and the
mask m ask for (a residual mapper, as StyleCLIP's; Patashnik et al., 2021):

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
    """h of the module's docstring, with the deviation σ of defect codes.

    Args:
        config: Of the generator, which must have a defect branch.
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
        nn.init.normal_(self.fromz.weight, std=config.z_dim**-0.5)  # as loud as all the rest
        self.torows = nn.Linear(HIDDEN, self.rows * self.w_dim)
        nn.init.zeros_(self.torows.weight)
        nn.init.zeros_(self.torows.bias)
        self.register_buffer("unit", torch.ones([]))

    def describe(
        self, features: list[Tensor], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, "n i"]:
        """What there is under a mask, and its shape.

        Args:
            features: What the encoder saw, from fine to coarse.
            mask: Where the defect shall be, in [0, 1].
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
        """How far the defect's rows move.

        Args:
            described: What `describe` gave.
            kind: Index of its type.
            z: Standard normal.
        """
        onehot = F.one_hot(kind, self.kinds).to(z.dtype)
        x = self.fc0(torch.cat([described, onehot], dim=1)) + self.fromz(z)
        x = F.leaky_relu(self.fc1(F.leaky_relu(x, 0.2)), 0.2)
        return self.unit * self.torows(x).unflatten(1, (self.rows, self.w_dim))


def given_to(
    generator: Generator, mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 1 h w"] | None:
    """The mask, where the branch takes one."""
    defect = generator.config.defect
    return mask if defect is not None and defect.takes_mask else None


def fresh_mapper(generator: Generator, *, seed: int) -> Mapper:
    """A mapper that moves nothing yet."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        mapper = Mapper(generator.config)
    mapper.unit.fill_(w_defect_statistics(generator).unit)
    return mapper.to(generator.mapping.w_avg.device)


def load_mapper(bundle: Bundle, device: torch.device | str = "cpu") -> Mapper:
    """The bundle's mapper, frozen.

    Raises:
        BundleError: It has none, or one that does not fit.
    """
    if not bundle.has(MAPPER) or shape_of(bundle).defect is None:
        raise BundleError(
            got=f"{bundle.path}, a bundle without a mapper",
            expected="one that has learnt to place defects in one pass",
            todo=f"Run 'blemish train mapper DATA --bundle {bundle.path}', or choose the method "
            "optimize, which needs none.",
        )
    config = shape_of(bundle)
    return load_network(bundle, MAPPER, lambda: Mapper(config), device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Photographs of good parts as the encoder sees them.

    Attributes:
        features: From fine to coarse.
        w: The part's rows.
    """

    features: list[Tensor]
    w: Float[Tensor, "n layers d"]

    def repeated(self, times: int) -> "Seen":
        """Each photograph so many times in a row."""
        features = [x.repeat_interleave(times, dim=0) for x in self.features]
        return Seen(features=features, w=self.w.repeat_interleave(times, dim=0))


@torch.no_grad()
def see(encoder: Encoder, photograph: Float[Tensor, "n 3 h w"]) -> Seen:
    """Look at photographs, in [-1, 1] at the generator's resolution."""
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
    """Codes of parts with their defects; slopes reach the mapper.

    Args:
        generator: With a defect branch.
        mapper: Of the same bundle.
        seen: The parts, by the encoder of the same bundle.
        mask: Where the defect shall be, in [0, 1].
        kind: Index of its type.
        z: Standard normal; another one is another defect.
    """
    moved = mapper(mapper.describe(seen.features, mask), kind, z).float()
    return Codes(w=seen.w, w_defect=by_chance(generator, kind, z) + moved, space="w+")


@torch.no_grad()
def by_chance(
    generator: Generator, kind: Int[Tensor, " n"], z: Float[Tensor, "n z"]
) -> Float[Tensor, "n defect_layers d"]:
    """The rows that the branch's own mapping gives to a random code, f(z, k)."""
    row = generator.defect_mapping(z, kind if generator.defect_mapping.kinds else None)
    return row[:, None].repeat(1, generator.config.defect_layers, 1)
