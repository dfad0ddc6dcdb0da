"""Masks from images and random numbers: the part's silhouette, drawn strokes and blobs."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab

LIGHTNESS_WEIGHT = 0.5


def silhouette(picture: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Segment the part: what differs from the picture's border.

    The distance of each pixel to the border's colours in CIELAB, in which lightness has half weight
    so that a shadow stays background, is cut at Otsu's threshold (1979); the largest piece is
    filled.

    Returns:
        A silhouette that is not empty; all true if nothing stands out from the border, as when the
        part fills the image.
    """
    far = _distance_to_border(lab(picture) * np.array([LIGHTNESS_WEIGHT, 1, 1], np.float32))
    if np.percentile(far, 99) < 8:
        return np.ones(picture.shape[:2], bool)
    scale = 255 / max(float(far.max()), 1e-6)
    _, binary = cv2.threshold(
        (far * scale).astype(np.uint8), 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU
    )
    return without_holes(_largest(binary) > 0)


def box_around(mask: Bool[np.ndarray, "h w"], margin: int = 0) -> tuple[slice, slice]:
    """Rows and columns of the marked pixels with a margin, as far as there are such."""
    x, y, w, h = cv2.boundingRect(mask.astype(np.uint8))
    height, width = mask.shape
    return (
        slice(max(0, y - margin), min(height, y + h + margin)),
        slice(max(0, x - margin), min(width, x + w + margin)),
    )


def spanned(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """Convex hull of the marked pixels; empty for an empty mask."""
    hull = np.zeros(mask.shape, np.uint8)
    if mask.any():
        points = cv2.findNonZero(mask.astype(np.uint8))
        cv2.fillConvexPoly(hull, cv2.convexHull(points), [1])
    return hull > 0


def _distance_to_border(colours: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    h, w = colours.shape[:2]
    ring = max(1, min(h, w) // 32)
    inner = np.zeros((h, w), bool)
    inner[ring : h - ring, ring : w - ring] = True
    return np.linalg.norm(colours - np.median(colours[~inner], axis=0), axis=2)


def _largest(binary: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(binary)
    return (labels == 1 + np.argmax(stats[1:, cv2.CC_STAT_AREA])).astype(np.uint8)


def without_holes(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """A mask with all that its outer outlines enclose."""
    binary = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(binary), outlines, -1, 1, cv2.FILLED).astype(bool)


def components(mask: Bool[np.ndarray, "h w"], *, least: int) -> list[Bool[np.ndarray, "h w"]]:
    """Connected pieces of a mask with at least `least` pixels, or else the mask itself."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = [k for k in range(1, len(stats)) if stats[k, cv2.CC_STAT_AREA] >= least]
    return [labels == k for k in large] or [mask.astype(bool)]


def draw_stroke(side: int, rng: np.random.Generator) -> Bool[np.ndarray, "side side"]:
    """Wandering stroke of constant width near the centre of a square."""
    steps = rng.integers(3, 9)
    turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.6, steps))
    stride = side * rng.uniform(0.02, 0.07)
    start = side * rng.uniform(0.3, 0.7, 2)
    path = start + np.cumsum(stride * np.stack([np.cos(turns), np.sin(turns)], 1), axis=0)
    canvas = np.zeros((side, side), np.uint8)
    width = max(1, round(side * rng.uniform(0.02, 0.07)))
    points = np.round(path * 16).astype(np.int32)
    cv2.polylines(canvas, [points], False, 1, width, cv2.LINE_8, shift=4)
    return canvas.astype(bool)


def draw_blob(side: int, rng: np.random.Generator) -> Bool[np.ndarray, "side side"]:
    """Ragged blob near the centre of a square: smooth noise under a bump, thresholded."""
    noise = cv2.GaussianBlur(rng.normal(0, 1, (side, side)).astype(np.float32), (0, 0), side / 28)
    y, x = np.mgrid[:side, :side] / side
    centre, radius = rng.uniform(0.32, 0.68, 2), rng.uniform(0.04, 0.13)
    bump = np.exp(-((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / (2 * radius**2))
    return bump + 0.25 * noise / noise.std() * bump**0.5 > 0.5
