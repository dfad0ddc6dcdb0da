"""Place and size of a mask on a part.

The mask's centre is distributed uniformly over the allowed region, by the conditional quantiles of
Rosenblatt (1952): its row is the u-quantile of the region's rows weighted by their length, its
place in that row the v-quantile of the row. The same (u, v) give the same place at twice the
resolution, which rejection sampling would not. The scale is then found by bisection on the area.
"""

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from blemish.errors import DataError
from blemish.names import OffPart, RegionRule
from blemish.synthesis.composite import within_reach
from blemish.synthesis.masks.shapes import Point, Shape
from blemish.synthesis.options import Where

Draw = Callable[..., Bool[np.ndarray, "h w"]]

DEEP, SHALLOW = 0.5, 0.25
CLOSE = 0.01
ENOUGH_KEPT = 0.7  # of a mask that is cut off
DOUBLINGS, HALVINGS = 6, 14


def point_on(region: Bool[np.ndarray, "h w"], u: float, v: float) -> Point:
    """Point in the region for u and v in [0, 1)."""
    y = _quantile(region.sum(axis=1), u)
    return _quantile(region[int(y)].astype(int), v), y


def _quantile(weights: Int[np.ndarray, " n"], share: float) -> float:
    """Fractional index below which the given fraction, in [0, 1), of all weights lies."""
    cumulative = np.cumsum(weights) / weights.sum()
    step = int(np.searchsorted(cumulative, share, side="right"))
    within = 1 - (cumulative[step] - share) * weights.sum() / weights[step]
    return step + float(np.clip(within, 0, 0.999))


def cut_to(
    allowed: Bool[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
    off_part: OffPart | None,
    *,
    where: str = "on the part",
    name: str = "a mask",
) -> Bool[np.ndarray, "h w"]:
    """Cut a mask off where it may not be.

    Args:
        allowed: Pixels where it may be: the part, or a region.
        mask: Mask of the new defect.
        off_part: "refuse" refuses a mask that leaves these by more than `composite.reach_px`; less
            is uncertain and is cut off.
        where: Name of that place, for the message.
        name: Name of the mask, for the message.

    Raises:
        DataError: Nothing of the mask is left, or some is outside and that is refused.
    """
    left = mask & allowed
    strays = off_part == "refuse" and (mask & ~within_reach(allowed)).any()
    if strays or not left.any():
        raise DataError(
            got=f"{name} with {left.sum() / max(1, mask.sum()):.0%} of its area {where}",
            expected=f"{'all' if strays else 'at least some'} of it {where}",
            todo="Move it there" + (", or have it clipped." if left.any() else "."),
        )
    return left


def inside_box(part: Bool[np.ndarray, "h w"], where: Where) -> Bool[np.ndarray, "h w"]:
    """The part, or its intersection with a box if one is given."""
    if isinstance(where, str):
        return part
    (h, w), (x, y, width, height) = part.shape, where
    rows = slice(round(y * h), round((y + height) * h))
    columns = slice(round(x * w), round((x + width) * w))
    inside = np.zeros_like(part)
    inside[rows, columns] = part[rows, columns]
    return inside


def candidates_of(
    shape: Shape,
    room: Bool[np.ndarray, "h w"],
    where: Where,
    shares: Float[np.ndarray, "n 3"],
    anchors: Sequence[Point] = (),
) -> list[Draw]:
    """The shape at candidate places and rotations, without canvas and scale.

    The first is at the sampled place and the last at the deepest point of the room, where a shape
    that is too long for most places fits best; those between move towards it step by step.

    Args:
        shape: Shape to draw.
        room: Allowed pixels.
        where: Allowed place of its centre.
        shares: Two numbers for the place and one for the rotation, in [0, 1) each.
        anchors: Points of which each candidate takes one instead, in pixels.
    """
    if anchors:
        places = [anchors[int(u * len(anchors))] for u, _, _ in shares]
        return [
            partial(shape.draw, middle=place, turn=2 * np.pi * turn)
            for place, (_, _, turn) in zip(places, shares, strict=True)
        ]
    depth = _depth(room)
    region = _region(room, depth, where)
    y, x = np.unravel_index(depth.argmax(), depth.shape)
    moves = np.linspace(0, 1, len(shares)) ** 2
    return [
        partial(
            shape.draw,
            middle=_between(point_on(region, u, v), (x + 0.5, y + 0.5), move),
            turn=2 * np.pi * turn,
        )
        for (u, v, turn), move in zip(shares, moves, strict=True)
    ]


def ruled(part: Bool[np.ndarray, "h w"], rule: RegionRule) -> Bool[np.ndarray, "h w"]:
    """Pixels deep inside a part, or near its outline."""
    return _region(part, _depth(part), rule)


def _depth(room: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Depth below the outline; the photograph's edge is one."""
    padded = np.pad(room, 1).astype(np.uint8)
    return cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]


def _region(
    room: Bool[np.ndarray, "h w"], depth: Float[np.ndarray, "h w"], where: Where
) -> Bool[np.ndarray, "h w"]:
    """Allowed region of the centre."""
    if where == "centre":
        return depth >= DEEP * depth.max()
    if where == "edge":
        return room & (depth <= max(1, SHALLOW * depth.max()))
    return room


def _between(start: Point, end: Point, share: float) -> Point:
    x, y = ((1 - share) * a + share * b for a, b in zip(start, end, strict=True))
    return float(x), float(y)


def share_kept(draw: Draw, room: Bool[np.ndarray, "h w"], scale: float) -> float:
    """Fraction of a drawing that remains inside this room."""
    whole = draw(np.ones_like(room), scale=scale)
    return (whole & room).sum() / max(1, whole.sum())


def sized(draw: Draw, target: float, guess: float) -> Bool[np.ndarray, "h w"]:
    """Drawing with the area closest to the target, among those of a bisection."""
    low, high = guess / 4, guess
    for _ in range(DOUBLINGS):
        if draw(scale=high).sum() >= target:
            break
        low, high = high, 2 * high
    best = draw(scale=high)
    for _ in range(HALVINGS):
        middle = (low * high) ** 0.5
        mask = draw(scale=middle)
        low, high = (low, middle) if mask.sum() >= target else (middle, high)
        best = min(best, mask, key=lambda m: abs(m.sum() - target))
        if abs(best.sum() - target) < CLOSE * target:
            break
    return best
