"""Registry of filling methods."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool

from blemish.checkpoint import Bundle
from blemish.editing.codefill import CodeFiller
from blemish.editing.fill import Filler, Filling
from blemish.editing.partfill import PartFiller
from blemish.names import FillMethod
from blemish.originals import Original


@runtime_checkable  # for the tests, which check types
class HoleFiller(Protocol):
    """Networks that fill holes with good material."""

    def fill(
        self,
        photograph: Original,
        hole: Bool[np.ndarray, "h w"],
        seed: int = 0,
        *,
        smooth: bool = True,
    ) -> Filling:
        """Fill a hole; the same seed gives the same bytes. See `Filler.fill`."""
        ...


FILLERS: dict[FillMethod, Callable[[Bundle, str], HoleFiller]] = {
    "windows": Filler,
    "codes": CodeFiller,
    "part": PartFiller,
}


def open_filler(bundle: Bundle, method: FillMethod, device: str = "cpu") -> HoleFiller:
    """The networks of a filling method.

    Raises:
        BundleError: The bundle lacks them.
    """
    return FILLERS[method](bundle, device)
