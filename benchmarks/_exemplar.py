"""Exemplar-based filling (after Criminisi et al., 2004), a baseline without a network.

The pixel of the hole's rim with the most known neighbours and the strongest edge across the rim
comes first; the missing pixels of its square are copied from the most similar known square nearby.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

HALF = 4  # of a square's side
REACH = 48  # pixels around the hole in which squares are looked for

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


def fill_by_exemplars(picture: Picture, hole: Mask) -> Picture:
    """A picture whose hole is filled with squares from around it."""
    x, y, w, h = cv2.boundingRect(hole.astype(np.uint8))
    around = REACH + HALF
    box = slice(max(0, y - around), y + h + around), slice(max(0, x - around), x + w + around)
    filled = picture.copy()
    filled[box] = _filled(picture[box], hole[box])
    return filled


def _filled(picture: Picture, hole: Mask) -> Picture:
    canvas, missing = picture.astype(np.float32), hole.copy()
    trust = (~hole).astype(np.float32)
    sources = _sources(hole)
    while missing.any():
        row, column, certain = _first(canvas, missing, trust)
        here = _square(row, column, missing.shape)
        best = _most_similar(canvas, canvas[here], missing[here], sources)
        wanted = missing[here]
        canvas[here][wanted] = canvas[best][wanted]
        trust[here][wanted] = certain
        missing[here] = False
    return canvas.astype(np.uint8)


def _sources(hole: Mask) -> Mask:
    """Upper left corners of squares that show nothing of the hole."""
    size = 2 * HALF + 1
    known = cv2.erode((~hole).astype(np.uint8), np.ones((size, size)), borderValue=0) > 0
    corners = known[HALF : hole.shape[0] - HALF, HALF : hole.shape[1] - HALF]
    return corners if corners.any() else np.ones_like(corners)


def _first(
    canvas: Float[np.ndarray, "h w 3"], missing: Mask, trust: Float[np.ndarray, "h w"]
) -> tuple[int, int, float]:
    """Place on the rim that is filled first, and how far its square is known."""
    inner = cv2.erode(missing.astype(np.uint8), np.ones((3, 3)), borderValue=0) > 0
    rim = missing & ~inner
    share = cv2.blur(trust, (2 * HALF + 1, 2 * HALF + 1))
    grey = cv2.GaussianBlur(canvas.mean(axis=2), (0, 0), 1)
    edge = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    edge[missing] = 0
    edge = cv2.dilate(edge, np.ones((2 * HALF + 1, 2 * HALF + 1)))
    urgency = np.where(rim, share * (edge + 1), -1)
    row, column = np.unravel_index(urgency.argmax(), urgency.shape)
    return int(row), int(column), float(share[row, column])


def _square(row: int, column: int, shape: tuple[int, ...]) -> tuple[slice, slice]:
    size = 2 * HALF + 1
    top = min(max(0, row - HALF), shape[0] - size)
    left = min(max(0, column - HALF), shape[1] - size)
    return slice(top, top + size), slice(left, left + size)


def _most_similar(
    canvas: Float[np.ndarray, "h w 3"],
    square: Float[np.ndarray, "s s 3"],
    missing: Bool[np.ndarray, "s s"],
    sources: Mask,
) -> tuple[slice, slice]:
    counts = np.repeat((~missing)[:, :, None], 3, axis=2).astype(np.float32)
    far = cv2.matchTemplate(canvas, square, cv2.TM_SQDIFF, mask=counts)
    far[~sources] = np.inf
    top, left = np.unravel_index(far.argmin(), far.shape)
    size = 2 * HALF + 1
    return slice(top, top + size), slice(left, left + size)
