r"""Appearance codes: the first numbers of a mapper's random code select a defect's appearance.

Regression from random codes to known defects would end in the mean of all appearances. Therefore
each real defect has its own place in the first `COORDINATES` numbers of the code: points spread
evenly over a normal distribution are assigned to the real defects such that similar colours c are
close together (optimal transport),

    \min_\pi \sum_d \lVert c_d / \sigma - a_{\pi(d)} \rVert^2,

and a fresh code gives one of these appearances, or one between them. Assigned (not learnt) codes go
back to generative latent optimisation (Bojanowski et al., 2018).
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from scipy.stats import norm, qmc
from torch import Tensor

from blemish.generator.stitch import Defects

COORDINATES = 3
BANDWIDTH = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class Looks:
    """Appearance codes of real defects.

    Attributes:
        defects: Real defects.
        colour: Mean colour inside the mask, in [-1, 1].
        place: First numbers of the code.
    """

    defects: Defects
    colour: Float[Tensor, "d 3"]
    place: Float[Tensor, "d coordinates"]

    def of(
        self, colour: Float[Tensor, "n 3"], kind: Int[Tensor, " n"]
    ) -> Float[Tensor, "n coordinates"]:
        """Places of the real defects with the same type and the nearest colour."""
        far = (colour.cpu()[:, None] - self.colour).square().sum(dim=2)
        far = far.masked_fill(kind.cpu()[:, None] != self.defects.kind, torch.inf)
        return self.place[far.argmin(dim=1)].to(colour.device)

    def some(
        self, n: int, rng: torch.Generator, device: torch.device
    ) -> tuple[Int[Tensor, " n"], Float[Tensor, "n coordinates"], Float[Tensor, "n 3"]]:
        """Random types, places and colours of real defects; each type is equally likely."""
        chosen = self.defects.some(n, rng)
        kind, place, colour = self.defects.kind[chosen], self.place[chosen], self.colour[chosen]
        return kind.to(device), place.to(device), colour.to(device)


def find_looks(defects: Defects, *, seed: int = 0) -> Looks:
    """Appearance codes of real defects, separately for each type."""
    colour = colour_inside(defects.image, defects.mask)
    place = torch.zeros(len(defects), COORDINATES)
    for kind in defects.kind.unique():
        mine = (defects.kind == kind).nonzero()[:, 0]
        place[mine] = _places(colour[mine].numpy(), seed)
    return Looks(defects=defects, colour=colour, place=place)


def with_look(
    z: Float[Tensor, "n z"], place: Float[Tensor, "n coordinates"]
) -> Float[Tensor, "n z"]:
    """Random codes with given appearances; their own random numbers remain as a small blur."""
    blurred = place + BANDWIDTH * z[:, :COORDINATES]
    return torch.cat([blurred, z[:, COORDINATES:]], dim=1)


def colour_inside(
    image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 3"]:
    """Mean colour inside the mask."""
    return (image * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1)


def _places(colour: Float[np.ndarray, "d 3"], seed: int) -> Float[Tensor, "d coordinates"]:
    """Points spread over a normal distribution, similar colours close together."""
    share = qmc.Sobol(COORDINATES, rng=seed).random_base2(max(1, (len(colour) - 1).bit_length()))
    points = norm.ppf(np.clip(share[: len(colour)], 0.02, 0.98))
    centred = (colour - colour.mean(axis=0)) / max(colour.std(), 1e-6)
    far = np.square(centred[:, None] - points[None]).sum(axis=2)
    rows, columns = linear_sum_assignment(far)
    return torch.from_numpy(points[columns[np.argsort(rows)]]).float()
