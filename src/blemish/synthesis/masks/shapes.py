r"""Shapes without a size, from which masks are drawn at any resolution.

A shape is a union of discs. It is stored on its own grid as two fields: the distance γ to the
nearest disc's rim, negative inside, and the distance δ to its centre. Drawn s times as large it is

    { x : s γ(x / s) <= 0  or  s δ(x / s) <= 1/√2 }.

The bound is half a pixel's diagonal: the pixel nearest to a centre is always on, so that a scratch
thinner than a pixel becomes a line instead of falling to pieces.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from blemish.data.masks import components

SIDE = 256
MARGIN = 0.1
HALF_DIAGONAL = 0.5**0.5
GOLDEN_ANGLE = np.pi * (3 - 5**0.5)
OFF_GRID = 1e6
STEEPEST = 0.9

Point = tuple[float, float]  # x and y, in pixels from the upper left corner


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Union of discs, on a grid with an arbitrary unit.

    Attributes:
        fields: Distance to the nearest disc's rim, negative inside, and distance to its centre.
        in_one_piece: Keep only the largest piece of a drawing that is cut apart.
    """

    fields: Float32[np.ndarray, "rows columns 2"]
    in_one_piece: bool = False

    @property
    def area(self) -> int:
        """Area in squares of its own grid."""
        return int((self.fields[..., 0] <= 0).sum())

    def draw(
        self, room: Bool[np.ndarray, "h w"], *, middle: Point, turn: float, scale: float
    ) -> Bool[np.ndarray, "h w"]:
        """Draw the shape on a canvas, cut off outside the room.

        Args:
            room: Canvas, true where drawing is allowed.
            middle: Point on the canvas for the centre of the grid.
            turn: Rotation in radians, clockwise as displayed.
            scale: Pixels per unit of the grid.
        """
        window = self._window(room.shape, middle, scale)
        near = middle[0] - window[1].start, middle[1] - window[0].start
        fields = scale * cv2.warpAffine(
            self.fields,
            self._inverse(near, turn, scale),
            room[window].shape[::-1],
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderValue=(OFF_GRID, OFF_GRID),
        )
        drawn = (fields[..., 0] <= 0) | (fields[..., 1] <= HALF_DIAGONAL)
        canvas = np.zeros_like(room)
        canvas[window] = self._kept(drawn & room[window])
        return canvas

    def _kept(self, drawn: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
        return max(components(drawn, least=1), key=np.sum) if self.in_one_piece else drawn

    def _window(self, room: tuple[int, ...], middle: Point, scale: float) -> tuple[slice, ...]:
        """Window of the canvas, so that a small shape on a large photograph is cheap."""
        reach = scale * np.hypot(*self.fields.shape[:2]) / 2 + 1
        return tuple(
            slice(int(max(0, at - reach)), int(min(side, at + reach + 1)))
            for at, side in zip(middle[::-1], room, strict=True)
        )

    def _inverse(self, middle: Point, turn: float, scale: float) -> Float[np.ndarray, "2 3"]:
        """Transform from canvas pixels to grid pixels; a pixel's centre is half a step in."""
        rows, columns = self.fields.shape[:2]
        cos, sin = np.cos(turn) / scale, np.sin(turn) / scale
        linear = np.array([[cos, sin], [-sin, cos]])
        shift = linear @ (0.5 - np.array(middle)) + np.array([columns, rows]) / 2 - 0.5
        return np.column_stack([linear, shift])


def shape_of_discs(points: Float[np.ndarray, "n 2"], radii: Float[np.ndarray, " n"]) -> Shape:
    """Shape of discs around points (x, y), which should be far apart or have similar radii."""
    from scipy.spatial import KDTree  # slow to import

    low, high = (points - radii[:, None]).min(axis=0), (points + radii[:, None]).max(axis=0)
    margin = 1 + MARGIN * (high - low).max()
    columns, rows = np.ceil(high - low + 2 * margin).astype(int)
    x, y = np.meshgrid(np.arange(columns) + 0.5, np.arange(rows) + 0.5)
    distance, nearest = KDTree(points - low + margin).query(np.dstack([x, y]))
    return Shape(fields=np.dstack([distance - radii[nearest], distance]).astype(np.float32))


def shape_of_mask(mask: Bool[np.ndarray, "h w"]) -> Shape:
    """Shape of a non-empty mask: the union of its largest inscribed discs."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    tight = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    wide = np.pad(tight, 2 + round(MARGIN * max(tight.shape)))
    depth = _distance_to(~wide)
    # Off the ridge the depth grows by nearly a pixel to one neighbour; along it, hardly.
    ridge = wide & (depth > cv2.dilate(depth, np.ones((3, 3))) - 0.6)
    rim = np.where(wide, 0.5 - depth, _distance_to(wide) - 0.5)
    return Shape(fields=np.dstack([rim, _distance_to(ridge)]).astype(np.float32))


def _distance_to(mask: Bool[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def scratch(rng: np.random.Generator) -> Shape:
    """Thin wandering stroke that tapers towards both ends."""
    time = np.linspace(0, 1, SIDE)
    waves = np.arange(1, 6)
    swings = rng.normal(0, 0.5, 5) / waves
    wandering = np.sin(np.pi * np.outer(time, waves) + rng.uniform(0, 2 * np.pi, 5)) @ swings
    heading = STEEPEST * np.tanh(wandering / STEEPEST)
    path = np.cumsum(np.stack([np.cos(heading), np.sin(heading)], axis=1), axis=0)
    lean, fullness = rng.uniform(0.6, 1.7), rng.uniform(0.4, 0.9)
    taper = np.sin(np.pi * time**lean) ** fullness
    widest = SIDE / rng.uniform(30, 80)
    stroke = shape_of_discs(path, widest * np.clip(taper, 0.15, None))
    return replace(stroke, in_one_piece=True)


def blob(rng: np.random.Generator) -> Shape:
    """Ragged patch in one piece: log r(φ) is a sum of waves with amplitudes falling as 1/k."""
    angle = np.linspace(0, 2 * np.pi, 2 * SIDE, endpoint=False)
    waves = np.arange(2, 25)
    swings = rng.normal(0, 0.35, waves.size) / waves
    log_radius = np.cos(np.outer(angle, waves) + rng.uniform(0, 2 * np.pi, waves.size)) @ swings
    radius = SIDE / 2 * np.exp(log_radius - log_radius.max())
    outline = SIDE / 2 + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    canvas = np.zeros((SIDE + 1, SIDE + 1), np.uint8)
    cv2.fillPoly(canvas, [np.round(outline).astype(np.int32)], 1)
    return replace(shape_of_mask(canvas.astype(bool)), in_one_piece=True)


def spots(rng: np.random.Generator) -> Shape:
    """Four to nine specks close together, on a spiral that keeps them apart (Vogel, 1979)."""
    count = rng.integers(4, 10)
    turn = GOLDEN_ANGLE * np.arange(count)
    spiral = np.sqrt(np.arange(count) + 0.5)[:, None] * np.stack([np.cos(turn), np.sin(turn)], 1)
    centres = spiral + rng.uniform(-0.25, 0.25, (count, 2))
    stretched = centres * np.array([rng.uniform(1, 2), 1])
    spacing = SIDE / 8
    return shape_of_discs(spacing * stretched, spacing * rng.uniform(0.15, 0.5, count))
