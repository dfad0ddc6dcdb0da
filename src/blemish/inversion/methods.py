"""Registry of inversion methods, one file each; every entry runs through the shared tests."""

from collections.abc import Callable
from dataclasses import asdict, replace
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
from blemish.names import InversionChoice, InversionName, Space


@runtime_checkable  # for the tests, which check types
class InversionMethod(Protocol):
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
METHODS: dict[InversionName, Callable[..., InversionMethod]] = {
    "encode": Encode,
    "in-domain": InDomain,
    "optimize": Optimize,
    "project": Projection,
}


def method_name(method: InversionMethod) -> InversionName:
    """Registered name of the method."""
    return next(name for name, made in METHODS.items() if made is type(method))


def method_options(method: InversionMethod) -> dict[str, Any]:
    """Name and options of the method."""
    made: Any = method
    return {"method": method_name(method), **asdict(made)}


def usual_name(encoder: bool) -> InversionName:
    """Method that `auto` means, with or without an encoder."""
    return "in-domain" if encoder else "project"


def chosen_method(
    encoder: bool,
    choice: InversionChoice = "auto",
    *,
    space: Space | None = None,
    steps: int | None = None,
) -> InversionMethod:
    """Method that inverts a photograph before a defect is placed on it.

    The projector searches in w by default. Codes in w are closer to the domain than codes in w+,
    which fit every pixel but make defects pale.

    Args:
        encoder: Whether the bundle has an encoder.
        choice: A method, or the usual one.
        space: Search space; None is w for the projector and w+ for the others.
        steps: Steps of the search; None leaves them to the method. The method encode takes none.

    Raises:
        OptionError: A value is out of range for the method.
    """
    name = usual_name(encoder) if choice == "auto" else choice
    method: Any = METHODS[name](space=space or ("w" if name == "project" else "w+"))
    if steps is None:
        return method
    return replace(method, search=replace(method.search, steps=steps))
