"""Outlines of a mask along the edges of its pixels.

A piece is connected by sides or corners. Its outline runs through the corners of pixels, 0 to w and
0 to h, with the piece on its right as y points down; each hole has its own loop. The inside by the
even-odd rule is exactly the piece, so boxes are exact as well. An outline through the centres of
pixels would lose half a pixel on each side, and a scratch one pixel wide completely.
"""

from collections import defaultdict
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import Bool, Int
from scipy.spatial import KDTree

Point = tuple[int, int]
Edges = dict[Point, set[Point]]  # directions in which edges leave a corner

# Direction along an edge, and its start on the pixel; the piece is on the right.
_EDGES: dict[Point, Point] = {(1, 0): (0, 0), (0, 1): (1, 0), (-1, 0): (1, 1), (0, -1): (0, 1)}


def connected_pieces(mask: Bool[np.ndarray, "h w"]) -> Iterator[Bool[np.ndarray, "h w"]]:
    """Connected pieces of a mask, from top to bottom."""
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    for label in range(1, count):
        yield labels == label


def outlines(piece: Bool[np.ndarray, "h w"]) -> list[Int[np.ndarray, "_ 2"]]:
    """Corners (x, y) of a piece's loops, the outer one first, then its holes."""
    edges = _edges(piece)
    # The first edge is the top of the topmost pixel, which belongs to no hole.
    return [_follow(edges, start) for start in [*edges] for _ in range(2) if edges[start]]


def polygon(piece: Bool[np.ndarray, "h w"]) -> Int[np.ndarray, "v 2"]:
    """Corners (x, y) of one loop around a piece, for formats without holes.

    Each hole is joined at its nearest point by a seam that runs there and back, so that the
    even-odd rule still gives the piece.
    """
    outer, *holes = outlines(piece)
    for hole in holes:
        outer = _joined(outer, hole)
    return outer


def _edges(piece: Bool[np.ndarray, "h w"]) -> Edges:
    """Edges between the piece and everything else."""
    h, w = piece.shape
    padded, edges = np.pad(piece, 1), defaultdict(set)
    for (along_x, along_y), (x, y) in _EDGES.items():
        left_x, left_y = along_y, -along_x
        beyond = padded[1 + left_y : 1 + left_y + h, 1 + left_x : 1 + left_x + w]
        for row, column in np.argwhere(piece & ~beyond).tolist():
            edges[column + x, row + y].add((along_x, along_y))
    return dict(edges)


def _follow(edges: Edges, start: Point) -> Int[np.ndarray, "_ 2"]:
    """Remove the loop that leaves `start` from `edges` and return it."""
    (x, y), step = start, min(edges[start])
    first, corners = (start, step), []
    while not corners or ((x, y), step) != first:
        edges[x, y].discard(step)
        x, y = x + step[0], y + step[1]
        last, step = step, _turn(edges[x, y] | ({first[1]} if (x, y) == start else set()), step)
        if step != last:
            corners.append((x, y))
    return np.array(corners)


def _turn(edges: set[Point], step: Point) -> Point:
    """Left where two pixels meet at a corner: they are one piece, and the loop stays whole."""
    x, y = step
    return next(turn for turn in ((y, -x), step, (-y, x)) if turn in edges)


def _joined(outer: Int[np.ndarray, "v 2"], hole: Int[np.ndarray, "u 2"]) -> Int[np.ndarray, "_ 2"]:
    gaps, nearest = (np.asarray(found) for found in KDTree(outer).query(hole))
    there = int(np.argmin(gaps))
    here = int(nearest[there])
    inner = np.roll(hole, -there, axis=0)
    return np.concatenate([outer[: here + 1], inner, inner[:1], outer[here:]])
