"""What a placement method is asked for, and what it gives."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from torch import Tensor

from blemish.inversion.search import Step
from blemish.synthesis.carry import Carried
from blemish.synthesis.defect import Reference
from blemish.synthesis.order import Order
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One defect to place, at the generator's resolution.

    Attributes:
        photograph: Of the good part.
        mask: Where the defect shall be, zeros and ones.
        kind: Index of its type.
        seed: Of everything random.
        reference: What its inside shall look like, where something is searched for.
    """

    photograph: Float[Tensor, "1 3 h w"]
    mask: Float[Tensor, "1 1 h w"]
    kind: int
    seed: int
    reference: Reference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A defect on a photograph.

    Attributes:
        carried: The photograph with the defect, and the exact mask of what changed.
        drawn: Where the method itself drew the defect, at the photograph's size.
        codes: Codes that the generator was driven by; None for a method without a generator.
        terms: Final terms of the loss; empty if nothing was searched for.
    """

    carried: Carried
    drawn: Bool[np.ndarray, "h w"]
    codes: Codes | None = None
    terms: dict[str, float] = field(default_factory=dict)


@runtime_checkable  # for the tests, which check types
class Way(Protocol):
    """A placement method at work."""

    @property
    def types(self) -> tuple[str, ...]:
        """The types of defects that it can place."""
        ...

    def record(self) -> dict[str, Any]:
        """What an item's record of its options says beyond them, as JSON holds it."""
        ...

    def prepare(self, kind: str) -> None:
        """Read what a type of defect needs, before any time is spent.

        Raises:
            OptionError: It needs real defects, and there are none.
            DataError: One can't be read.
            BundleError: The bundle lacks what the reference needs.
        """
        ...

    def invert(self, order: Order, *, tell: Callable[[float], None] | None = None) -> Codes | None:
        """The codes of the part, which all items on it share; None if none are needed.

        Args:
            order: With the photograph.
            tell: Called at each step with the fraction of the search that is done.
        """
        ...

    def is_foreign(self, order: Order) -> bool | None:
        """Whether a photograph shows something else than the part; None where nobody knows."""
        ...

    def place(
        self,
        order: Order,
        seed: int,
        strength: Float[np.ndarray, "h w"],
        twin: Codes | None,
        *,
        tell: Step | None = None,
    ) -> Made:
        """One defect.

        Args:
            order: What is asked for.
            seed: Seed of everything random.
            strength: Strength of the change at each pixel, in [0, 1].
            twin: What `invert` gave for this photograph.
            tell: Called after each step of a search with its number.
        """
        ...
