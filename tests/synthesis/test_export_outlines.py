import cv2
import numpy as np
import pytest
from made import shapes
from pycocotools import mask as runs

from blemish.synthesis.export.outlines import connected_pieces, outlines, polygon

MASKS = shapes() | {
    f"{density:.2f} of {h} × {w}": np.random.default_rng(k).random((h, w)) < density
    for k, (density, h, w) in enumerate(
        (density, *size)
        for density in (0.05, 0.3, 0.5, 0.7, 0.95)
        for size in ((1, 1), (1, 9), (9, 1), (6, 7), (24, 31))
    )
}


def filled(loops: list[np.ndarray], h: int, w: int) -> np.ndarray:
    """Pixels whose centre lies inside by the even-odd rule, from the vertical edges alone."""
    crossings = np.zeros((h, w + 1), int)
    for loop in loops:
        for (x, y), (next_x, next_y) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            if x == next_x:
                crossings[min(y, next_y) : max(y, next_y), x] += 1
    return crossings.cumsum(axis=1)[:, :w] % 2 == 1


def area(corners: np.ndarray) -> float:
    """Signed, by the shoelace formula."""
    x, y = corners.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


@pytest.mark.parametrize("name", MASKS)
def test_pieces_share_a_mask_among_them(name: str) -> None:
    mask = MASKS[name]
    found = [*connected_pieces(mask)]
    assert np.array_equal(sum(found, np.zeros(mask.shape, int)), mask)
    assert all(cv2.connectedComponents(p.astype(np.uint8), connectivity=8)[0] == 2 for p in found)
    near = [cv2.dilate(piece.astype(np.uint8), np.ones((3, 3))) for piece in found]
    assert all(not (a & b).any() for k, a in enumerate(near) for b in found[:k])


@pytest.mark.parametrize("name", MASKS)
def test_outlines_enclose_a_piece_and_its_holes(name: str) -> None:
    for piece in connected_pieces(MASKS[name]):
        outer, *holes = outlines(piece)
        assert area(outer) > 0
        assert all(area(hole) < 0 for hole in holes)
        assert area(outer) + sum(map(area, holes)) == piece.sum()
        assert np.array_equal(filled([outer, *holes], *piece.shape), piece)
        around = np.pad(~piece, 1).astype(np.uint8)
        around[[0, -1]] = around[:, [0, -1]] = 1
        assert len(holes) == cv2.connectedComponents(around, connectivity=4)[0] - 2


@pytest.mark.parametrize("name", MASKS)
def test_a_polygon_gives_its_piece_back(name: str) -> None:
    for piece in connected_pieces(MASKS[name]):
        corners = polygon(piece)
        assert abs(area(corners)) == piece.sum(), "seams enclose nothing"
        y, x = np.nonzero(piece)
        assert corners.min(axis=0).tolist() == [x.min(), y.min()]
        assert corners.max(axis=0).tolist() == [x.max() + 1, y.max() + 1]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools
@pytest.mark.parametrize("name", MASKS)
def test_another_reader_finds_the_piece_in_the_polygon(name: str) -> None:
    for piece in connected_pieces(MASKS[name]):
        h, w = piece.shape
        flat = polygon(piece).astype(float).ravel().tolist()
        read = runs.decode(runs.merge(runs.frPyObjects([flat], h, w))).astype(bool)
        assert np.array_equal(read, piece)


@pytest.mark.parametrize("name", MASKS)
def test_corners_are_corners(name: str) -> None:
    for piece in connected_pieces(MASKS[name]):
        for corners in outlines(piece):
            steps = np.roll(corners, -1, axis=0) - corners
            assert ((steps != 0).sum(axis=1) == 1).all(), "along a row or a column"
            assert ((steps != 0) != (np.roll(steps, 1, axis=0) != 0)).all(), "by turns"


@pytest.mark.parametrize("h, w", [(1, 1), (1, 5), (3, 1), (4, 6)])
@pytest.mark.parametrize("top, left", [(0, 0), (2, 3)])
def test_a_rectangle_has_four_corners(h: int, w: int, top: int, left: int) -> None:
    mask = np.zeros((7, 10), bool)
    mask[top : top + h, left : left + w] = True
    (piece,) = connected_pieces(mask)
    (loop,) = outlines(piece)
    y, x = top + h, left + w
    assert {*map(tuple, loop.tolist())} == {(left, top), (x, top), (x, y), (left, y)}


def test_two_pixels_that_touch_at_a_corner_are_one_piece() -> None:
    for mask in (np.eye(2, dtype=bool), ~np.eye(2, dtype=bool)):
        (piece,) = connected_pieces(mask)
        (loop,) = outlines(piece)
        assert loop.shape == (8, 2)


def test_an_empty_mask_has_no_piece() -> None:
    assert not [*connected_pieces(np.zeros((3, 3), bool))]
