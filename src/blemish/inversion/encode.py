"""The encoder alone: codes at one look, E(x), without any search.

In w its rows are averaged. In z there is nothing that it could give: the mapping has no inverse.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.errors import BundleError, OptionError
from blemish.inversion.descent import Found, Watch, descend
from blemish.inversion.encoder import Encoder, Encoding
from blemish.inversion.likeness import Likeness, filled
from blemish.inversion.model import Model
from blemish.inversion.search import Search
from blemish.inversion.space import start_point
from blemish.names import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """Options of the encoder alone.

    Attributes:
        space: w+, or w for the mean of its rows.
    """

    space: Space = "w+"

    def __post_init__(self) -> None:
        if self.space == "z":
            raise OptionError(
                got="--space z for the encoder alone",
                expected="w or w+: the encoder gives w, and the way from z to w has no inverse",
                todo="Choose one of them, or a method that searches in z.",
            )

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
        """See `methods.Method`."""
        encoding = read(model, target, where)
        point = start_point(model.generator, self.space, "encoder", encoding, rngs, defect=defect)
        likeness = Likeness.to(model.critic, target, where)
        weights = {"pixels": 1.0, "features": 1.0}
        return descend(model.generator, point, likeness, weights, Search(steps=0), watch=watch)


def the_encoder(model: Model) -> Encoder:
    """The model's encoder.

    Raises:
        BundleError: It has none.
    """
    if model.encoder is None:
        raise BundleError(
            got="a bundle without an encoder",
            expected="one that has learnt to encode",
            todo="Run 'blemish train encoder DATA --bundle BUNDLE', or choose a method and a start "
            "that need none, such as project.",
        )
    return model.encoder


@torch.no_grad()
def read(
    model: Model,
    target: Float[Tensor, "n 3 h w"],
    where: Float[Tensor, "n 1 h w"] | None = None,
) -> Encoding:
    """What the encoder reads from photographs, but for the places that do not count.

    Raises:
        BundleError: The model has no encoder.
    """
    return the_encoder(model)(filled(target, where))
