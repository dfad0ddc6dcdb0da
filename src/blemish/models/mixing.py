"""Style mixing (Karras et al., 2019, §3.1): codes whose coarse and fine rows have two origins.

Training samples codes in this way, so the generator's own codes have this distribution.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from blemish.models.generator import Generator, GeneratorConfig


def fresh_rows(
    generator: Generator, n: int, rng: torch.Generator, mixing: float = 0.9
) -> Float[Tensor, "n layers d"]:
    """Codes sampled as in training.

    Args:
        generator: Generator, whose device is used.
        n: Number of codes.
        rng: Random generator on the CPU.
        mixing: Probability that rows from some layer on come from a second latent.
    """
    return mixed_rows(generator, *mixed_latents(generator.config, n, rng, mixing))


def mixed_latents(
    config: GeneratorConfig, n: int, rng: torch.Generator, mixing: float
) -> tuple[Float[Tensor, "2 n z"], Int[Tensor, " n"]]:
    """Two latents for each sample, and the first row of the second."""
    z = torch.randn(2, n, config.z_dim, generator=rng)
    cut = torch.randint(1, config.layers, (n,), generator=rng)
    return z, torch.where(torch.rand(n, generator=rng) < mixing, cut, config.layers)


def mixed_rows(
    generator: Generator, z: Float[Tensor, "2 n z"], cut: Int[Tensor, " n"]
) -> Float[Tensor, "n layers d"]:
    """Rows of latents and cuts; gradients flow to the mapping."""
    device = generator.mapping.w_avg.device
    first, second = (generator.codes(latent.to(device)).w for latent in z)
    coarse = (torch.arange(generator.config.layers) < cut[:, None]).to(device)
    return torch.where(coarse[:, :, None], first, second)
