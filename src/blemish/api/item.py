"""One labelled defect image in memory."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.files import alone
from blemish.levels import Levels
from blemish.manifest import NOTHING_CHANGED
from blemish.names import ItemOutcome
from blemish.synthesis.dataset import Dataset, SyntheticItem


@dataclass(frozen=True)
class Item:
    """A part with a defect, its exact mask and the untouched twin.

    Attributes:
        made: What a data set writes.
    """

    made: SyntheticItem

    @property
    def image(self) -> Levels:
        """The part with its defect, upright, in the photograph's own depth and channels."""
        return self.made.picture.levels

    @property
    def twin(self) -> Levels:
        """The untouched photograph; it differs from `image` exactly where `mask` is true."""
        return self.made.twin.levels

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """The pixels that changed."""
        return self.made.changed

    @property
    def requested(self) -> Bool[np.ndarray, "h w"]:
        """The mask that was asked for, or drawn."""
        return self.made.requested

    @cached_property
    def rgb(self) -> UInt8[np.ndarray, "h w 3"]:
        """`image` as RGB of 8 bits."""
        return self.made.picture.picture

    @property
    def defect(self) -> str:
        """Type of the defect."""
        return self.made.kind

    @property
    def name(self) -> str:
        """Name of its files: the same request, options, bundle and seed give the same one."""
        return self.made.name

    @property
    def seed(self) -> int:
        """Its random seed."""
        return self.made.facts["seed"]

    @property
    def scores(self) -> dict[str, float]:
        """What was measured; docs/synthesis.md lists the names."""
        return dict(self.made.facts["scores"])

    @property
    def reasons(self) -> tuple[str, ...]:
        """Reasons against training on it; empty if there are none."""
        return self.made.reasons if self.mask.any() else (*self.made.reasons, NOTHING_CHANGED)

    @property
    def outcome(self) -> ItemOutcome:
        """Kept, or refused for the reasons."""
        return "refused" if self.reasons else "kept"

    def save(self, out: str | Path) -> dict[str, Any]:
        """Add it to a folder in MVTec AD layout, as `blemish synthesize` does.

        Returns:
            Its row of the manifest.

        Raises:
            OutputError: The folder can't be written to, or another run writes to it.
            DataError: The folder holds a manifest that can't be read.
        """
        folder = Path(out)
        dataset = Dataset(folder)
        with alone(folder):
            known = {row["name"]: row for row in dataset.rows()}
            return known[self.name] if self.name in known else dataset.add(self.made)
