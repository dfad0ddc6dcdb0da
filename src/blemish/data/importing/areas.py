r"""Areas that annotations mark, and their pixels.

Coordinates are x to the right and y down, in pixels, from the corner of the picture: pixel (i, j)
covers [i, i + 1] × [j, j + 1]. A pixel is marked if its centre lies inside by the even-odd rule, so
that the outlines of `blemish export` give back their masks exactly. An area so thin that it holds
no centre marks the pixels that its outline runs through.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import cos, hypot, radians, sin

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

LARGEST = 1e6  # of a coordinate, in pixels
MARGIN = 0.05  # of the longer side, by which a point may lie outside the picture
ROUND = 128  # corners of an ellipse

Points = Float[np.ndarray, "v 2"]
Loops = tuple[Float[np.ndarray, "_ 2"], ...]


class Area(ABC):
    """Area of one annotation."""

    @abstractmethod
    def drawn(self, h: int, w: int) -> Bool[np.ndarray, "h w"]:
        """Marked pixels of a picture of that size.

        Raises:
            ValueError: The area lies outside the picture.
        """


@dataclass(frozen=True, eq=False)
class PolygonArea(Area):
    """Closed loops, each filled by the even-odd rule, and all together.

    Attributes:
        loops: Corners of each loop.
        centre: A point that must lie in the picture; each corner must if it is not given.
    """

    loops: Loops
    centre: Float[np.ndarray, "1 2"] | None = None

    def drawn(self, h: int, w: int) -> Bool[np.ndarray, "h w"]:
        known = np.concatenate(self.loops) if self.centre is None else self.centre
        refuse_outside(known, h, w)
        filled = np.any([_filled(loop, h, w) for loop in self.loops], axis=0)
        return filled if filled.any() else _stroked(self.loops, h, w, 1, closed=True)


@dataclass(frozen=True, eq=False)
class Stroke(Area):
    """A line of some width through points.

    Attributes:
        points: At least one.
        width: Width in pixels.
    """

    points: Points
    width: int

    def drawn(self, h: int, w: int) -> Bool[np.ndarray, "h w"]:
        refuse_outside(self.points, h, w)
        return _stroked((self.points,), h, w, self.width, closed=False)


@dataclass(frozen=True, eq=False)
class Runs(Area):
    """Run lengths in a rectangle, alternately outside and inside, beginning outside.

    Attributes:
        counts: Lengths; they fill the rectangle.
        size: Height and width of the rectangle.
        corner: Column and row of its upper left pixel; None if it must be the whole picture.
        down: Whether runs go down the columns, as in COCO, and not along the rows.
    """

    counts: Int[np.ndarray, " n"]
    size: tuple[int, int]
    corner: tuple[int, int] | None = None
    down: bool = False

    def __post_init__(self) -> None:
        if (self.counts < 0).any() or int(self.counts.sum()) != self.size[0] * self.size[1]:
            raise ValueError("its run lengths do not fill its height and width")

    def drawn(self, h: int, w: int) -> Bool[np.ndarray, "h w"]:
        if self.corner is None and self.size != (h, w):
            raise ValueError(f"its size {_sides(*self.size)} is not the picture's, {_sides(h, w)}")
        left, top = self.corner or (0, 0)
        if min(left, top) < 0 or left + self.size[1] > w or top + self.size[0] > h:
            raise ValueError(f"it lies outside the picture of {_sides(h, w)} pixels")
        values = np.repeat(np.arange(len(self.counts)) % 2 == 1, self.counts)
        mask = np.zeros((h, w), bool)
        shaped = values.reshape(self.size, order="F" if self.down else "C")
        mask[top : top + self.size[0], left : left + self.size[1]] = shaped
        return mask


def runs_of(mask: Bool[np.ndarray, "p q"], left: int, top: int) -> Runs:
    """A mask at a place of a picture."""
    flat = mask.ravel()
    ends = np.flatnonzero(np.diff(flat, prepend=False, append=not flat[-1]))
    return Runs(np.diff(ends, prepend=0), mask.shape, (left, top))


def corners(x: float, y: float, width: float, height: float, turn: float = 0.0) -> Points:
    """Corners of a rectangle, turned about its middle.

    Args:
        x: Left side.
        y: Upper side.
        width: Width before it is turned.
        height: Height before it is turned.
        turn: Angle in degrees, clockwise as seen.

    Raises:
        ValueError: It is empty.
    """
    if not (width > 0 and height > 0):
        raise ValueError("it is empty")
    away = np.array([(-width, -height), (width, -height), (width, height), (-width, height)]) / 2
    return _turned(away, turn) + np.array([x + width / 2, y + height / 2])


def ellipse(x: float, y: float, across: float, down: float, turn: float = 0.0) -> PolygonArea:
    """An ellipse by its centre and radii, turned clockwise by degrees; its rim may be cut off.

    Raises:
        ValueError: It is empty.
    """
    if not (across > 0 and down > 0):
        raise ValueError("it is empty")
    phi = np.arange(ROUND) * 2 * np.pi / ROUND
    centre = np.array([[x, y]], float)
    away = np.stack([across * np.cos(phi), down * np.sin(phi)], axis=1)
    return PolygonArea((_turned(away, turn) + centre,), centre=centre)


def circle(centre: Points, rim: Points) -> PolygonArea:
    """A circle by its centre and a point on it."""
    (x, y), (across, down) = centre[0], (rim - centre)[0]
    radius = hypot(across, down)
    return ellipse(float(x), float(y), radius, radius)


def refuse_outside(points: Points, h: int, w: int) -> None:
    """Raise a ValueError for a point that lies outside a picture by more than `MARGIN`."""
    allowed = MARGIN * max(h, w)
    beyond = np.maximum(-points, points - (w, h)).max(axis=1)
    if (beyond > allowed).any():
        x, y = points[np.argmax(beyond)]
        raise ValueError(f"({x:g}, {y:g}) lies outside the picture of {_sides(h, w)} pixels")


def _turned(away: Points, turn: float) -> Points:
    c, s = cos(radians(turn)), sin(radians(turn))
    return away @ np.array([[c, s], [-s, c]])


def _filled(loop: Points, h: int, w: int) -> Bool[np.ndarray, "h w"]:
    """Inside of a loop: each edge toggles the pixels on its right in the rows that it crosses."""
    toggled = np.zeros((h, w + 1), np.int32)
    for edge in zip(loop.tolist(), np.roll(loop, -1, axis=0).tolist(), strict=True):
        # Sorted, so that a seam that runs there and back is rounded alike both times.
        (y0, x0), (y1, x1) = sorted((y, x) for x, y in edge)
        top, bottom = np.ceil(np.clip((y0, y1), 0, h) - 0.5).astype(int)
        rows = np.arange(top, bottom)
        if len(rows):
            crossed = x0 + (rows + 0.5 - y0) * (x1 - x0) / (y1 - y0)
            columns = np.ceil(np.clip(crossed, 0, w) - 0.5).astype(int)
            toggled[rows, columns] += 1
    return np.cumsum(toggled, axis=1)[:, :w] % 2 == 1


def _stroked(lines: Loops, h: int, w: int, width: int, *, closed: bool) -> Bool[np.ndarray, "h w"]:
    """Pixels whose centres are at most half of the width from a line, and those it runs through."""
    canvas = np.ones((h, w), np.uint8)
    for points in lines:
        near = [np.clip(points, 0, (w - 1, h - 1)).astype(np.int32)]
        cv2.polylines(canvas, near, closed, [0], 1)
    away = cv2.distanceTransform(canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= (width - 1) / 2


def _sides(h: int, w: int) -> str:
    return f"{w} × {h}"
