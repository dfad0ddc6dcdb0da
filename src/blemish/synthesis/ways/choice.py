"""Registry of placement methods, one file each; every entry runs through the shared tests."""

from typing import Protocol, runtime_checkable

from blemish.checkpoint import Bundle
from blemish.errors import OptionError
from blemish.inversion.search import Step
from blemish.synthesis.defect import Placed
from blemish.synthesis.mapping.mapper import MAPPER
from blemish.synthesis.ways.approach import Approach, Job, WayName
from blemish.synthesis.ways.hybrid import Hybrid
from blemish.synthesis.ways.onepass import OnePass
from blemish.synthesis.ways.optimize import Optimize
from blemish.types import Codes


@runtime_checkable  # for the tests, which check types
class Way(Protocol):
    """Method from a photograph and a mask to a defect.

    Attributes:
        inverts: Whether it needs the part's codes.
    """

    inverts: bool

    def place(self, job: Job, twin: Codes | None, *, tell: Step | None = None) -> Placed:
        """Place one defect.

        Args:
            job: Description of the defect.
            twin: The part's codes, a single item without a defect; None unless `inverts`.
            tell: Callback after each step of a search, called with its number.
        """
        ...


WAYS: dict[WayName, type[OnePass] | type[Hybrid] | type[Optimize]] = {
    "one-pass": OnePass,
    "hybrid": Hybrid,
    "optimize": Optimize,
}


def usual_way(bundle: Bundle, approach: Approach) -> WayName:
    """The requested method, or else the fastest that the bundle and the options allow.

    Raises:
        OptionError: One pass is requested with options that need a search.
    """
    if approach.way == "one-pass" and _needs_search(approach):
        raise OptionError(
            got="the method one-pass with a reference, or with noise that meets the mask",
            expected="neither, because one-pass does not search",
            todo="Choose the method hybrid or optimize, or leave these options out.",
        )
    if approach.way in ("one-pass", "hybrid") and _inverts(approach):
        raise OptionError(
            got=f"the method {approach.way} with a way to invert the photograph",
            expected="the method optimize: with a mapper, the encoder gives the part's codes",
            todo="Choose --method optimize, or leave --invert and --from out.",
        )
    if approach.way is not None:
        return approach.way
    fast = bundle.has(MAPPER) and bundle.has("encoder") and not _asks_for_search(approach)
    return "one-pass" if fast else "optimize"


def _needs_search(approach: Approach) -> bool:
    return approach.reference != "none" or approach.search.control == "noise"


def _inverts(approach: Approach) -> bool:
    return approach.invert is not None or approach.inverted is not None


def _asks_for_search(approach: Approach) -> bool:
    wanted = approach.search.control != "condition"
    return wanted or _inverts(approach) or _needs_search(approach)
