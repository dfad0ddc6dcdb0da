"""Close-ups of a defect: the square around its mask, and its inside alone."""

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.pictures import fit_mask, fit_square

WIDER = 1.5  # relative to the mask's extent
LEAST_SHARE = 1 / 16  # minimum side of a square, as a fraction of the image's longer side


def close_up(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], side: int
) -> tuple[UInt8[np.ndarray, "s s 3"], Bool[np.ndarray, "s s"]]:
    """Surroundings of a non-empty mask, and the mask in them, `side` pixels wide.

    Beyond the image its border is repeated, and is never marked.
    """
    y, x = np.nonzero(mask)
    longest = int(max(np.ptp(y), np.ptp(x))) + 1
    extent = int(max(WIDER * longest, LEAST_SHARE * max(mask.shape), 4))
    extent += (extent - longest) % 2  # symmetric, so that its mirror image is the same square
    top, left = (int(along.min() + along.max() + 1 - extent) // 2 for along in (y, x))
    rows, columns = np.arange(top, top + extent), np.arange(left, left + extent)
    h, w = mask.shape
    near = picture[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)]
    marked = mask[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)]
    marked &= ((rows >= 0) & (rows < h))[:, None] & (columns >= 0) & (columns < w)
    return fit_square(near, side), fit_mask(marked, side)


def bare(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Inside of a mask, with everything else in its mean colour."""
    mean = picture[mask].mean(axis=0).round()
    return np.where(mask[:, :, None], picture, mean).astype(np.uint8)
