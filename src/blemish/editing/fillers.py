"""Registry of filling methods, and the choice between them for a hole."""

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from blemish.checkpoint import Bundle
from blemish.editing.codefill import CodeFiller
from blemish.editing.fill import Filler, Filling, covers_part
from blemish.editing.partfill import PartFiller
from blemish.names import FillChoice
from blemish.originals import Original

Mask = Bool[np.ndarray, "h w"]


@runtime_checkable  # for the tests, which check types
class HoleFiller(Protocol):
    """Networks that fill holes with good material."""

    def fill(
        self, photograph: Original, hole: Mask, seed: int = 0, *, smooth: bool = True
    ) -> Filling:
        """Fill a hole; the same seed gives the same bytes. See `Filler.fill`."""
        ...


class AutoFiller:
    """The windows; a whole part by codes where the hole covers the part and the bundle can.

    Args:
        bundle: The bundle.
        device: Device to work on.

    Raises:
        BundleError: The bundle has no windows, or they draw no good material.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.bundle, self.device = bundle, device
        self.windows = Filler(bundle, device)

    def fill(
        self, photograph: Original, hole: Mask, seed: int = 0, *, smooth: bool = True
    ) -> Filling:
        """Fill a hole; see `Filler.fill`."""
        whole = self.bundle.has("encoder") and covers_part(photograph.picture, hole)
        filler = self._part if whole else self.windows
        return filler.fill(photograph, hole, seed, smooth=smooth)

    @cached_property
    def _part(self) -> PartFiller:
        return PartFiller(self.bundle, self.device)


FILLERS: dict[FillChoice, Callable[[Bundle, str], HoleFiller]] = {
    "windows": Filler,
    "codes": CodeFiller,
    "part": PartFiller,
    "auto": AutoFiller,
}


def open_filler(bundle: Bundle, method: FillChoice, device: str = "cpu") -> HoleFiller:
    """The networks of a filling method.

    Raises:
        BundleError: The bundle lacks them.
    """
    return FILLERS[method](bundle, device)
