r"""How real synthetic defects look in close-ups, to a network that nothing is trained against.

SqueezeNet's maps after three of its blocks are reduced to the mean and the deviation of each
channel; each block's vector has length 1, and f is all of them. Three figures compare synthetic
close-ups with real ones:

- the kernel distance, an unbiased squared MMD with the kernel (f \cdot g + 1)^3; its value means
  little by itself, so copy-paste and halves of the real ones stand beside it;
- the accuracy of a ridge probe that tells them apart, asked of each close-up while that one is left
  out: with the kernel matrix K and the labels y, the answers are

    \hat y_i = \frac{(H y)_i - H_{ii} y_i}{1 - H_{ii}},   H = K (K + \lambda I)^{-1};

  50 % is chance;
- sharpness inside the mask: the median over pieces, synthetic divided by real.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from blemish.evaluation.metrics import kernel_distance
from blemish.evaluation.synthesis.closeups import CloseUps
from blemish.features import FeatureNetwork
from blemish.pictures import to_tensor

LAYERS = ("fire3", "fire5", "fire9")
BATCH = 32
FEWEST = 4  # close-ups that figures need
RIDGE = 0.05  # of the kernel matrix's mean diagonal
MOST = 400  # close-ups of a set that are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Realism:
    """Figures of a set of close-ups.

    Attributes:
        close_ups: Their number.
        kernel_distance: Kernel distance to real ones; lower is nearer.
        probe: Accuracy of the probe in percent; 50 means that it can't tell.
        sharpness: Sharpness inside the mask over that of real ones; 1 means alike, None if no piece
            has an inside.
    """

    close_ups: int
    kernel_distance: float
    probe: float
    sharpness: float | None


@dataclass(frozen=True, slots=True)
class RealCloseUps:
    """Real close-ups, looked at once.

    Attributes:
        shown: The close-ups in random order.
        features: Their features.
    """

    shown: CloseUps
    features: Float[Tensor, "n d"]

    @classmethod
    def of(cls, network: FeatureNetwork, found: CloseUps, seed: int = 0) -> "RealCloseUps":
        """Look at real close-ups.

        Args:
            network: SqueezeNet.
            found: From `close_ups` of photographs and masks.
            seed: Seed of the order, which parts them into halves.
        """
        shown = found.shuffled(np.random.default_rng(seed), MOST)
        return cls(shown, described(network, shown.squares))

    def halves(self) -> Realism | None:
        """One half of the real ones as if it were synthetic; None of fewer than eight."""
        n = len(self.features) // 2
        if n < FEWEST:
            return None
        one, other = self.features[:n], self.features[n:]
        return Realism(
            close_ups=n,
            kernel_distance=distance(one, other),
            probe=probe_accuracy(one, other),
            sharpness=None,
        )

    def compare(self, network: FeatureNetwork, found: CloseUps, seed: int = 0) -> Realism | None:
        """How real other close-ups look; None of fewer than four on either side.

        A training may choose among its snapshots by this; see `most_real`.

        Args:
            network: The one that looked at the real ones.
            found: From `close_ups` of synthetic photographs and masks.
            seed: Seed of the choice, where there are many.
        """
        chosen = found.shuffled(np.random.default_rng(seed), MOST)
        if min(len(chosen), len(self.features)) < FEWEST:
            return None
        features = described(network, chosen.squares)
        sharp = [chosen.sharpness, self.shown.sharpness]
        ratio = median(sharp[0]) / max(median(sharp[1]), 1e-6) if all(sharp) else None
        return Realism(
            close_ups=len(chosen),
            kernel_distance=distance(features, self.features),
            probe=probe_accuracy(features, self.features),
            sharpness=ratio,
        )


def most_real(snapshots: Mapping[int, Realism]) -> int:
    """The snapshot whose close-ups come nearest to real ones."""
    return min(snapshots, key=lambda key: snapshots[key].kernel_distance)


@torch.no_grad()
def described(
    network: FeatureNetwork, squares: UInt8[np.ndarray, "n s s 3"]
) -> Float[Tensor, "n d"]:
    """Features of close-ups; see the module's docstring."""
    rows = [_described(network(images)) for images in to_tensor(squares).split(BATCH)]
    return torch.cat(rows).double() if len(squares) else torch.zeros(0, 1, dtype=torch.double)


def distance(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """The kernel distance of features; see the module's docstring."""
    scale = sqrt(a.shape[1])  # `kernel_distance` divides products by the number of features
    return kernel_distance(a * scale, b * scale)


def probe_accuracy(a: Float[Tensor, "n d"], b: Float[Tensor, "m d"]) -> float:
    """How often a linear probe tells two sets apart, in percent; see the module's docstring.

    Args:
        a: Features of one set in random order; of the larger set the first ones count.
        b: Features of the other.
    """
    n = min(len(a), len(b))
    x = torch.cat([a[:n], b[:n]])
    y = torch.cat([torch.ones(n), -torch.ones(n)]).to(x)
    x = x - x.mean(dim=0)
    kernel = x @ x.T
    ridge = RIDGE * kernel.diagonal().mean() * torch.eye(2 * n).to(x)
    hat = torch.linalg.solve(kernel + ridge, kernel)
    left_out = (hat @ y - hat.diagonal() * y) / (1 - hat.diagonal())
    return 100 * float((left_out.sign() == y).double().mean())


def _described(maps: Mapping[str, Tensor]) -> Float[Tensor, "n d"]:
    chosen = [maps[layer] for layer in LAYERS]
    parts = [f(m) for m in chosen for f in (_means, _deviations)]
    return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)


def _means(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return maps.mean(dim=(2, 3))


def _deviations(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return maps.std(dim=(2, 3))
