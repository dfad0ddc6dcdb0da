"""The methods of inversion, a file each: whoever is on this list is under every test."""

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
from blemish.names import InversionMethod, Space


@runtime_checkable  # for the tests, which check types
class Method(Protocol):
    """A way from photographs to codes; what implements it holds the options."""

    @property
    def space(self) -> Space:
        """Where codes are searched."""
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
            model: A bundle's networks, frozen.
            target: Photographs at the generator's resolution, in [-1, 1].
            rngs: One for each item.
            where: What of the photographs counts, in [0, 1]; all of it if absent.
            defect: Whether to look for a defect too; otherwise a good part is drawn.
            watch: Hears the terms and sees what is drawn.

        Raises:
            BundleError: The bundle lacks the encoder or the defect branch that this needs.
        """
        ...


# From options to a method.
METHODS: dict[InversionMethod, Callable[..., Method]] = {
    "encode": Encode,
    "in-domain": InDomain,
    "optimize": Optimize,
    "project": Projection,
}


def name_of(method: Method) -> InversionMethod:
    """The method's name in the list."""
    return next(name for name, made in METHODS.items() if made is type(method))


def options_of(method: Method) -> dict[str, Any]:
    """The method's name and options."""
    made: Any = method
    return {"method": name_of(method), **asdict(made)}


def usual_method(model: Model) -> Method:
    """In-domain inversion where there is an encoder, else the projector in w.

    Without an encoder w is nearer to what the generator knows than w+, where a code that fits every
    pixel leaves so little of it that defects come out pale.
    """
    return Projection(space="w") if model.encoder is None else InDomain()
