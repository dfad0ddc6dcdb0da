r"""The W projector of StyleGAN2 (Karras et al., 2020, appendix D), in z, w or w+.

It minimises, over a code c and noise maps n and with s the backbone,

    \lambda_p \lVert s(c, n) - x \rVert^2 + \lambda_f d_F(s(c, n), x) + \lambda_n R(n),

with d_F the distance in the features of the bundle's critic. The code starts at the mean of w (at
the best of a few samples in z), with decaying Gaussian noise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.descent import Found, Watch, descend
from blemish.inversion.losses import squared_error
from blemish.inversion.model import Model
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.inversion.search import Search
from blemish.inversion.space import (
    Point,
    WStatistics,
    draws,
    start_features,
    w_statistics,
    with_defect,
)
from blemish.limits import refuse_weights
from blemish.models.generator import Generator
from blemish.names import Space

SHAKE = 0.05
SHAKEN_UNTIL = 0.75
Z_CANDIDATES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Options of the projector.

    Attributes:
        space: Search space.
        search: Steps and rates.
        pixel_weight: Weight of the squared error.
        feature_weight: Weight of the distance in the critic's features.
        noise_weight: Weight of the noise map regularity, 1e5 in the paper; 0 keeps constant maps.
    """

    space: Space = "w+"
    search: Search = field(default_factory=lambda: Search(steps=200))
    pixel_weight: float = 10
    feature_weight: float = 1
    noise_weight: float = 0

    def __post_init__(self) -> None:
        refuse_weights(
            pixel_weight=self.pixel_weight,
            feature_weight=self.feature_weight,
            noise_weight=self.noise_weight,
        )

    def weights(self) -> dict[str, float]:
        """Weight of each term of the loss."""
        return {
            "pixels": self.pixel_weight,
            "features": self.feature_weight,
            "noise": self.noise_weight,
        }

    def find(
        self,
        model: Model,
        target: Float[Tensor, "n 3 h w"],
        *,
        rngs: list[torch.Generator],
        where: Float[Tensor, "n 1 h w"] | None = None,
        defect: bool = False,
        watch: Watch | None = None,
    ) -> Found:
        """See `methods.InversionMethod`."""
        generator, likeness = model.generator, ReconstructionLoss.to(model.critic, target, where)
        statistics = w_statistics(generator)
        code = _start(generator, likeness, self.space, statistics, rngs)
        noise = _noise_start(generator, rngs) if self.noise_weight else {}
        features = start_features(generator, self.space, len(rngs))
        point = Point(space=self.space, code=code, noise=noise, features=features)
        if defect:
            point = with_defect(point, generator, None, rngs)
        perturb = _shaker(code, statistics, self.space, rngs)
        return descend(
            generator, point, likeness, self.weights(), self.search, perturb=perturb, watch=watch
        )


def _start(
    generator: Generator,
    likeness: ReconstructionLoss,
    space: Space,
    statistics: WStatistics,
    rngs: list[torch.Generator],
) -> Tensor:
    n, config = len(rngs), generator.config
    if space == "z":
        return _best_latent(generator, likeness.target, likeness.where, rngs).requires_grad_()
    shape = (n, config.w_dim) if space == "w" else (n, config.layers, config.w_dim)
    return statistics.mean.expand(shape).clone().requires_grad_()


@torch.no_grad()
def _best_latent(
    generator: Generator,
    target: Float[Tensor, "n 3 h w"],
    where: Float[Tensor, "n 1 h w"] | None,
    rngs: list[torch.Generator],
) -> Float[Tensor, "n z"]:
    """Latent with the nearest image, of a few per item; z has no mean to start from."""
    found = []
    for index, rng in enumerate(rngs):
        z = torch.randn(Z_CANDIDATES, generator.config.z_dim, generator=rng).to(target.device)
        item = target[index].expand(len(z), -1, -1, -1)
        counts = None if where is None else where[index].expand(len(z), -1, -1, -1)
        far = squared_error(generator.draw(generator.codes(z)).image, item, counts)
        found.append(z[far.argmin()])
    return torch.stack(found)


def _noise_start(generator: Generator, rngs: list[torch.Generator]) -> dict[str, Tensor]:
    device = generator.mapping.w_avg.device
    return {
        name: draws((1, layer.resolution, layer.resolution), rngs).to(device).requires_grad_()
        for name, layer in generator.synthesis.layers()
        if not name.startswith("res_")
    }


def _shaker(
    code: Tensor, statistics: WStatistics, space: Space, rngs: list[torch.Generator]
) -> Callable[[float], Tensor]:
    # In z a unit is a deviation already; noise of w's size would dominate.
    deviation = torch.ones([]) if space == "z" else statistics.deviation
    scale = SHAKE * deviation.to(code.device)

    def perturb(time: float) -> Tensor:
        strength = max(0.0, 1 - time / SHAKEN_UNTIL) ** 2
        if strength == 0:
            return torch.zeros_like(code)
        return draws(tuple(code.shape[1:]), rngs).to(code.device) * (scale * strength)

    return perturb
