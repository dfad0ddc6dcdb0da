"""Warm starts: what a generator learns before a critic teaches it.

With a few dozen photographs, adversarial training from random weights spends most of its time on
the coarse shape. A variational autoencoder (Kingma & Welling, 2014) with the generator as decoder
finds it in a few hundred steps. Photographs of parts that look alike, in one place, have nearly the
same latents there, and random codes draw blobs; but such photographs lie near a linear space, so
the generator learns to draw its pictures from their coordinates.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from blemish.models.critic import build_critic
from blemish.models.generator import Generator, GeneratorConfig
from blemish.models.layers import FullyConnected, normalise
from blemish.models.losses import kl_to_normal, multiscale_l1
from blemish.models.residual import ResidualConfig

WarmStartName = Literal["autoencoder", "components"]
LOOKED_AT = 1000  # photographs that components are computed from, at most
SIDE = 32  # of the first pictures; components are found there, so grown generators share them
FEWER = 0.75  # steps at the next side, for one at this: its images cost more
RATE = 1e-2  # of the regression on components; adversarial training needs a lower one


@runtime_checkable  # for the tests, which check types
class DrawLatents(Protocol):
    """Function that draws images of latents."""

    def __call__(
        self, z: Float[Tensor, "n z"], side: int | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Images of latents, coarser ones if a smaller side in pixels is given."""
        ...


@dataclass(frozen=True, slots=True)
class WarmStep:
    """A step of a warm start, or of training beside the critic.

    Attributes:
        draw: Generator in training.
        real: Photographs.
        noise: Standard normal noise.
        done: Share of the warm start that is done; 1 beside the critic.
    """

    draw: DrawLatents
    real: Float[Tensor, "n 3 h w"]
    noise: Float[Tensor, "n z"]
    done: float


