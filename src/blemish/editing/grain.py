"""Grain of a photograph, continued into a hole that a generator of fewer pixels has drawn.

A generator draws nothing finer than its own pixels. What is finer in the photograph is copied into
each piece of the hole from a place nearby whose coarse colours are nearest to those of the drawing.
"""

from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Float32, Int, UInt8

REACH = 3  # places are searched so many sizes of a piece away
STEPS = 8  # in each direction, along each axis
COMPARED = 2000  # pixels of a piece whose colours are compared

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Places = Int[np.ndarray, " p"]


def grained(drawn: Picture, known: Picture, hole: Mask, scale: float) -> Picture:
    """A drawing with the grain of the photograph in its hole.

    Args:
        drawn: The drawing, enlarged to the photograph.
        known: The photograph, with the hole erased.
        hole: The hole.
        scale: Pixels of the photograph along one of the generator's; nothing changes up to 1.
    """
    if scale <= 1:
        return drawn
    coarse = cv2.GaussianBlur(known, (0, 0), scale / 2).astype(np.float32)
    fine, found = known - coarse, drawn.astype(np.float32)
    for rows, columns in _pieces(hole):
        place = _place(found[rows, columns], coarse, rows, columns, hole)
        if place is not None:
            found[rows, columns] += fine[rows + place[0], columns + place[1]]
    return np.rint(found).clip(0, 255).astype(np.uint8)


def _pieces(hole: Mask) -> Iterator[tuple[Places, Places]]:
    """Rows and columns of the pixels of each connected piece."""
    _, labels = cv2.connectedComponents(hole.astype(np.uint8))
    rows, columns = np.nonzero(hole)
    order = np.argsort(labels[hole], kind="stable")
    ends = np.cumsum(np.bincount(labels[hole])[1:])[:-1]
    yield from zip(*(np.split(x[order], ends) for x in (rows, columns)), strict=True)


def _place(
    drawn: Float32[np.ndarray, "p 3"],
    coarse: Float32[np.ndarray, "h w 3"],
    rows: Places,
    columns: Places,
    hole: Mask,
) -> tuple[int, int] | None:
    """Offset to the place with the nearest colours; None if no place is free of the hole."""
    every = slice(None, None, max(1, len(rows) // COMPARED))
    best, found = np.inf, None
    for down, right in _offsets(rows, columns, hole.shape):
        if not hole[rows + down, columns + right].any():
            there = coarse[rows[every] + down, columns[every] + right]
            far = float(np.abs(there - drawn[every]).mean())
            if far < best:
                best, found = far, (down, right)
    return found


def _offsets(rows: Places, columns: Places, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Offsets on a grid around a piece that keep it within the picture."""
    steps = [_steps(places, side) for places, side in zip((rows, columns), shape, strict=True)]
    for down in steps[0]:
        for right in steps[1]:
            yield down, right


def _steps(places: Places, side: int) -> list[int]:
    size = int(np.ptp(places)) + 1
    far = np.linspace(-REACH * size, REACH * size, 2 * STEPS + 1).round().astype(int)
    return [int(step) for step in far if places.min() + step >= 0 and places.max() + step < side]
