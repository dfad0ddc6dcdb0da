"""Input and output of a placement method."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from blemish.inversion.search import Step
from blemish.synthesis.composite import Carried
from blemish.synthesis.placement.search import Reference
from blemish.synthesis.request import Request
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementTask:
    """One defect to place, at the generator's resolution.

    Attributes:
        photograph: Photograph of the good part.
        mask: Mask of the defect, zeros and ones.
        kind: Index of its type.
        seed: Random seed.
        reference: Target for the inside of the defect, if a search is needed.
        zoom: Pixels of the photograph itself per pixel of `photograph`.
    """

    photograph: Float[Tensor, "1 3 h w"]
    mask: Float[Tensor, "1 1 h w"]
    kind: int
    seed: int
    reference: Reference | None = None
    zoom: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedDefect:
    """Defect on a photograph.

    Attributes:
        carried: Photograph with the defect, and the exact mask of the changed pixels.
        drawn: Mask that the method itself drew, at the photograph's size.
        codes: Codes of the generator; None for a method without one.
        terms: Loss terms at the end; empty without a search.
    """

    carried: Carried
    drawn: Bool[np.ndarray, "h w"]
    codes: Codes | None = None
    terms: dict[str, float] = field(default_factory=dict)


class DirectPlacement:
    """What placement methods share that work on the photograph itself and need no codes of it."""

    def invert(
        self, request: Request, *, on_progress: Callable[[float], None] | None = None
    ) -> Codes | None:
        """None: nothing is inverted."""
        return None


@runtime_checkable  # for the tests, which check types
class PlacementMethod(Protocol):
    """Opened placement method."""

    @property
    def types(self) -> tuple[str, ...]:
        """Types of defects that it can place."""
        ...

    def record(self) -> dict[str, Any]:
        """Additional record of an item, besides its options, as JSON values."""
        ...

    def prepare(self, kind: str) -> None:
        """Read the data of a type of defect before the work starts.

        Raises:
            OptionError: Real defects are needed and missing.
            DataError: One can't be read.
            BundleError: The bundle lacks data for the reference.
        """
        ...

    def invert(
        self, request: Request, *, on_progress: Callable[[float], None] | None = None
    ) -> Codes | None:
        """Codes of the part, shared by all items on it; None if not needed.

        Args:
            request: Request with the photograph.
            on_progress: Callback after each step, called with the finished fraction of the search.
        """
        ...

    def place(
        self,
        request: Request,
        seed: int,
        strength: Float[np.ndarray, "h w"],
        twin: Codes | None,
        *,
        on_progress: Step | None = None,
    ) -> PlacedDefect:
        """Place one defect.

        Args:
            request: Request.
            seed: Random seed.
            strength: Strength of the change at each pixel, in [0, 1].
            twin: Result of `invert` for this photograph.
            on_progress: Callback after each step of a search, called with its number.
        """
        ...
