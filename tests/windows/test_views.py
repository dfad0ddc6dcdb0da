"""Views: what a window shows of a photograph, and how masks are laid on parts."""

import cv2
import numpy as np
import pytest

from blemish.windows.placing import ON_PART, place
from blemish.windows.sources import Piece, SourcePhotograph
from blemish.windows.views import (
    LARGE,
    SMALL,
    chained,
    cut_mask,
    cut_picture,
    inverted,
    rotation,
    turned_view,
    upright_view,
    usual_zoom,
    window_side,
)


def part(seed: int, *, side: int = 200, hole: bool = False) -> SourcePhotograph:
    """A brown ellipse on yellow, with a dark dot that counts as a defect."""
    rng = np.random.default_rng(seed)
    picture = np.full((side, side, 3), (230, 210, 40), np.uint8)
    axes = (int(rng.integers(50, 60)), int(rng.integers(65, 80)))
    angle = float(rng.uniform(0, 180))
    cv2.ellipse(picture, (side // 2, side // 2), axes, angle, 0, 360, (120, 80, 50), -1)
    mask = np.zeros((side, side), np.uint8)
    if hole:
        cv2.circle(mask, (side // 2 + 20, side // 2 - 10), 9, 1, -1)
        picture[mask > 0] = (20, 20, 20)
    return SourcePhotograph(picture, mask > 0)


def test_upright_view_at_zoom_one_copies_pixels() -> None:
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (300, 280, 3), np.uint8)
    source = SourcePhotograph(picture, np.zeros((300, 280), bool))
    view = upright_view(np.array([150.3, 140.8]), SMALL, 1.0)
    left, top = (round(float(v)) for v in view.matrix[:, 2])
    cut = cut_picture(source, view)
    np.testing.assert_array_equal(cut, picture[top : top + SMALL, left : left + SMALL])


@pytest.mark.parametrize("seed", range(6))
def test_turned_view_keeps_the_middle_in_the_middle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle, zoom = np.array([100.0, 90.0]), float(rng.uniform(1, 2.5))
    view = turned_view(middle, SMALL, zoom, rng)
    there = view.matrix[:, :2] @ np.full(2, (SMALL - 1) / 2) + view.matrix[:, 2]
    assert np.abs(there - middle).max() <= 0.5
    assert abs(np.linalg.det(view.matrix[:, :2])) == pytest.approx(view.zoom**2)


def test_shrunk_view_averages_what_it_skips() -> None:
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[::2] = 255
    view = upright_view(np.array([255.5, 255.5]), SMALL, 4.0)
    cut = cut_picture(SourcePhotograph(stripes, np.zeros((512, 512), bool)), view)
    assert np.abs(cut[8:-8, 8:-8].astype(int) - 127).max() <= 2


def test_affine_maps_chain_and_invert() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (2, 2, 3))
    points = rng.normal(0, 1, (2, 5))
    apply = lambda m, p: m[:, :2] @ p + m[:, 2:]  # noqa: E731
    np.testing.assert_allclose(
        apply(chained(first, second), points), apply(second, apply(first, points))
    )
    np.testing.assert_allclose(apply(inverted(first), apply(first, points)), points)


@pytest.mark.parametrize(
    ("defect", "side"), [(10, SMALL), (100, SMALL), (101, LARGE), (400, LARGE)]
)
def test_view_holds_its_defect(defect: int, side: int) -> None:
    assert window_side(defect) == side
    zoom = usual_zoom(defect, 512)
    assert zoom >= 1
    assert min(defect, 512) <= zoom * side


def test_masks_fall_on_the_part_and_differ() -> None:
    piece_source, good = part(1, hole=True), part(2)
    piece = Piece(piece_source, piece_source.mask, 0)
    eye = np.eye(2, 3)
    shares, masks = [], []
    for seed in range(12):
        placement = place(good, piece, np.random.default_rng(seed))
        mask = placement.cut(eye, 200)
        masks.append(mask)
        shares.append((mask & good.part).sum() / mask.sum())
        assert np.abs(placement.middle - np.argwhere(mask).mean(axis=0)[::-1]).max() < 3
    assert min(shares) >= ON_PART
    assert (np.mean(masks, axis=0) < 0.6).all()


def ring(turn: float, *, width: float = 1) -> SourcePhotograph:
    """A part whose outline is round, or an ellipse, with a chip at the end of an axis."""
    picture, chip = np.full((200, 200, 3), 230, np.uint8), np.zeros((200, 200), np.uint8)
    cv2.ellipse(picture, (100, 100), (70, int(70 * width)), turn, 0, 360, (90, 90, 90), -1)
    end = 100 + 60 * np.array([np.cos(np.radians(turn)), np.sin(np.radians(turn))])
    cv2.circle(chip, (round(end[0]), round(end[1])), 8, 1, -1)
    return SourcePhotograph(picture, chip > 0)


@pytest.mark.parametrize("width", [1, 0.6])
def test_a_mask_on_the_rim_stays_on_it(width: float) -> None:
    source, good = ring(10, width=width), ring(75, width=width)
    piece, inside = Piece(source, source.mask, 0), []
    for seed in range(8):
        mask = place(good, piece, np.random.default_rng(seed)).cut(np.eye(2, 3), 200)
        depth = cv2.distanceTransform(good.part.astype(np.uint8), cv2.DIST_L2, 5)
        inside.append(float(depth[mask].max()))
    assert max(inside) < 30  # pixels below the outline; the chip reaches 18


class Still(np.random.Generator):
    """Random numbers in the middle of their range, and no turn."""

    mirror = 1.0

    def uniform(self, low: float, high: float) -> float:  # type: ignore[override]
        return 0.0 if low == 0 else (low + high) / 2

    def choice(self, _: object) -> float:  # type: ignore[override]
        return self.mirror


@pytest.mark.parametrize("mirror", [-1.0, 1.0])
def test_place_and_shape_turn_with_the_part(mirror: float) -> None:
    source, good = ring(10, width=0.6), ring(75, width=0.6)
    still = Still(np.random.PCG64(0))
    still.mirror = mirror
    mask = place(good, Piece(source, source.mask, 0), still).cut(np.eye(2, 3), 200)
    y, x = np.argwhere(mask).mean(axis=0) - 100
    along, across = rotation(np.radians(-75)) @ (x, y)
    assert abs(across) < 3 and abs(along) == pytest.approx(60, abs=3)


def test_defect_that_is_the_part_takes_the_other_parts_outline() -> None:
    broken = part(3)
    piece = Piece(broken, broken.part, 0)
    assert piece.whole
    good = part(4)
    mask = place(good, piece, np.random.default_rng(0)).cut(np.eye(2, 3), 200)
    assert (mask & good.part).sum() >= 0.99 * good.part.sum()
    assert mask.sum() < 1.4 * good.part.sum()


def test_mask_through_a_view_keeps_its_area() -> None:
    source = part(5, hole=True)
    view = turned_view(np.array([110.0, 95.0]), SMALL, 1.3, np.random.default_rng(1))
    area = cut_mask(source.mask, view.matrix, view.side).sum() * 1.3**2
    assert area == pytest.approx(source.mask.sum(), rel=0.1)
