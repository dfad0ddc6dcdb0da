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

from collections.abc import Callable, Mapping
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
        figures: Value of each metric of `METRICS` by its name; None where it can't be measured.
    """

    close_ups: int
    figures: dict[str, float | None]

    @property
    def kernel_distance(self) -> float:
        """Kernel distance to real ones; lower is nearer."""
        found = self.figures["kernel_distance"]
        assert found is not None, "it is measured of any set"
        return found

    def row(self) -> dict[str, float | None]:
        """All figures, as `report.json` has them."""
        return {"close_ups": self.close_ups, **self.figures}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What a metric sees: close-ups, and real ones that they are compared with.

    Attributes:
        features: Features of the close-ups.
        insides: Features of their insides.
        sharpness: Sharpness inside each piece that is large enough.
        real_features: Features of the real close-ups.
        real_insides: Features of their insides.
        real_positions: The same in all eight positions: all in one, then all in the next.
        real_sharpness: Sharpness inside each real piece that is large enough.
    """

    features: Float[Tensor, "n d"]
    insides: Float[Tensor, "n d"]
    sharpness: list[float]
    real_features: Float[Tensor, "m d"]
    real_insides: Float[Tensor, "m d"]
    real_positions: Float[Tensor, "k d"]
    real_sharpness: list[float]

    def measured(self) -> Realism:
        """All figures."""
        figures = {metric.name: metric.function(self) for metric in METRICS}
        return Realism(close_ups=len(self.features), figures=figures)


@dataclass(frozen=True, slots=True)
class Metric:
    """Figure of close-ups; one more is a function and a line in `METRICS`.

    Attributes:
        name: Key in `report.json`.
        unit: Unit; empty if it has none.
        caption: Title of its column, without the unit.
        function: From the close-ups to the value; None where it can't be measured.
    """

    name: str
    unit: str
    caption: str
    function: Callable[[Compared], float | None]

    @property
    def title(self) -> str:
        """Title of its column."""
        return f"{self.caption}, {self.unit}" if self.unit else self.caption


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
        positions = [close_up_features(network, squares) for squares in turned(shown.insides)]
        features = close_up_features(network, shown.squares)
        return cls(shown, features, positions[0], torch.cat(positions))

    def halves(self) -> Realism | None:
        """One half of the real ones as if it were synthetic; None of fewer than eight."""
        n = len(self.features) // 2
        if n < FEWEST:
            return None
        one, other = self.features[:n], self.features[n:]
        inside, others = self.insides[:n], self.insides[n:]
        apart = self.positions.unflatten(0, (-1, len(self.insides)))[:, n:].flatten(0, 1)
        return Compared(
            features=one,
            insides=inside,
            sharpness=[],
            real_features=other,
            real_insides=others,
            real_positions=apart,
            real_sharpness=[],
        ).measured()

    def compare(self, network: FeatureNetwork, found: CloseUps, seed: int = 0) -> Realism | None:
        """How real other close-ups look; None of fewer than four on either side.

        Args:
            network: The one that looked at the real ones.
            found: From `close_ups` of synthetic photographs and masks.
            seed: Seed of the choice, where there are many.
        """
        chosen = found.shuffled(np.random.default_rng(seed), MOST)
        if min(len(chosen), len(self.features)) < FEWEST:
            return None
        features, insides = (
            close_up_features(network, x) for x in (chosen.squares, chosen.insides)
        )
        return Compared(
            features=features,
            insides=insides,
            sharpness=chosen.sharpness,
            real_features=self.features,
            real_insides=self.insides,
            real_positions=self.positions,
            real_sharpness=self.shown.sharpness,
        ).measured()


@torch.no_grad()
def close_up_features(
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


def relative_sharpness(compared: Compared) -> float | None:
    """Sharpness inside the mask over that of real ones; None if no piece has an inside."""
    synthetic, real = compared.sharpness, compared.real_sharpness
    return median(synthetic) / max(median(real), 1e-6) if synthetic and real else None


METRICS: tuple[Metric, ...] = (
    Metric(
        "kernel_distance", "", "kernel distance", lambda c: distance(c.features, c.real_features)
    ),
    Metric("probe", "%", "probe", lambda c: probe_accuracy(c.features, c.real_features)),
    Metric("sharpness", "", "sharpness", relative_sharpness),
    Metric("diversity", "", "diversity inside", lambda c: diversity(c.insides)),
    Metric(
        "copies",
        "",
        "fraction of copies",
        lambda c: memorised(c.insides, c.real_insides, c.real_positions),
    ),
)


def _described(maps: Mapping[str, Tensor]) -> Float[Tensor, "n d"]:
    chosen = [maps[layer] for layer in LAYERS]
    parts = [f(m) for m in chosen for f in (_means, _deviations)]
    return torch.cat([F.normalize(part, dim=1) for part in parts], dim=1)


def _means(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return maps.mean(dim=(2, 3))


def _deviations(maps: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c"]:
    return maps.std(dim=(2, 3))
