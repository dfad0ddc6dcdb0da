"""Paste: a real defect of the type, laid under the mask in the photograph's own pixels.

It needs a folder of real defects, and neither a bundle nor any training; see `synthesis.paste`.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder
from blemish.data.shadow import unshadowed_silhouette
from blemish.inversion.search import Step
from blemish.synthesis.options import SynthesisOptions
from blemish.synthesis.placement.task import DirectPlacement, PlacedDefect
from blemish.synthesis.real.cutouts import Cutout, cutouts_in
from blemish.synthesis.real.paste import paste
from blemish.synthesis.request import Request
from blemish.types import Codes


class PastePlacement(DirectPlacement):
    """See the module's docstring, and `task.PlacementMethod`.

    Args:
        bundle: Not used; a pasted defect depends on no bundle.
        options: Options of the synthesis, with a folder of real defects.
        device: Not used.

    Attributes:
        types: The types of defects that the folder holds.

    Raises:
        DataError: The folder can't be read.
    """

    def __init__(self, bundle: Bundle | None, options: SynthesisOptions, device: str) -> None:
        assert options.real is not None, "the options ask for it"
        self.real, self.first_third = options.real, options.first_third
        self.types = DefectFolder(self.real).types
        self.cutouts = lru_cache(None)(self._cut)

    def record(self) -> dict[str, Any]:
        """Nothing beyond the options."""
        return {}

    def prepare(self, kind: str) -> None:
        """Cut out the real defects of a type.

        Raises:
            OptionError: There are none.
            DataError: One can't be read.
        """
        self.cutouts(kind)

    def place(
        self,
        request: Request,
        seed: int,
        strength: Float[np.ndarray, "h w"],
        twin: Codes | None,
        *,
        on_progress: Step | None = None,
    ) -> PlacedDefect:
        """See `task.PlacementMethod`."""
        carried = paste(
            request.picture,
            request.requested,
            unshadowed_silhouette(request.picture),
            self.cutouts(request.kind),
            seed,
            strength=strength,
            grey=request.original.grey,
        )
        return PlacedDefect(carried=carried, drawn=carried.changed)

    def _cut(self, kind: str) -> list[Cutout]:
        return cutouts_in(self.real, kind, first_third=self.first_third)
