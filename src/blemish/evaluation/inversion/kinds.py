r"""Classifier of defect types, trained on real photographs only.

It is a multinomial logistic regression on features f of a frozen network, standardised over the
photographs,

    p(k | f) \propto \exp(w_k \cdot f + b_k),

with a penalty on the weights w; each kind has the same weight, whatever its number of photographs.
It is trained on train/good, the first third of each type, and their mirror images.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from blemish.data.folder import GOOD, DefectFolder, load_pictures
from blemish.evaluation.eyes import FeatureExtractor
from blemish.pictures import to_tensor

PENALTY = 1e-2
STEPS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression:
    """Result of `fit_regression`.

    Attributes:
        mean: Mean of the features.
        deviation: Deviation of the features.
        weight: Weight of each feature for each kind.
        bias: Bias of each kind.
    """

    mean: Float[Tensor, " d"]
    deviation: Float[Tensor, " d"]
    weight: Float[Tensor, "d k"]
    bias: Float[Tensor, " k"]

    def __call__(self, features: Float[Tensor, "n d"]) -> Int[Tensor, " n"]:
        """Most likely kind of each row."""
        standard = (features.double() - self.mean) / self.deviation
        return (standard @ self.weight + self.bias).argmax(dim=1)


def fit_regression(
    features: Float[Tensor, "n d"], kind: Int[Tensor, " n"], kinds: int
) -> Regression:
    """Fit a regression by L-BFGS; each of the kinds must occur."""
    deviation, mean = torch.std_mean(features.double(), dim=0)
    deviation = deviation.clamp(min=1e-6)
    standard = (features.double() - mean) / deviation
    balance = 1 / torch.bincount(kind, minlength=kinds).double()
    weight = torch.zeros(standard.shape[1], kinds, dtype=torch.double, device=features.device)
    weight, bias = weight.requires_grad_(), torch.zeros_like(weight[0]).requires_grad_()
    solver = torch.optim.LBFGS([weight, bias], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        doubt = F.cross_entropy(standard @ weight + bias, kind, weight=balance)
        total = doubt + PENALTY * weight.square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        solver.step(loss)  # pyright: ignore[reportArgumentType]
    return Regression(mean=mean, deviation=deviation, weight=weight.detach(), bias=bias.detach())


@dataclass(frozen=True, slots=True, kw_only=True)
class KindReader:
    """Classifier of defect types and good parts.

    Attributes:
        eyes: Feature network.
        kinds: Known kinds, with "good" as the first.
        regression: Regression from features to kinds.
        seen: Number of training photographs of each kind.
    """

    eyes: FeatureExtractor
    kinds: tuple[str, ...]
    regression: Regression
    seen: dict[str, int]

    def read(self, images: Float[Tensor, "n 3 h w"]) -> tuple[str, ...]:
        """Kind of each image."""
        return tuple(self.kinds[k] for k in self.regression(self.eyes.described(images)).tolist())


def learn_kinds(
    folder: DefectFolder,
    eyes: FeatureExtractor,
    resolution: int,
    device: torch.device | str = "cpu",
) -> KindReader | None:
    """Train on a folder's photographs; None if it has no good parts, or no defects.

    Raises:
        DataError: A file can't be read, or a mask is missing.
    """
    chosen = {GOOD: folder.good("train")}
    chosen |= {kind: folder.thirds(kind)[0] for kind in folder.types}
    if not chosen[GOOD] or len(chosen) < 2:
        return None
    images = [
        to_tensor(load_pictures(found, resolution)[0]).to(device) for found in chosen.values()
    ]
    features = [eyes.described(_mirrored(image)) for image in images]
    index = [torch.full((len(f),), k, device=f.device) for k, f in enumerate(features)]
    return KindReader(
        eyes=eyes,
        kinds=tuple(chosen),
        regression=fit_regression(torch.cat(features), torch.cat(index), len(chosen)),
        seen={kind: len(found) for kind, found in chosen.items()},
    )


def _mirrored(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "m 3 h w"]:
    """Images and their mirror images, along either axis and both."""
    return torch.cat([image, image.flip(3), image.flip(2), image.flip(2, 3)])
