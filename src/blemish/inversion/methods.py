"""Registry of inversion methods, one file each; every entry runs through the shared tests."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from blemish.inversion.descent import Found, Watch
from blemish.inversion.encode import Encode
from blemish.inversion.indomain import InDomain
from blemish.inversion.model import Model
from blemish.inversion.optimize import Optimize
from blemish.inversion.project import Projection
from blemish.types import Space


@runtime_checkable  # for the tests, which check types
class Method(Protocol):
    """Method from photographs to codes; an implementation holds its options."""

    @property
    def space(self) -> Space:
        """Search space of the codes."""
        ...

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
        """Find codes.

        Args:
            model: Networks of a bundle, frozen.
            target: Photographs at the generator's resolution, in [-1, 1].
            rngs: One random generator per item.
            where: Weight of each pixel of the photographs, in [0, 1]; by default all count.
            defect: Search for a defect as well; otherwise a good part is generated.
            watch: Callback with the terms and the generated image.

        Raises:
            BundleError: The bundle lacks the required encoder or defect branch.
        """
        ...


# From options to a method.
METHODS: dict[str, Callable[..., Method]] = {
    "encode": Encode,
    "in-domain": InDomain,
    "optimize": Optimize,
    "project": Projection,
}


def name_of(method: Method) -> str:
    """Registered name of the method."""
    return next(name for name, made in METHODS.items() if made is type(method))


def options_of(method: Method) -> dict[str, Any]:
    """Name and options of the method."""
    made: Any = method
    return {"method": name_of(method), **asdict(made)}


def usual_method(model: Model) -> Method:
    """In-domain inversion if there is an encoder, else the projector in w.

    Without an encoder, codes in w are closer to the domain than codes in w+, which fit every pixel
    but make defects pale.
    """
    return Projection(space="w") if model.encoder is None else InDomain()
