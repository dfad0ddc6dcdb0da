r"""The look of a defect: statistics of frozen features inside its mask, and their code.

With pretrained maps $f_l$ and the mask's share $m_l$ of each place, the look is the mean and the
deviation of every channel inside the mask, with those of the colours: it says what the defect looks
like and not where it lies. `LookEncoder` takes it to a Gaussian over z (Kingma & Welling, 2014).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from blemish.efficientnet import WIDTHS
from blemish.models.layers import FullyConnected, moments_inside

SPREAD = 0.5  # deviation of noise around a mixed latent
LAYERS = 3  # maps that count: at stride 32 a defect is less than a place
LOOK = 2 * (3 + sum(list(WIDTHS.values())[:LAYERS]))


def look_of(
    images: Float[Tensor, "n 3 h w"], maps: list[Tensor], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n s"]:
    """Mean and deviation inside the mask, of the colours and of the finest maps.

    Args:
        images: RGB in [-1, 1].
        maps: The pretrained network's, fine to coarse.
        mask: Zeros and ones, not empty.
    """
    return moments_inside((x.float() for x in (images, *maps[:LAYERS])), mask, floor=1e-4)


def mix_latents(
    first: Float[Tensor, "n z"],
    second: Float[Tensor, "n z"],
    share: Float[Tensor, "n 1"],
    noise: Float[Tensor, "n z"],
) -> Float[Tensor, "n z"]:
    """Latents between those of two real defects, with noise around.

    Args:
        first: Latents of real defects.
        second: Latents of others of the same types.
        share: Share of the second, in [0, 0.5].
        noise: Standard normal.
    """
    return first.lerp(second, share) + SPREAD * noise


class LookEncoder(nn.Module):
    """A look to a Gaussian over the latent z.

    Args:
        z_dim: Width of the latent.
        width: Width of the hidden layers.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, z_dim: int, *, width: int = 256) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(LOOK))
        self.register_buffer("deviation", torch.ones(LOOK))
        self.hidden = nn.Sequential(
            FullyConnected(LOOK, width, activation=True),
            FullyConnected(width, width, activation=True),
        )
        self.out = FullyConnected(width, 2 * z_dim)

    @torch.no_grad()
    def standardise(self, looks: Float[Tensor, "n s"]) -> None:
        """Take mean and deviation of each number from looks of real defects."""
        self.mean.copy_(looks.mean(dim=0))
        self.deviation.copy_(looks.std(dim=0).clamp(min=1e-3))

    def standardised(self, look: Float[Tensor, "n s"]) -> Float[Tensor, "n s"]:
        """A look in deviations of real defects."""
        return (look - self.mean) / self.deviation

    def forward(
        self, look: Float[Tensor, "n s"]
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance."""
        found = self.out(self.hidden(self.standardised(look).clamp(-5, 5)))
        mean, log_variance = found.chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 2)
