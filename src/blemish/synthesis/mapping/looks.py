r"""Looks: the first numbers of a mapper's random code say what a defect looks like.

A regression from random codes to known defects would end in the mean of all looks. So each real
defect is given a place of its own in the first `COORDINATES` numbers of the code: as many points,
spread evenly over a normal distribution, are assigned to the real defects such that colours c that
are alike lie together (optimal transport),

    \min_\pi \sum_d \lVert c_d / \sigma - a_{\pi(d)} \rVert^2,

and whoever draws a fresh code draws one of these looks, or one between them. What is assigned but
not learnt goes back to generative latent optimisation (Bojanowski et al., 2018).
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
    """Of real defects.

    Attributes:
        defects: Which.
        colour: Mean inside the mask, in [-1, 1].
        place: In the first numbers of a code.
    """

    defects: Defects
    colour: Float[Tensor, "d 3"]
    place: Float[Tensor, "d coordinates"]

    def of(
        self, colour: Float[Tensor, "n 3"], kind: Int[Tensor, " n"]
    ) -> Float[Tensor, "n coordinates"]:
        """The places of the real defects of the same types whose colours are nearest."""
        far = (colour.cpu()[:, None] - self.colour).square().sum(dim=2)
        far = far.masked_fill(kind.cpu()[:, None] != self.defects.kind, torch.inf)
        return self.place[far.argmin(dim=1)].to(colour.device)

    def some(
        self, n: int, rng: torch.Generator, device: torch.device
    ) -> tuple[Int[Tensor, " n"], Float[Tensor, "n coordinates"], Float[Tensor, "n 3"]]:
        """Types, places and colours of real defects; each type comes as often as any other."""
        chosen = self.defects.some(n, rng)
        kind, place, colour = self.defects.kind[chosen], self.place[chosen], self.colour[chosen]
        return kind.to(device), place.to(device), colour.to(device)


def find_looks(defects: Defects, *, seed: int = 0) -> Looks:
    """The looks of real defects, each of its own type."""
    colour = colour_inside(defects.image, defects.mask)
    place = torch.zeros(len(defects), COORDINATES)
    for kind in defects.kind.unique():
        mine = (defects.kind == kind).nonzero()[:, 0]
        place[mine] = _places(colour[mine].numpy(), seed)
    return Looks(defects=defects, colour=colour, place=place)


def with_look(
    z: Float[Tensor, "n z"], place: Float[Tensor, "n coordinates"]
) -> Float[Tensor, "n z"]:
    """Random codes with given looks, what was random there staying as a small blur."""
    blurred = place + BANDWIDTH * z[:, :COORDINATES]
    return torch.cat([blurred, z[:, COORDINATES:]], dim=1)


def colour_inside(
    image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Float[Tensor, "n 3"]:
    """Mean colour where the mask is."""
    return (image * mask).sum(dim=(2, 3)) / mask.sum(dim=(2, 3)).clamp(min=1)


def _places(colour: Float[np.ndarray, "d 3"], seed: int) -> Float[Tensor, "d coordinates"]:
    """Points spread over a normal distribution, assigned so that like colours lie together."""
    share = qmc.Sobol(COORDINATES, rng=seed).random_base2(max(1, (len(colour) - 1).bit_length()))
    points = norm.ppf(np.clip(share[: len(colour)], 0.02, 0.98))
    centred = (colour - colour.mean(axis=0)) / max(colour.std(), 1e-6)
    far = np.square(centred[:, None] - points[None]).sum(axis=2)
    rows, columns = linear_sum_assignment(far)
    return torch.from_numpy(points[columns[np.argsort(rows)]]).float()
