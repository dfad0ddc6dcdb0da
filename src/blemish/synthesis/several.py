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
class Laid:
    """One defect on its photograph.

    Attributes:
        request: Request, on the photograph with the earlier defects.
        seed: Random seed.
        made: Result of the placement method.
        reasons: Reasons against training on it.
        measured: Scores of the method, and of the label.
        judged: Scores of curation.
    """

    request: Request
    seed: int
    made: PlacedDefect
    reasons: tuple[str, ...]
    measured: dict[str, float | int]
    judged: dict[str, float]

    @property
    def photograph(self) -> Original:
        """The photograph with this defect and the earlier ones."""
        carried = self.made.carried
        return self.request.original.with_change(carried.picture, carried.changed)

    def facts(self) -> dict[str, Any]:
        """What a manifest says of it: type, place and seed; the box is x, y, width and height."""
        return {
            "type": self.request.kind,
            "seed": self.seed,
            "requested": str(self.request.mask),
            "box": list(cv2.boundingRect(self.made.carried.changed.astype(np.uint8))),
            "scores": self.measured | self.judged,
        }


def as_one(good: Original, laid: Sequence[Laid]) -> PlacedDefect:
    """All defects of an item as if they were one.

    Args:
        good: Photograph without any of them.
        laid: The defects in the order in which they were laid.
    """
    if len(laid) == 1:
        return laid[0].made
    made = [one.made for one in laid]
    differs = laid[-1].photograph.levels != good.levels
    differs = differs if differs.ndim == 2 else differs.any(axis=2)
    codes = [one.codes for one in made if one.codes is not None]
    changed = np.any([one.carried.changed for one in made], axis=0) & differs
    return PlacedDefect(
        carried=Carried(picture=made[-1].carried.picture, changed=changed),
        drawn=np.any([one.drawn for one in made], axis=0),
        codes=Codes.joined(codes) if codes else None,
    )


def classes_of(laid: Sequence[Laid], types: tuple[str, ...]) -> UInt8[np.ndarray, "h w"]:
    """Number of the type of the last defect at each pixel, from 1 in the order of `types`."""
    classes = np.zeros(laid[0].made.carried.changed.shape, np.uint8)
    for one in laid:
        classes[one.made.carried.changed] = types.index(one.request.kind) + 1
    return classes
