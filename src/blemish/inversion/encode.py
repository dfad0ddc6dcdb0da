"""Encoder alone: codes in one forward pass, E(x), without a search.

In w its rows are averaged. In z it gives nothing, because the mapping has no inverse.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.errors import BundleError, OptionError
from blemish.inversion.descent import Found, Watch, descend
from blemish.inversion.model import Model
from blemish.inversion.reconstruction import ReconstructionLoss, filled
from blemish.inversion.search import Search
from blemish.inversion.space import start_point
from blemish.models.encoder import Encoder, Encoding
from blemish.names import Space


@dataclass(frozen=True, slots=True, kw_only=True)
class Encode:
    """Options of the encoder alone.

    Attributes:
        space: w+, or w for the mean of the rows.
    """

    space: Space = "w+"

    def __post_init__(self) -> None:
        if self.space == "z":
            raise OptionError(
                got="--space z for the encoder alone",
                expected="w or w+: the encoder predicts w, and the mapping from z has no inverse",
                todo="Choose one of these spaces, or a method that searches in z.",
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
        """See `methods.InversionMethod`."""
        encoding = predict_codes(model, target, where)
        point = start_point(model.generator, self.space, "encoder", encoding, rngs, defect=defect)
        likeness = ReconstructionLoss.to(model.critic, target, where)
        weights = {"pixels": 1.0, "features": 1.0}
        return descend(model.generator, point, likeness, weights, Search(steps=0), watch=watch)


def the_encoder(model: Model) -> Encoder:
    """Encoder of the model.

    Raises:
        BundleError: The model has none.
    """
    if model.encoder is None:
        raise BundleError(
            got="a bundle without an encoder",
            expected="one with a trained encoder",
            todo="Run 'blemish train encoder DATA --bundle BUNDLE', or choose a method and a start "
            "that need no encoder, such as project.",
        )
    return model.encoder


@torch.no_grad()
def predict_codes(
    model: Model,
    target: Float[Tensor, "n 3 h w"],
    where: Float[Tensor, "n 1 h w"] | None = None,
) -> Encoding:
    """Encoder's prediction for photographs, without the pixels that do not count.

    Raises:
        BundleError: The model has no encoder.
    """
    return the_encoder(model)(filled(target, where))
