"""How real defects are laid under masks."""

import cv2
import numpy as np
import pytest

from blemish.synthesis.real.align import (
    SIDE,
    Outline,
    align,
    best_aligned,
    outline_of,
    overlap,
    scaled_move,
)

Y, X = np.mgrid[:256, :256]
PICTURE = (
    np.where(np.hypot(X - 120, Y - 132) < 110, 40, 250)[:, :, None].repeat(3, 2).astype("uint8")
)


def bar(
    angle: float, *, length: float = 60, width: float = 16, at: tuple = (128, 128)
) -> np.ndarray:
    along = np.cos(angle) * (X - at[0]) + np.sin(angle) * (Y - at[1])
    across = -np.sin(angle) * (X - at[0]) + np.cos(angle) * (Y - at[1])
    return (np.abs(along) < length) & (np.abs(across) < width)


def arc(start: float, length: float) -> np.ndarray:
    """A piece of a ring about the middle of the part."""
    far, angle = np.hypot(X - 120, Y - 132), np.arctan2(Y - 132, X - 120)
    return (far > 60) & (far < 90) & ((angle - start) % (2 * np.pi) < length)


def outline(mask: np.ndarray) -> Outline:
    return outline_of(PICTURE, mask)


@pytest.mark.parametrize("angle", [0, 0.5, 1.2, 2.9])
def test_a_bar_covers_a_bar(angle: float) -> None:
    source, target = outline(bar(0)), outline(bar(angle, at=(90, 170)))
    move, found = align(source, target)
    assert found > 0.85
    assert overlap(source, target, move) == pytest.approx(found)


@pytest.mark.parametrize(("start", "length"), [(0.3, 2.0), (2.2, 2.3), (-1.0, 1.7)])
def test_an_arc_stays_on_its_ring(start: float, length: float) -> None:
    """Its ellipse can't tell where on the ring it was; the middle of the part can."""
    source = outline(arc(0, 2.0))
    move, found = align(source, outline(arc(start, length)))
    assert found > 0.75
    middle = move[:, :2] @ source.middle + move[:, 2]
    assert np.abs(middle - source.middle).max() < 3


def test_a_mirrored_mask_is_met() -> None:
    hook = bar(0.4, length=50, width=8) | bar(1.97, length=25, width=8, at=(170, 150))
    assert align(outline(hook), outline(hook[:, ::-1]))[1] > 0.8


def test_a_move_is_the_same_at_any_size() -> None:
    source, target = bar(0.3), bar(1.4, at=(100, 140))
    move, found = align(outline(source), outline(target))
    moved = cv2.warpAffine(source.astype(np.float32), scaled_move(move, 256), (256, 256)) > 0.5
    assert (moved & target).sum() / (moved | target).sum() == pytest.approx(found, abs=0.06)
    assert np.allclose(scaled_move(move, SIDE), move)


def test_seeds_take_the_best_in_turn() -> None:
    target = outline(arc(1, 2))
    masks = [bar(0, length=20, width=20), arc(0, 2), bar(1, width=3), arc(3, 1.9), arc(4, 2.2)]
    found = [best_aligned(target, [outline(mask) for mask in masks], seed) for seed in range(6)]
    assert sorted(found[:3]) == [1, 3, 4]
    assert found[:3] == found[3:]
    assert best_aligned(target, [outline(bar(0))], 7) == 0


def test_wide_photographs_and_single_pixels_are_placed() -> None:
    wide = np.full((60, 200, 3), 90, np.uint8)
    dot = np.zeros((60, 200), bool)
    dot[30, 150] = True
    spot = np.zeros((60, 200), bool)
    spot[10:40, 20:60] = True
    assert outline_of(wide, dot).mask.shape == (19, 64)
    for source, target in ((dot, spot), (spot, dot), (dot, dot)):
        move, found = align(outline_of(wide, source), outline_of(wide, target))
        assert np.isfinite(move).all()
        assert 0 <= found <= 1
