r"""Plain optimisation of a code (Abdal et al., 2019), for likeness only.

It minimises over a code c, with s the backbone,

    \lambda_p \lVert s(c) - x \rVert^2 + \lambda_f d_F(s(c), x).

It has the smallest pixel error, and nothing keeps its codes in domain. With a defect, its code and
its mask are further search variables.
"""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.descent import Found, Watch, descend
from blemish.inversion.encode import predict_codes
from blemish.inversion.model import Model
from blemish.inversion.reconstruction import ReconstructionLoss
from blemish.inversion.search import Search
from blemish.inversion.space import start_point
from blemish.limits import refuse_weights
from blemish.names import SearchStart, Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Optimize:
    """Options of plain optimisation.

    Attributes:
        space: Search space.
        start: Start of the search; only the start "encoder" needs an encoder.
        search: Steps and rates.
        pixel_weight: Weight of the squared error.
        feature_weight: Weight of the distance in the critic's features.
    """

    space: Space = "w+"
    start: SearchStart = "mean"
    search: Search = field(default_factory=lambda: Search(steps=200, learning_rate=0.05))
    pixel_weight: float = 10
    feature_weight: float = 1

    def __post_init__(self) -> None:
        refuse_weights(pixel_weight=self.pixel_weight, feature_weight=self.feature_weight)

    def find(
        self,
        model: Model,
        target: Float[Tensor, "n 3 h w"],
        *,
        rngs: list[torch.Generator],
        where: Float[Tensor, "n 1 h w"] | None = None,
        defect: bool = False,
        watch: Watch | None = None,
    ) -> Found:
        """See `methods.InversionMethod`."""
        generator, weights = model.generator, {"pixels": self.pixel_weight}
        weights["features"] = self.feature_weight
        encoding = predict_codes(model, target, where) if self.start == "encoder" else None
        point = start_point(generator, self.space, self.start, encoding, rngs, defect=defect)
        likeness = ReconstructionLoss.to(model.critic, target, where)
        return descend(generator, point, likeness, weights, self.search, watch=watch)
