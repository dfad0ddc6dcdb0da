"""Small encoder that is trained with the generator before the critic is used.

With a few dozen photographs, adversarial training from random weights spends most of its time on
the coarse shape. A variational autoencoder (Kingma & Welling, 2014) with the generator as decoder
finds it in a few hundred steps.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from blemish.models.critic import build_critic
from blemish.models.generator import GeneratorConfig
from blemish.models.layers import FullyConnected
from blemish.models.residual import ResidualConfig


class LatentEncoder(nn.Module):
    """Encoder from an image to a Gaussian over z, on a residual trunk."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.trunk = build_critic(ResidualConfig(), config)
        self.head = FullyConnected(config.channels(4) * 16, 2 * config.z_dim)

    def forward(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance."""
        mean, log_variance = self.head(self.trunk.features(image)[-1].flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 2)


def sample_latent(
    mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"], noise: Float[Tensor, "n z"]
) -> Float[Tensor, "n z"]:
    """Sample with gradients, from standard normal noise."""
    return mean + noise * (log_variance / 2).exp()


def standardised(mean: Float[Tensor, "n z"], noise: Float[Tensor, "n z"]) -> Float[Tensor, "n z"]:
    """Latents that are standard normal over a batch, whatever the encoder predicts.

    Means of zero and unit deviation over the batch (Zhu et al., BN-VAE, 2020) share the variance
    evenly with the noise. Photographs that look alike then fill the prior instead of one place.

    Args:
        mean: Prediction of `LatentEncoder`, at least two items.
        noise: Standard normal noise.
    """
    wide = mean.float()
    deviation, centre = torch.std_mean(wide, dim=0, keepdim=True)
    return ((wide - centre) / (deviation + 1e-4) + noise) / 2**0.5
