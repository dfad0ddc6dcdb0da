"""Registry of references for the look of a defect, one file each.

A new reference is a file with a `ReferenceSource` and its line in `REFERENCES`, and its name in
`blemish.names`.
"""

from collections.abc import Callable
from typing import Protocol

from jaxtyping import Float
from torch import Tensor

from blemish.names import ReferenceName
from blemish.synthesis.placement.search import Reference
from blemish.synthesis.real.defects import RealDefects
from blemish.synthesis.references.distil import DistilSource
from blemish.synthesis.references.stitch import StitchSource


class ReferenceSource(Protocol):
    """Source of references of one kind, for any type of defect; its data is read once."""

    def prepare(self, kind: str) -> None:
        """Read the data of a type before the work starts.

        Raises:
            OptionError: Real defects are needed and missing.
            DataError: One can't be read.
            BundleError: The bundle lacks what the reference needs.
        """
        ...

    def choose(
        self,
        kind: str,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        seed: int,
    ) -> Reference:
        """Reference for a defect under a mask.

        Args:
            kind: Type of the defect.
            photograph: Photograph of the good part, in [-1, 1].
            mask: Mask of the defect, zeros and ones.
            seed: Random seed.
        """
        ...


REFERENCES: dict[ReferenceName, Callable[[RealDefects], ReferenceSource]] = {
    "stitch": StitchSource,
    "distil": DistilSource,
}