class WarmStart(nn.Module, ABC):
    """Target of a generator before the critic comes in, and beside it if that is wanted.

    Attributes:
        share: Share of the steps that it needs; less if the generator grew from a coarser one.
        ramp_steps: Steps after it over which the learning rate rises, because the critic's
            gradients are larger than those that Adam has seen.
    """

    share: float = 1.0
    ramp_steps: int = 0

    @abstractmethod
    def loss(self, step: WarmStep) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Loss of a step, and values to log."""

    def prepare(self, generator: Generator) -> None:
        """Change the initial weights of a generator that did not grow from another."""

    def pace(self, done: float) -> tuple[float, float] | None:
        """Learning rate and momentum of Adam; None for those of adversarial training.

        Args:
            done: Share of the warm start that is done.
        """


class Autoencoder(WarmStart):
    """Encoder from an image to a Gaussian over z, on a residual trunk.

    Args:
        config: Shape of the generator.
        kl_weight: Weight of the latent's divergence.
        known: Side of the pictures that the generator draws already; 0 for none.
    """

    def __init__(self, config: GeneratorConfig, kl_weight: float, known: int = 0) -> None:
        super().__init__()
        self.share = 0.0 if known else 1.0  # it has said all it can at the coarser resolution
        self.trunk = build_critic(ResidualConfig(), config)
        self.head = FullyConnected(config.channels(4) * 16, 2 * config.z_dim)
        self.kl_weight = kl_weight

    def forward(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n z"], Float[Tensor, "n z"]]:
        """Mean and log-variance."""
        mean, log_variance = self.head(self.trunk.features(image)[-1].flatten(1)).chunk(2, dim=1)
        return mean, log_variance.clamp(-8, 2)

    def loss(self, step: WarmStep) -> tuple[Float[Tensor, ""], dict[str, float]]:
        mean, log_variance = self(step.real)
        image = step.draw(sample_latent(mean, log_variance, step.noise))
        far = multiscale_l1(image, step.real).mean()
        spread = kl_to_normal(mean, log_variance).mean()
        return far + self.kl_weight * spread, {"l1": far.item(), "kl": spread.item()}


class Components(WarmStart):
    r"""Pictures between photographs, from their principal components (Turk & Pentland, 1991).

    Let C (n \times z) be the coordinates of n photographs along their first principal components,
    scaled to unit variance, and B the coefficients by which C predicts the photographs' difference
    from their mean m with the least squared error. Then a latent's picture is m + z B, with z
    scaled to the norm \sqrt{z_dim}, as the generator scales it.

    Coarse images come first, because they cost little.

    Args:
        images: Photographs at the generator's resolution, in [-1, 1].
        z_dim: Number of components; those beyond the number of photographs are zero.
        known: Side of the pictures that the generator draws already; 0 for none.
    """

    mean: Tensor
    basis: Tensor
    ramp_steps = 100

    def __init__(self, images: Float[Tensor, "n 3 h w"], z_dim: int, known: int = 0) -> None:
        super().__init__()
        side = images.shape[2]
        sides = [*(SIDE << k for k in range(10) if SIDE << k < side), side]
        lengths = FEWER ** np.arange(len(sides))
        first = sum(one <= known for one in sides)
        self.sides, lengths = sides[first:], lengths / lengths.sum()
        self.share = float(lengths[first:].sum())
        self.ends = lengths[first:].cumsum() / self.share
        every = -(-len(images) // LOOKED_AT)
        seen = images[::every]
        mean = seen.mean(dim=0)
        away = (seen - mean).flatten(1)
        basis = _coordinates(seen, z_dim).T @ away / len(seen)
        # They follow from the photographs, so a checkpoint need not hold them.
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("basis", basis, persistent=False)

    def forward(self, z: Float[Tensor, "n z"]) -> Float[Tensor, "n 3 h w"]:
        """Pictures of latents."""
        with torch.autocast(z.device.type, enabled=False):
            away = normalise(z.float()) @ self.basis
        return (self.mean + away.unflatten(1, self.mean.shape)).clamp(-1, 1)

    def loss(self, step: WarmStep) -> tuple[Float[Tensor, ""], dict[str, float]]:
        k, _ = self._octave(step.done)
        side = self.sides[k]
        target = F.adaptive_avg_pool2d(self(step.noise), side)
        image = step.draw(step.noise, side)
        far, square = multiscale_l1(image, target).mean(), (image - target).square().mean()
        return far + 4 * square, {"l1": far.item()}

    @torch.no_grad()
    def prepare(self, generator: Generator) -> None:
        """Begin near one grey picture, which finer images enlarge: the parts look alike."""
        coarse = tuple(f"synthesis.b{r}." for r in generator.config.resolutions() if r <= SIDE)
        for name, parameter in generator.named_parameters():
            if name.endswith("torgb.weight"):
                parameter *= 0.1 if name.startswith(coarse) else 0
            elif name.endswith("affine.weight"):
                parameter *= 0.2

    def pace(self, done: float) -> tuple[float, float]:
        k, within = self._octave(done)
        last = 0.0 if k == len(self.sides) - 1 else 0.1
        return RATE * (1 - (1 - last) * within), 0.9

    def _octave(self, done: float) -> tuple[int, float]:
        """Index of the side whose turn it is, and the share of its turn that is over."""
        k = min(int(np.searchsorted(self.ends, done, side="right")), len(self.ends) - 1)
        begin = self.ends[k - 1] if k else 0.0
        return k, float((done - begin) / (self.ends[k] - begin))


def build_warm_start(
    name: WarmStartName,
    config: GeneratorConfig,
    images: Float[Tensor, "n 3 h w"],
    *,
    kl_weight: float,
    known: int = 0,
) -> WarmStart:
    """Build a warm start.

    Args:
        name: Its name.
        config: Shape of the generator.
        images: Photographs, in [-1, 1].
        kl_weight: Weight of the latent's divergence in an autoencoder.
        known: Side of the pictures that the generator draws already; 0 for none.
    """
    if name == "components":
        return Components(images, config.z_dim, known)
    return Autoencoder(config, kl_weight, known)


def sample_latent(
    mean: Float[Tensor, "n z"], log_variance: Float[Tensor, "n z"], noise: Float[Tensor, "n z"]
) -> Float[Tensor, "n z"]:
    """Sample with gradients, from standard normal noise."""
    return mean + noise * (log_variance / 2).exp()


def _coordinates(images: Float[Tensor, "n 3 h w"], number: int) -> Float[Tensor, "n k"]:
    """Whitened coordinates along the first components, zero beyond those that there are."""
    small = F.adaptive_avg_pool2d(images, min(SIDE, images.shape[2])).flatten(1).double()
    left, scale, right = torch.linalg.svd(small - small.mean(dim=0), full_matrices=False)
    kept = min(number, int((scale > 1e-6 * scale[0]).sum()))
    # Either sign of a component is right; the largest entry decides, so that all runs agree.
    largest = right[:kept].gather(1, right[:kept].abs().argmax(dim=1, keepdim=True))
    found = left[:, :kept] * largest.sign().T * len(images) ** 0.5
    return F.pad(found, (0, number - kept)).float()
