"""Masks between page and server: the lengths of runs in a box, row by row.

A mask of twelve million pixels becomes some kilobytes, and nothing is lost: the page paints the
photograph's own pixels.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool

from blemish.errors import DataError

MOST_RUNS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class PaintedMask:
    """A mask.

    Attributes:
        box: Column, row, width and height of a box that holds all that is marked.
        runs: Lengths of runs in the box, the first unmarked, then alternating.
    """

    box: tuple[int, ...]
    runs: tuple[int, ...]

    def mask(self, height: int, width: int) -> Bool[np.ndarray, "h w"]:
        """The mask on a photograph.

        Raises:
            DataError: It does not fit.
        """
        x, y, w, h = self._checked(height, width)
        lengths = np.array(self.runs, np.int64)
        levels = np.arange(len(lengths)) % 2 == 1
        mask = np.zeros((height, width), bool)
        mask[y : y + h, x : x + w] = np.repeat(levels, lengths).reshape(h, w)
        return mask

    def _checked(self, height: int, width: int) -> tuple[int, int, int, int]:
        """The box, if runs fill it and it lies on the photograph."""
        fits = len(self.box) == 4 and 0 < len(self.runs) <= MOST_RUNS
        if fits:
            x, y, w, h = self.box
            fits = min(x, y, *self.runs) >= 0 and w > 0 and h > 0
            fits = fits and x + w <= width and y + h <= height and sum(self.runs) == w * h
            if fits:
                return x, y, w, h
        raise DataError(
            got=f"a mask whose runs don't fit a photograph of {width} × {height}",
            expected="runs that fill a box on the photograph",
            todo="Reload the page.",
        )


def painted(mask: Bool[np.ndarray, "h w"]) -> PaintedMask:
    """A mask as runs; an empty one is a single unmarked pixel."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    if w == 0:
        return PaintedMask(box=(0, 0, 1, 1), runs=(1,))
    flat = mask[y : y + h, x : x + w].ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=np.array([False]))) if flat.size else []
    lengths = np.diff(np.concatenate([[0], edges, [flat.size]]))
    return PaintedMask(box=(x, y, w, h), runs=tuple(int(one) for one in lengths))
