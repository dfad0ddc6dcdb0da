"""Several defects on one photograph: each is laid over the earlier ones, and all are one item."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from blemish.originals import Original
from blemish.synthesis.composite import Carried
from blemish.synthesis.placement.task import PlacedDefect
from blemish.synthesis.request import Request
from blemish.types import Codes


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedDefect:
    """One defect on its photograph.

    Attributes:
        request: Request, on the photograph with the earlier defects.
        seed: Random seed.
        placed: Result of the placement method.
        reasons: Reasons against training on it.
        measured: Scores of the method, and of the label.
        judged: Scores of curation.
    """

    request: Request
    seed: int
    placed: PlacedDefect
    reasons: tuple[str, ...]
    measured: dict[str, float | int]
    judged: dict[str, float]

    @property
    def photograph(self) -> Original:
        """The photograph with this defect and the earlier ones."""
        carried = self.placed.carried
        return self.request.original.with_change(carried.picture, carried.changed)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of it: type, place and seed; the box is x, y, width and height."""
        return {
            "type": self.request.kind,
            "seed": self.seed,
            "requested": str(self.request.mask),
            "box": list(cv2.boundingRect(self.placed.carried.changed.astype(np.uint8))),
            "scores": self.measured | self.judged,
        }


def as_one(good: Original, defects: Sequence[JudgedDefect]) -> PlacedDefect:
    """All defects of an item as if they were one.

    Args:
        good: Photograph without any of them.
        defects: The defects in the order in which they were placed.
    """
    if len(defects) == 1:
        return defects[0].placed
    placed = [one.placed for one in defects]
    differs = defects[-1].photograph.levels != good.levels
    differs = differs if differs.ndim == 2 else differs.any(axis=2)
    codes = [one.codes for one in placed if one.codes is not None]
    changed = np.any([one.carried.changed for one in placed], axis=0) & differs
    return PlacedDefect(
        carried=Carried(picture=placed[-1].carried.picture, changed=changed),
        drawn=np.any([one.drawn for one in placed], axis=0),
        codes=Codes.joined(codes) if codes else None,
    )


def classes_of(defects: Sequence[JudgedDefect], types: tuple[str, ...]) -> UInt8[np.ndarray, "h w"]:
    """Number of the type of the last defect at each pixel, from 1 in the order of `types`."""
    classes = np.zeros(defects[0].placed.carried.changed.shape, np.uint8)
    for one in defects:
        classes[one.placed.carried.changed] = types.index(one.request.kind) + 1
    return classes
