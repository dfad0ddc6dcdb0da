r"""Statistics of an object's photographs, and how strange another photograph is to them.

Each of the `embedding`'s vectors has a Gaussian with the mean $\mu$ and a shrunk covariance; its
distance is Mahalanobis's. Distances of photographs that a Gaussian has not seen are nearly
log-normal, so $(\log d - m) / s$, with their mean $m$ and deviation $s$, puts the four on one
scale. The largest of the four, divided by a limit, is the strangeness: another colour is noticed
although the shape is right, and the reverse.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.errors import BundleError
from blemish.recognition.embedding import NAMES, Embedding

PREFIX = "object."
SHRINKAGE = 0.1  # of the correlations towards none
LEAST_DEVIATION = 1e-3
LEAST_DISTANCE = 1e-6

_LIMIT = PREFIX + "limit"
_DIMENSIONS = {"mean": 1, "whitening": 2, "usual": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Gaussian:
    """Distribution of one vector of the embedding.

    Attributes:
        mean: Mean.
        whitening: Matrix that gives deviations from the mean unit covariance.
        usual: Mean and deviation of the logarithm of unseen photographs' distances.
    """

    mean: Float[Tensor, " c"]
    whitening: Float[Tensor, "c c"]
    usual: Float[Tensor, "2"]

    @classmethod
    def fit(cls, vectors: Float[Tensor, "n c"]) -> "Gaussian":
        """Gaussian of vectors, rounded to half precision, with distances as they are."""
        mean, deviation = vectors.mean(dim=0), vectors.std(dim=0).clamp(min=LEAST_DEVIATION)
        unit = (vectors - mean) / deviation
        correlation = unit.T @ unit / len(unit)
        shrunk = correlation.lerp(torch.eye(len(mean)), SHRINKAGE)
        whitening = torch.linalg.inv(torch.linalg.cholesky(shrunk)) / deviation
        usual = torch.tensor([0.0, 1.0])
        return cls(mean=_halved(mean), whitening=_halved(whitening), usual=usual)

    def log_distance(self, vectors: Float[Tensor, "n c"]) -> Float[Tensor, " n"]:
        """Logarithm of the Mahalanobis distance, whose square is averaged over the axes."""
        along = (vectors - self.mean) @ self.whitening.T
        return along.square().mean(dim=1).sqrt().clamp(min=LEAST_DISTANCE).log()

    def scaled(self, unseen: Float[Tensor, " n"]) -> "Gaussian":
        """The same with the mean and deviation of unseen photographs' log-distances."""
        spread = unseen.std().clamp(min=LEAST_DEVIATION)
        return replace(self, usual=_halved(torch.stack([unseen.mean(), spread])))

    def score(self, log_distance: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """Distances on the scale of unseen photographs: their mean is 0, their deviation 1."""
        middle, spread = self.usual
        return (log_distance - middle) / spread


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectStatistics:
    """Statistics of an object's photographs.

    Attributes:
        gaussians: Gaussian of each vector of the embedding.
        limit: Score above which a photograph shows something else.
    """

    gaussians: dict[str, Gaussian]
    limit: float = 1.0

    def score(self, embedding: Embedding) -> Float[Tensor, " n"]:
        """Largest score of the embedding's vectors."""
        found = {name: g.log_distance(embedding[name]) for name, g in self.gaussians.items()}
        return self.largest(found)

    def largest(self, log_distances: Mapping[str, Float[Tensor, " n"]]) -> Float[Tensor, " n"]:
        """Largest score by the log-distances of each vector."""
        scores = [gaussian.score(log_distances[k]) for k, gaussian in self.gaussians.items()]
        return torch.stack(scores).amax(dim=0)

    def strangeness(self, embedding: Embedding) -> Float[Tensor, " n"]:
        """Score in units of the limit: above 1, a photograph shows something else."""
        return self.score(embedding) / self.limit

    @classmethod
    def read(cls, tensors: Mapping[str, Tensor]) -> "ObjectStatistics | None":
        """Statistics from those of a bundle; None if they were never computed.

        Raises:
            BundleError: A tensor is missing, has another shape or is out of range.
        """
        known = {k: v for k, v in tensors.items() if k.startswith(PREFIX)}
        if not known:
            return None
        _refuse_torn(known)
        gaussians = {
            name: Gaussian(**{part: known[f"{PREFIX}{name}.{part}"] for part in _DIMENSIONS})
            for name in sorted(NAMES)
        }
        return cls(gaussians=gaussians, limit=known[_LIMIT].item())

    def tensors(self) -> dict[str, Tensor]:
        """Tensors for a bundle's statistics; `read` is the inverse."""
        parts = {
            f"{PREFIX}{name}.{part}": getattr(gaussian, part)
            for name, gaussian in self.gaussians.items()
            for part in _DIMENSIONS
        }
        return {**parts, _LIMIT: torch.tensor(self.limit)}


def _halved(x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Values rounded to half precision, as a packed bundle has them."""
    return x.half().float()


def _refuse_torn(known: Mapping[str, Tensor]) -> None:
    """Check the input of `ObjectStatistics.read`."""
    expected = {f"{PREFIX}{name}.{part}" for name in NAMES for part in _DIMENSIONS} | {_LIMIT}
    whole = known.keys() == expected and all(map(_is_sound, known.items()))
    if not (whole and all(_fits(known, name) for name in NAMES)):
        raise BundleError(
            got="statistics of a bundle with damaged or outdated ones of its object",
            expected=f"'{PREFIX}…' as Blemish writes it: finite, complete, of one size",
            todo="Download the bundle again, or train its windows or its encoder again.",
        )


def _is_sound(item: tuple[str, Tensor]) -> bool:
    name, tensor = item
    if name == _LIMIT:
        return tensor.ndim == 0 and bool(tensor > 0)
    return tensor.ndim == _DIMENSIONS[name.rpartition(".")[2]] and bool(tensor.isfinite().all())


def _fits(known: Mapping[str, Tensor], name: str) -> bool:
    mean, whitening, usual = (known[f"{PREFIX}{name}.{part}"] for part in _DIMENSIONS)
    return whitening.shape == (len(mean), len(mean)) and len(usual) == 2 and bool(usual[1] > 0)
