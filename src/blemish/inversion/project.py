r"""The W projector of StyleGAN2 (Karras et al., 2020, appendix D), in z, w or w+.

Minimises, over a code c, noise maps n and with s the backbone,

    \lambda_p \lVert s(c, n) - x \rVert^2 + \lambda_f d_F(s(c, n), x) + \lambda_n R(n),

with d_F the distance in the features of the bundle's critic. The code starts at the mean of w (at
the best of a few draws in z), and is shaken by Gaussian noise that dies away.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.generator.critic import Critic
from blemish.generator.network import Generator
from blemish.inversion.losses import feature_error, noise_regularity, renormalise, squared_error
from blemish.inversion.search import Search, Step, Terms, refuse_weights, search
from blemish.types import Codes, Space

SHAKE = 0.05
SHAKEN_UNTIL = 0.75
Z_CANDIDATES = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Options of the projector.

    Attributes:
        space: Where to search.
        search: Steps and rates.
        pixel_weight: Of the squared error.
        feature_weight: Of the distance in the critic's features.
        noise_weight: Of the regularity of noise maps, 1e5 in the paper; 0 keeps the constants.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class WStatistics:
    """Mean of w, and the root of the mean squared distance to it, over mapped z."""

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, ""]


@torch.no_grad()
def w_statistics(generator: Generator, *, n: int = 10_000, seed: int = 0) -> WStatistics:
    """Statistics of w over `n` mapped latents."""
    z = torch.randn(n, generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    w = generator.mapping(z.to(generator.mapping.w_avg.device))
    mean = w.mean(dim=0)
    return WStatistics(mean=mean, deviation=(w - mean).square().sum(dim=1).mean().sqrt())


def project(
    generator: Generator,
    critic: Critic,
    target: Float[Tensor, "n 3 h w"],
    how: Projection,
    *,
    rngs: list[torch.Generator],
    where: Float[Tensor, "n 1 h w"] | None = None,
    tell: Step | None = None,
) -> tuple[Codes, Terms]:
    """Find codes of good twins for photographs.

    Args:
        generator: Frozen.
        critic: Of the same bundle.
        target: Photographs at the generator's resolution, in [-1, 1].
        how: Options.
        rngs: One for each item.
        where: What of the photograph counts, in [0, 1].
        tell: Called behind each step with its number.

    Returns:
        The codes, and the terms of the loss at the end.
    """
    statistics = w_statistics(generator)
    code = _start(generator, target, where, how.space, statistics, rngs)
    noise = _noise_start(generator, rngs) if how.noise_weight else {}
    wanted = [map.detach() for map in critic.features(_seen(target, where))]
    shake = _shaker(code, statistics, how.space, rngs)

    def terms(time: float) -> Terms:
        rows = _rows(generator, code + shake(time), how.space)
        image = generator.draw(Codes(w=rows, noise=noise or None)).image
        found = {
            "pixels": squared_error(image, target, where),
            "features": feature_error(critic.features(_seen(image, where)), wanted, where),
        }
        return found | ({"noise": noise_regularity(noise)} if noise else {})

    weights = {
        "pixels": how.pixel_weight,
        "features": how.feature_weight,
        "noise": how.noise_weight,
    }
    after = (lambda: renormalise(noise)) if noise else None
    leaves = [code, *noise.values()]
    found = search(leaves, terms, weights, how.search, after=after, tell=tell)
    rows = _rows(generator, code, how.space).detach()
    still = {name: map.detach() for name, map in noise.items()}
    return Codes(w=rows, noise=still or None, space=how.space), found


def draws(shape: tuple[int, ...], rngs: list[torch.Generator]) -> Float[Tensor, "n ..."]:
    """Standard normal numbers, each item's from its own generator."""
    return torch.stack([torch.randn(shape, generator=rng) for rng in rngs])


def _start(
    generator: Generator,
    target: Float[Tensor, "n 3 h w"],
    where: Float[Tensor, "n 1 h w"] | None,
    space: Space,
    statistics: WStatistics,
    rngs: list[torch.Generator],
) -> Tensor:
    n, config = len(target), generator.config
    if space == "z":
        return _best_latent(generator, target, where, rngs).requires_grad_()
    shape = (n, config.w_dim) if space == "w" else (n, config.layers, config.w_dim)
    return statistics.mean.expand(shape).clone().requires_grad_()


def _seen(
    image: Float[Tensor, "n 3 h w"], where: Float[Tensor, "n 1 h w"] | None
) -> Float[Tensor, "n 3 h w"]:
    # Features look beyond their place: what does not count must be gone before they are taken.
    return image if where is None else image * where


@torch.no_grad()
def _best_latent(
    generator: Generator,
    target: Float[Tensor, "n 3 h w"],
    where: Float[Tensor, "n 1 h w"] | None,
    rngs: list[torch.Generator],
) -> Float[Tensor, "n z"]:
    """Of a few latents per item the one whose picture is nearest; z has no mean to start from."""
    found = []
    for index, rng in enumerate(rngs):
        z = torch.randn(Z_CANDIDATES, generator.config.z_dim, generator=rng).to(target.device)
        item = target[index].expand(len(z), -1, -1, -1)
        counts = None if where is None else where[index].expand(len(z), -1, -1, -1)
        far = squared_error(generator.draw(generator.codes(z)).image, item, counts)
        found.append(z[far.argmin()])
    return torch.stack(found)


def _rows(generator: Generator, code: Tensor, space: Space) -> Float[Tensor, "n layers d"]:
    if space == "z":
        return generator.codes(code).w
    return code if space == "w+" else code[:, None].expand(-1, generator.config.layers, -1)


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
    # In z a unit is a deviation already; noise of w's size would drown it.
    deviation = torch.ones([]) if space == "z" else statistics.deviation
    scale = SHAKE * deviation.to(code.device)

    def shake(time: float) -> Tensor:
        strength = max(0.0, 1 - time / SHAKEN_UNTIL) ** 2
        if strength == 0:
            return torch.zeros_like(code)
        return draws(tuple(code.shape[1:]), rngs).to(code.device) * (scale * strength)

    return shake
