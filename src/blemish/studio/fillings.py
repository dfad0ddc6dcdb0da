"""Holes and defects replaced by good material, with the steps of `blemish fill` and `repair`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool

from blemish.checkpoint import Bundle
from blemish.documents import limit
from blemish.editing.fill import Filler, Filling, margin_of, refuse_hole, widened
from blemish.editing.filled import save_fillings
from blemish.files import ensure_writable
from blemish.studio.painted import PaintedMask
from blemish.studio.photographs import Opened
from blemish.studio.views import changed_crop, outline_points

MOST_COUNT = 24
MOST_MARGIN = 1000


@dataclass(frozen=True, kw_only=True)
class FillWish:
    """Filling of a hole, or repair of a defect.

    Attributes:
        bundle: Name of the bundle.
        verb: fill takes the mask as it is, repair adds a margin.
        mask: The hole, or the defect.
        margin: Pixels around the mask that are replaced as well; None takes the usual number.
        seed: Random seed of the first filling.
        count: Number of fillings; their seeds are consecutive.
    """

    bundle: str
    verb: Literal["fill", "repair"]
    mask: PaintedMask
    margin: int | None = None
    seed: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        limit({"the seed": (self.seed, 0, 2**31 - 1), "the number": (self.count, 1, MOST_COUNT)})
        limit({"the margin": (self.margin or 0, 0, MOST_MARGIN)})

    def margin_on(self, opened: Opened) -> int:
        """Pixels around the mask that are replaced as well."""
        if self.verb == "fill":
            return 0
        height, width = opened.size
        return margin_of(height, width, self.margin)

    def hole(self, opened: Opened) -> Bool[np.ndarray, "h w"]:
        """Pixels to replace.

        Raises:
            DataError: They are none, or too many.
        """
        marked = self.mask.mask(*opened.size)
        refuse_hole(marked)
        hole = widened(marked, self.margin_on(opened))
        refuse_hole(hole)
        return hole


def show_filling(filler: Filler, opened: Opened, wish: FillWish) -> dict[str, Any]:
    """What the page shows of the first filling."""
    found = _filled(filler, opened, wish)[0]
    return {
        **changed_crop(opened.original.picture, found.picture.picture, found.hole),
        "outlines": outline_points(found.hole, 0, 0),
        "seed": found.seed,
        "scores": found.scores.row(),
        "reasons": list(found.scores.reasons()),
    }


def filled_picture(filler: Filler, opened: Opened, wish: FillWish) -> bytes:
    """File of the first filling, at the photograph's own depth."""
    return _filled(filler, opened, wish)[0].picture.encoded()


def save_all(
    filler: Filler, bundle: Bundle, opened: Opened, wish: FillWish, mask: Path, out: Path
) -> dict[str, Any]:
    """Write all fillings as the command line does; returns the figures.

    Args:
        filler: Windows of the bundle.
        bundle: The bundle.
        opened: Photograph.
        wish: What to fill.
        mask: File of the mask.
        out: New folder.
    """
    about = {"edit": wish.verb, "image": str(opened.path), "mask": str(mask)}
    about |= {"margin_px": wish.margin_on(opened)} if wish.verb == "repair" else {}
    fillings = _filled(filler, opened, wish, wish.count)
    ensure_writable(out)
    return save_fillings(out, opened.path.stem, opened.original, fillings, bundle, about)


def _filled(filler: Filler, opened: Opened, wish: FillWish, count: int = 1) -> list[Filling]:
    hole, smooth = wish.hole(opened), wish.verb == "fill"
    seeds = range(wish.seed, wish.seed + count)
    return [filler.fill(opened.original, hole, seed, smooth=smooth) for seed in seeds]
