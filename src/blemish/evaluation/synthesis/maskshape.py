"""The shape of a mask in numbers, so that sets of masks can be compared.

Lengths are in units of the part's size, the root of its area, so that photographs of different
sizes compare. The skeleton is that of Zhang and Suen (1984).
"""

from math import atan2, log, pi

import cv2
import numpy as np
from jaxtyping import Bool, Float

SIDE = 160  # of the longer side, at which masks are measured
FEATURES = (
    "log area",
    "log pieces",
    "log eccentricity",
    "solidity",
    "log compactness",
    "mean half-width",
    "largest half-width",
    "skeleton length",
    "branches",
    "contact with the outline",
    "distance to the middle",
    "distance to the outline",
    "orientation",
)


def mask_vector(
    mask: Bool[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, " f"]:
    """The values of `FEATURES` of a mask that marks something on a part."""
    small, on = (_small(marked) for marked in (mask, part))
    size = max(float(on.sum()), 1.0) ** 0.5
    outlines, _ = cv2.findContours(small, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    half = cv2.distanceTransform(np.pad(small, 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    skeleton = _skeleton(small)
    widths = half[skeleton] if skeleton.any() else half[small > 0]
    major, minor, angle, middle = _ellipse(small)
    values = (
        log(small.sum() / on.sum()) if on.any() else 0.0,
        log(len(outlines)),
        log(major / minor),
        _solidity(outlines, small),
        log(_perimeter(outlines) ** 2 / (4 * pi * small.sum())),
        float(widths.mean()) / size,
        float(half.max()) / size,
        float(skeleton.sum()) / size,
        float(_branches(skeleton)),
        _contact(small, on),
        float(np.linalg.norm(middle - _ellipse(on)[3])) / size,
        _depth(middle, on) / size,
        abs(_turned(angle - _ellipse(on)[2])),
    )
    return np.array(values)


def _small(mask: Bool[np.ndarray, "h w"]) -> np.ndarray:
    """0 and 1 at `SIDE` pixels at most; never empty where the mask is not."""
    scale = min(1.0, SIDE / max(mask.shape))
    size = max(1, round(mask.shape[1] * scale)), max(1, round(mask.shape[0] * scale))
    shares = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    found = shares > min(0.5, shares.max() / 2)
    return found.astype(np.uint8)


def _ellipse(mask: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """Deviations along both axes, the angle of the longer one, and the middle, x and y."""
    points = np.stack(np.nonzero(mask)[::-1]).astype(float)
    if not points.size:
        return 1.0, 1.0, 0.0, np.zeros(2)
    spread = np.cov(points, ddof=0) if points.shape[1] > 1 else np.zeros((2, 2))
    values, vectors = np.linalg.eigh(spread + np.eye(2) / 12)  # a pixel is a square, no point
    angle = atan2(vectors[1, 1], vectors[0, 1])
    return values[1] ** 0.5, values[0] ** 0.5, angle, points.mean(axis=1)


def _solidity(outlines, mask: np.ndarray) -> float:
    hulls = sum(_filled([cv2.convexHull(outline)], mask.shape).sum() for outline in outlines)
    return float(mask.sum() / max(1, hulls))


def _filled(outlines, shape: tuple[int, ...]) -> np.ndarray:
    return cv2.drawContours(np.zeros(shape, np.uint8), outlines, -1, [1], cv2.FILLED)


def _perimeter(outlines) -> float:
    # A contour runs through the centres of pixels, half a pixel inside of the outline.
    return sum(cv2.arcLength(outline, True) + pi for outline in outlines)


def _contact(mask: np.ndarray, part: np.ndarray) -> float:
    """The share of the mask at the part's outline or beside the part."""
    inner = cv2.erode(part, np.ones((3, 3), np.uint8))
    return float((mask & (1 - inner)).sum() / mask.sum())


def _depth(middle: np.ndarray, part: np.ndarray) -> float:
    """The distance of a point to the part's outline, negative outside."""
    x, y = (int(at) for at in middle.round())
    inside, outside = (
        cv2.distanceTransform(np.ascontiguousarray(m), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        for m in (part, 1 - part)
    )
    return float(inside[y, x] - outside[y, x]) if part.any() and not part.all() else 0.0


def _turned(angle: float) -> float:
    """An angle between axes, in -π/2..π/2."""
    return (angle + pi / 2) % pi - pi / 2


def _branches(skeleton: Bool[np.ndarray, "h w"]) -> int:
    """Points of a skeleton where three or more arms meet."""
    count = cv2.filter2D(skeleton.astype(np.float32), -1, np.ones((3, 3), np.float32))
    meeting = (skeleton & (count >= 4)).astype(np.uint8)
    return cv2.connectedComponents(meeting)[0] - 1


def _skeleton(mask: np.ndarray) -> Bool[np.ndarray, "h w"]:
    """The mask thinned to lines of one pixel (Zhang and Suen, 1984)."""
    image = np.pad(mask.astype(bool), 1)
    while True:
        before = image.copy()
        for first in (True, False):
            image &= ~_thinned(image, first)
        if np.array_equal(image, before):
            return image[1:-1, 1:-1]


def _thinned(image: Bool[np.ndarray, "h w"], first: bool) -> Bool[np.ndarray, "h w"]:
    """What a half-step of thinning takes away."""
    shifts = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))
    ring = [np.roll(image, (-y, -x), axis=(0, 1)) for y, x in shifts]
    north, east, south, west = ring[0], ring[2], ring[4], ring[6]
    neighbours = np.add.reduce([r.astype(np.uint8) for r in ring])
    pairs = zip(ring, ring[1:] + ring[:1], strict=True)
    crossings = np.add.reduce([(~a & b).astype(np.uint8) for a, b in pairs])
    if first:
        kept = (north & east & south) | (east & south & west)
    else:
        kept = (north & east & west) | (north & south & west)
    return image & (neighbours >= 2) & (neighbours <= 6) & (crossings == 1) & ~kept
