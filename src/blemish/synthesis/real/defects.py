"""Real defects for references: from the folder of the options, at the generator's resolution."""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from blemish.checkpoint import Bundle
from blemish.data.folder import DefectFolder, load_pictures
from blemish.errors import OptionError
from blemish.models.load import shape_of
from blemish.names import ReferenceName


class RealDefects:
    """Folder of real defects, which are read once.

    Args:
        bundle: Bundle that makes the items.
        folder: Folder with photographs of defects and their masks; None if none is given.
        reference: Name of the reference that they are for.
        first_third: Use only the first third of each type, by name.
        device: Device to compute on.
    """

    def __init__(
        self,
        bundle: Bundle,
        folder: Path | None,
        reference: ReferenceName,
        *,
        first_third: bool = False,
        device: str = "cpu",
    ) -> None:
        self.bundle, self.folder, self.device = bundle, folder, device
        self.reference, self.first_third = reference, first_third
        self.load = cache(self._load)

    def _load(self, kind: str) -> tuple[UInt8[np.ndarray, "n h w 3"], UInt8[np.ndarray, "n h w"]]:
        """Images and masks of a type, without those with an empty mask."""
        if self.folder is None:
            raise self.missing()
        side = shape_of(self.bundle).resolution
        found = DefectFolder(self.folder).defects_to_learn(kind, first_third=self.first_third)
        pictures, masks = load_pictures(found, side)
        marked = masks.any(axis=(1, 2))
        if not marked.any():
            raise OptionError(
                got=f"--real {self.folder}, which has no '{kind}'",
                expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
                todo="Use a folder that has some.",
            )
        return pictures[marked], masks[marked]

    def missing(self) -> OptionError:
        """Error for a reference that needs real defects where none are given."""
        return OptionError(
            got=f"--reference {self.reference} without real defects to learn from",
            expected="--real DIR, a folder with photographs and masks of such defects",
            todo="Add --real, or use --reference none.",
        )
