r"""How real synthetic defects look in close-ups, to a network that nothing is trained against.

SqueezeNet's maps after three of its blocks are reduced to the mean and the deviation of each
channel; each block's vector has length 1, and f is all of them. These figures compare synthetic
close-ups with real ones:

- the kernel distance, an unbiased squared MMD with the kernel (f \cdot g + 1)^3; its value means
  little by itself, so copy-paste and halves of the real ones stand beside it;
- the accuracy of a ridge probe that tells them apart, asked of each close-up while that one is left
  out: with the kernel matrix K and the labels y, the answers are

    \hat y_i = \frac{(H y)_i - H_{ii} y_i}{1 - H_{ii}},   H = K (K + \lambda I)^{-1};

  50 % is chance;
- sharpness inside the mask: the median over pieces, synthetic divided by real.

Two more look at the inside of a defect alone: how much a set differs within itself, and the share
that is nearer to a real defect in any position than the nearest twentieth of the real ones are to
each other; about a twentieth of new real defects would be, too.
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
from blemish.evaluation.synthesis.measures import diversity, memorised
from blemish.evaluation.synthesis.views import turned
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
        diversity: Mean squared distance of the insides over their mean squared length; 0 if all
            are alike.
        copies: Share of the insides that may be copies of real ones, in [0, 1].
    """

    close_ups: int
    kernel_distance: float
    probe: float
    sharpness: float | None
    diversity: float | None
    copies: float | None


@dataclass(frozen=True, slots=True)
class RealCloseUps:
    """Real close-ups, looked at once.

    Attributes:
        shown: The close-ups in random order.
        features: Their features.
        insides: Features of their insides.
        positions: The same in all eight positions: all in one, then all in the next.
    """

    shown: CloseUps
    features: Float[Tensor, "n d"]
    insides: Float[Tensor, "n d"]
    positions: Float[Tensor, "k d"]

    @classmethod
    def of(cls, network: FeatureNetwork, found: CloseUps, seed: int = 0) -> "RealCloseUps":
        """Look at real close-ups.

        Args:
            network: SqueezeNet.
            found: From `close_ups` of photographs and masks.
            seed: Seed of the order, which parts them into halves.
        """
        shown = found.shuffled(np.random.default_rng(seed), MOST)
        positions = [described(network, squares) for squares in turned(shown.insides)]
        features = described(network, shown.squares)
        return cls(shown, features, positions[0], torch.cat(positions))

    def halves(self) -> Realism | None:
        """One half of the real ones as if it were synthetic; None of fewer than eight."""
        n = len(self.features) // 2
        if n < FEWEST:
            return None
        one, other = self.features[:n], self.features[n:]
        inside, others = self.insides[:n], self.insides[n:]
        apart = self.positions.unflatten(0, (-1, len(self.insides)))[:, n:].flatten(0, 1)
        return Realism(
            close_ups=n,
            kernel_distance=distance(one, other),
            probe=probe_accuracy(one, other),
            sharpness=None,
            diversity=diversity(inside),
            copies=memorised(inside, others, apart),
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
        features, insides = (described(network, x) for x in (chosen.squares, chosen.insides))
        sharp = [chosen.sharpness, self.shown.sharpness]
        ratio = median(sharp[0]) / max(median(sharp[1]), 1e-6) if all(sharp) else None
        return Realism(
            close_ups=len(chosen),
            kernel_distance=distance(features, self.features),
            probe=probe_accuracy(features, self.features),
            sharpness=ratio,
            diversity=diversity(insides),
            copies=memorised(insides, self.insides, self.positions),
        )


def most_real(snapshots: Mapping[int, Realism]) -> int:
    """The snapshot whose close-ups come nearest to real ones."""
    return min(snapshots, key=lambda key: snapshots[key].kernel_distance)


@torch.no_grad()
def described(
    network: FeatureNetwork, squares: UInt8[np.ndarray, "n s s 3"]
) -> Float[Tensor, "n d"]:
    """Features of close-ups; see the module's docstring."""
    images = to_tensor(np.ascontiguousarray(squares))
    rows = [_described(network(batch)) for batch in images.split(BATCH)]
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
