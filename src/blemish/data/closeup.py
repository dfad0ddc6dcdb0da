"""A defect seen from near: the square around its mask, and its inside with nothing else on it."""

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.pictures import fit, fit_mask

WIDER = 1.5  # than the mask's extent
LEAST_SHARE = 1 / 16  # of the picture's longer side that a square has


def close_up(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], side: int
) -> tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
    """The surroundings of a mask that is not empty, and the mask on them, `side` pixels wide.

    What lies beyond the picture repeats its border, and is never marked.
    """
    y, x = np.nonzero(mask)
    longest = int(max(np.ptp(y), np.ptp(x))) + 1
    extent = int(max(WIDER * longest, LEAST_SHARE * max(mask.shape), 4))
    extent += (extent - longest) % 2  # in the middle, so that mirrored it is the same square
    top, left = (int(along.min() + along.max() + 1 - extent) // 2 for along in (y, x))
    rows, columns = np.arange(top, top + extent), np.arange(left, left + extent)
    h, w = mask.shape
    near = picture[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)]
    marked = mask[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)]
    marked &= ((rows >= 0) & (rows < h))[:, None] & (columns >= 0) & (columns < w)
    return fit(near, side), fit_mask(marked, side)


def bare(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """The inside of a mask, all else painted over in its mean colour."""
    mean = picture[mask].mean(axis=0).round()
    return np.where(mask[:, :, None], picture, mean).astype(np.uint8)
