from pathlib import Path

import numpy as np
import pytest

from blemish.data.importing.areas import (
    PolygonArea,
    Runs,
    Stroke,
    corners,
    ellipse,
    runs_of,
)
from blemish.data.importing.names import plain_names
from blemish.errors import DataError
from blemish.synthesis.export.outlines import connected_pieces, polygon

H, W = 30, 40


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_exported_polygons_give_back_their_mask(seed: int, share: float) -> None:
    mask = np.random.default_rng(seed).random((H, W)) < share
    loops = tuple(polygon(piece).astype(float) for piece in connected_pieces(mask))
    assert np.array_equal(PolygonArea(loops).drawn(H, W), mask)


@pytest.mark.parametrize("seed", range(10))
def test_a_polygon_marks_the_pixels_whose_centres_it_holds(seed: int) -> None:
    a, b, c = np.random.default_rng(seed).uniform(0, 30, (3, 2))
    y, x = np.mgrid[:H, :W] + 0.5
    sides = [
        (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) for p, q in ((a, b), (b, c), (c, a))
    ]
    inside = np.all([s > 0 for s in sides], axis=0) | np.all([s < 0 for s in sides], axis=0)
    drawn = PolygonArea((np.stack([a, b, c]),)).drawn(H, W)
    assert np.array_equal(drawn, inside)


@pytest.mark.parametrize("at", [(3.0, 3.0), (0.0, 0.0), (39.9, 29.9), (40.0, 30.0)])
def test_a_polygon_without_a_centre_marks_its_outline(at: tuple[float, float]) -> None:
    thin = np.array([at, at, at])
    assert PolygonArea((thin,)).drawn(H, W).sum() == 1


@pytest.mark.parametrize("points", [[[45, 3], [60, 3], [60, 9]], [[1, 1], [5, 1], [5, 99999]]])
def test_a_point_far_outside_is_refused(points: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="outside the picture of 40 × 30"):
        PolygonArea((np.array(points, float),)).drawn(H, W)


@pytest.mark.parametrize("width", [1, 3, 5, 9])
def test_a_stroke_is_as_wide_as_it_should_be(width: int) -> None:
    drawn = Stroke(np.array([[2.5, 15.5], [37.5, 15.5]]), width).drawn(H, W)
    assert drawn[:, 20].sum() == width
    assert np.array_equal(drawn, drawn[:, ::-1])


def test_a_turned_rectangle_keeps_its_middle_and_area() -> None:
    plain, turned = corners(10, 10, 12, 6), corners(10, 10, 12, 6, 90)
    assert np.allclose(plain.mean(axis=0), turned.mean(axis=0))
    assert PolygonArea((plain,)).drawn(H, W).sum() == PolygonArea((turned,)).drawn(H, W).sum() == 72


def test_a_turn_is_clockwise_as_seen() -> None:
    right = corners(10, 10, 12, 6)[1] - [16, 13]
    down = corners(10, 10, 12, 6, 90)[1] - [16, 13]
    assert np.allclose(down, [-right[1], right[0]])


def test_an_ellipse_may_reach_over_the_edge() -> None:
    assert ellipse(0, 15, 30, 5).drawn(H, W)[15, :29].all()


@pytest.mark.parametrize("shape", [(0.0, 1.0), (1.0, -1.0)])
def test_an_empty_shape_is_refused(shape: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="empty"):
        corners(0, 0, *shape)
    with pytest.raises(ValueError, match="empty"):
        ellipse(0, 0, *shape)


@pytest.mark.parametrize("share", [0, 0.3, 1])
def test_runs_give_back_their_mask(share: float) -> None:
    mask = np.random.default_rng(0).random((5, 7)) < share
    drawn = runs_of(mask, 30, 20).drawn(H, W)
    assert np.array_equal(drawn[20:25, 30:37], mask)
    assert drawn.sum() == mask.sum()


@pytest.mark.parametrize("corner", [(-1, 0), (0, -1), (34, 0), (0, 26)])
def test_runs_must_lie_in_the_picture(corner: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        Runs(np.array([0, 35]), (5, 7), corner).drawn(H, W)


@pytest.mark.parametrize(
    "names, plain",
    [
        (["a/1.png", "b/2.png"], ["1", "2"]),
        (["a/1.png", "b/1.png"], ["a_1", "b_1"]),
        (["1.png", "1.jpg"], ["1", "1_2"]),
        (["1.png", "1.jpg", "1_2.png"], ["1", "1_3", "1_2"]),
        (["a/X.png", "b/x.png", "c/a_x.png"], ["a_X_2", "b_x", "a_x"]),
    ],
)
def test_names_are_plain_and_distinct(names: list[str], plain: list[str]) -> None:
    assert plain_names(names) == plain


def test_a_name_that_is_no_file_name_is_refused() -> None:
    with pytest.raises(DataError, match="photograph"):
        plain_names([str(Path("a", "con.png"))])
