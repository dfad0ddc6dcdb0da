r"""Placement of a real defect under a mask, by the transform with the best overlap.

Two families of transforms are tried. One aligns the defect's ellipse with the mask's: as it is,
rotated by half a turn, and mirrored. The other keeps the defect at its place on the part: it is
randomly mirrored, rotated about the part's centre and slightly scaled, so that a piece broken off a
rim stays on the rim,

    p' = c' + s R(\phi) diag(\pm 1, 1) (p - c),

with the centres c and c' of both parts. The overlap is that of areas, |a ∩ b| / |a ∪ b|, at a few
dozen pixels a side. A transform that keeps the part's centre in place wins unless another overlaps
by a tenth more.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import atan2, log, pi

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.masks import silhouette

SIDE = 64  # side in pixels at which overlaps are measured
TURNS = 36
SCALES = (0.85, 1.0, 1.0 / 0.85)
TRIED = 16  # number of real defects, the ones with the most similar shape
TAKEN = 3
ASTRAY = 0.9  # factor on an overlap whose transform moves the defect off its place on the part

Affine = Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class Outline:
    """Small outline of a mask on its part; see `outline_of`.

    Attributes:
        mask: Marked fraction of each pixel.
        middle: Centre of the part, x and y.
    """

    mask: Float[np.ndarray, "h w"]
    middle: Float[np.ndarray, "2"]

    @cached_property
    def ellipse(self) -> tuple[float, float, float, float, float]:
        """Centre x and y, standard deviations along both axes, and the angle of the longer axis."""
        y, x = np.nonzero(self.mask)
        weight = self.mask[y, x]
        points = np.stack([x, y])
        centre = np.average(points, axis=1, weights=weight)
        spread = np.cov(points, aweights=weight, ddof=0) if len(x) > 1 else np.zeros((2, 2))
        values, vectors = np.linalg.eigh(spread + 0.25 * np.eye(2))
        angle = atan2(vectors[1, 1], vectors[0, 1])
        return float(centre[0]), float(centre[1]), values[1] ** 0.5, values[0] ** 0.5, angle

    @property
    def shape(self) -> tuple[float, float]:
        """Logarithms of the area and of the ratio of the axes."""
        _, _, major, minor, _ = self.ellipse
        return log(self.mask.sum()), log(major / minor)


def outline_of(picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> Outline:
    """Outline of a non-empty mask on a photograph, with `SIDE` pixels on the longer side."""
    small = cv2.resize(picture, _size(*mask.shape), interpolation=cv2.INTER_AREA)
    return outline_on(silhouette(small), mask)


def outline_on(part: Bool[np.ndarray, "_h _w"], mask: Bool[np.ndarray, "h w"]) -> Outline:
    """The same where the part is known, at any size."""
    size = _size(*mask.shape)
    small, seen = (
        cv2.resize(marked.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        for marked in (mask, part)
    )
    y, x = np.nonzero(seen > 0.5)
    return Outline(mask=small, middle=np.array([x.mean(), y.mean()]))


def best_aligned(target: Outline, candidates: list[Outline], seed: int) -> int:
    """Index of one of the candidates with the best overlap; seeds use them in turn.

    Args:
        target: Mask under which they are placed.
        candidates: Real defects.
        seed: Selects among `TAKEN`.
    """
    far = [np.abs(np.subtract(c.shape, target.shape)).sum() for c in candidates]
    alike = np.argsort(far, kind="stable")[:TRIED]
    overlaps = np.array([align(candidates[index], target)[1] for index in alike])
    best = alike[np.argsort(-overlaps, kind="stable")[:TAKEN]]
    return int(best[seed % len(best)])


def align(source: Outline, target: Outline, *, turning: bool = True) -> tuple[Affine, float]:
    """Best transform from one mask to another of a photograph of the same size, and its overlap.

    Args:
        source: The mask that is moved.
        target: The mask to cover.
        turning: Whether moves about the middle of the part are tried; there are many of them.
    """
    tried = [
        (overlap(source, target, move) * worth, worth, move)
        for move, worth in _moves(source, target, turning)
    ]
    best, worth, move = max(tried, key=lambda found: found[0])
    return move, best / worth


def overlap(source: Outline, target: Outline, move: Affine) -> float:
    """Intersection over union of both masks, in [0, 1], after the first is transformed."""
    h, w = target.mask.shape
    moved = cv2.warpAffine(source.mask, move, (w, h))
    return float(np.minimum(moved, target.mask).sum() / np.maximum(moved, target.mask).sum())


def scaled_move(move: Affine, side: int, source_side: int | None = None) -> Affine:
    """A move between outlines, for photographs whose longer sides have so many pixels.

    Args:
        move: From `align`.
        side: Longer side of the photograph that is moved onto.
        source_side: Longer side of the one that is moved; the same if not given.
    """
    source, target = (source_side or side) / SIDE, side / SIDE
    # A pixel's centre lies half a pixel from its corner, at any size.
    half = np.array([0.5, 0.5])
    matrix = move[:, :2] * (target / source)
    offset = target * (move[:, 2] + half - move[:, :2] @ half) - half + matrix @ half
    return np.column_stack([matrix, offset])


def _size(h: int, w: int) -> tuple[int, int]:
    """Width and height of a photograph of that size, `SIDE` pixels on the longer."""
    return max(1, round(SIDE * w / max(h, w))), max(1, round(SIDE * h / max(h, w)))


def _moves(source: Outline, target: Outline, turning: bool) -> Iterator[tuple[Affine, float]]:
    sx, sy, source_major, source_minor, source_angle = source.ellipse
    tx, ty, major, minor, angle = target.ellipse
    scale = (major * minor / (source_major * source_minor)) ** 0.5
    for mirrored in (1, -1):
        # A mirror across the upright axis negates the angle of an ellipse.
        turn = angle - mirrored * source_angle
        for phi in (turn, turn + pi):
            yield moved_about((sx, sy), (tx, ty), scale, phi, mirrored), ASTRAY
        for phi in np.arange(TURNS if turning else 0) * 2 * pi / TURNS:
            for size in SCALES:
                yield moved_about(source.middle, target.middle, size, phi, mirrored), 1.0


def moved_about(
    source: tuple[float, float] | Float[np.ndarray, "2"],
    target: tuple[float, float] | Float[np.ndarray, "2"],
    scale: float,
    phi: float,
    mirrored: int,
) -> Affine:
    """Move that takes one point to another, mirrored (-1) or not (1), turned by phi and scaled."""
    cosine, sine = scale * np.cos(phi), scale * np.sin(phi)
    matrix = np.array([[cosine * mirrored, -sine], [sine * mirrored, cosine]])
    return np.column_stack([matrix, np.asarray(target) - matrix @ np.asarray(source)])
