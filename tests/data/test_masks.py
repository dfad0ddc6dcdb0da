from collections.abc import Callable

import cv2
import numpy as np
import pytest

from blemish.data.masks import (
    components,
    draw_blob,
    draw_stroke,
    silhouette,
)

Draw = Callable[[int, np.random.Generator], np.ndarray]
GROUND, PART = (200, 195, 190), (90, 60, 40)


def ellipse(
    height: int = 64, width: int = 64, angle: float = 20, *, scale: float = 1
) -> np.ndarray:
    axes = round(scale * width * 0.35), round(scale * height * 0.22)
    canvas = np.zeros((height, width), np.uint8)
    cv2.ellipse(canvas, (width // 2, height // 2), axes, angle, 0, 360, 1, cv2.FILLED)
    return canvas.astype(bool)


def paint(part: np.ndarray, *, noise: float = 0) -> np.ndarray:
    picture = np.where(part[:, :, None], PART, GROUND).astype(float)
    picture += np.random.default_rng(0).normal(0, 1, picture.shape) * noise
    return picture.clip(0, 255).astype(np.uint8)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


@pytest.mark.parametrize("noise", [0, 6])
@pytest.mark.parametrize("angle", [0, 20, 75])
@pytest.mark.parametrize("height, width", [(64, 64), (48, 96), (200, 160)])
def test_a_part_on_a_plain_ground_is_found(
    height: int, width: int, angle: float, noise: float
) -> None:
    part = ellipse(height, width, angle)
    assert iou(silhouette(paint(part, noise=noise)), part) > 0.97


def test_what_is_painted_on_a_part_is_part_of_it() -> None:
    part = ellipse()
    picture = paint(part)
    picture[28:36, 28:36] = GROUND  # a hole, of the ground's own colour
    picture[30:33, 40:44] = (250, 250, 0)
    assert iou(silhouette(picture), part) > 0.97


def test_the_largest_piece_is_the_part() -> None:
    part = ellipse()
    picture = paint(part)
    picture[3:7, 3:7] = PART
    assert iou(silhouette(picture), part) > 0.97


def test_a_faint_shadow_is_ground() -> None:
    part = ellipse()
    shadow = np.roll(part, (4, 4), axis=(0, 1)) & ~part
    picture = paint(part)
    picture[shadow] = (170, 165, 160)
    assert iou(silhouette(picture), part) > 0.95


@pytest.mark.parametrize("picture", [np.full((32, 32, 3), 90), np.zeros((32, 32, 3))])
def test_where_nothing_stands_out_all_is_part(picture: np.ndarray) -> None:
    assert silhouette(picture.astype(np.uint8)).all()


def test_a_texture_that_fills_the_picture_gives_a_mask_all_the_same() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8)
    found = silhouette(noise)
    assert found.shape == (32, 32) and found.any()


def squares(*places: tuple[int, int, int]) -> np.ndarray:
    mask = np.zeros((20, 20), bool)
    for row, column, side in places:
        mask[row : row + side, column : column + side] = True
    return mask


def test_pieces_add_up_to_the_mask_and_do_not_overlap() -> None:
    mask = squares((1, 1, 4), (10, 3, 5), (2, 12, 3))
    pieces = components(mask, least=1)
    assert len(pieces) == 3
    assert (np.sum(pieces, axis=0) == mask).all()


def test_small_pieces_are_left_out() -> None:
    pieces = components(squares((1, 1, 4), (10, 3, 2)), least=5)
    assert [piece.sum() for piece in pieces] == [16]


@pytest.mark.parametrize("mask", [squares(), squares((1, 1, 2), (10, 3, 2))])
def test_without_a_large_piece_the_mask_is_one(mask: np.ndarray) -> None:
    (piece,) = components(mask, least=5)
    assert (piece == mask).all()


def test_corners_that_touch_hold_a_piece_together() -> None:
    assert len(components(squares((2, 2, 3), (5, 5, 3)), least=1)) == 1


@pytest.mark.parametrize("draw", [draw_stroke, draw_blob])
@pytest.mark.parametrize("side", [16, 64, 256])
def test_what_is_drawn_is_a_small_mask(draw: Draw, side: int) -> None:
    drawn = [draw(side, np.random.default_rng(seed)) for seed in range(20)]
    assert all(mask.shape == (side, side) and mask.dtype == bool for mask in drawn)
    shares = [mask.mean() for mask in drawn]
    assert np.median(shares) > 0.002 and max(shares) < 0.25
    assert sum(mask.any() for mask in drawn) >= 19


@pytest.mark.parametrize("draw", [draw_stroke, draw_blob])
def test_what_is_drawn_is_what_its_generator_says(draw: Draw) -> None:
    first, again, other = (draw(64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


@pytest.mark.parametrize("seed", range(10))
def test_a_stroke_is_in_one_piece_and_thin(seed: int) -> None:
    stroke = draw_stroke(128, np.random.default_rng(seed))
    assert len(components(stroke, least=1)) == 1
    depth = cv2.distanceTransform(stroke.astype(np.uint8), cv2.DIST_C, 3)
    assert depth.max() < 128 * 0.07


@pytest.mark.parametrize("draw", [draw_stroke, draw_blob])
def test_drawings_grow_with_the_side(draw: Draw) -> None:
    shares = [
        np.mean([draw(side, np.random.default_rng(seed)).mean() for seed in range(30)])
        for side in (64, 128, 256)
    ]
    assert max(shares) < 1.5 * min(shares)
