"""Grain of a photograph in a hole that was drawn without it."""

import numpy as np

from blemish.editing.grain import grained


def grainy(side: int = 64) -> np.ndarray:
    """A picture of two grey halves, of which only the right one has grain."""
    picture = np.full((side, side, 3), 90, np.uint8)
    picture[:, side // 2 :] = 160
    noise = np.random.default_rng(0).integers(-12, 13, (side, side // 2, 1))
    picture[:, side // 2 :] = (picture[:, side // 2 :] + noise).astype(np.uint8)
    return picture


def hole_at(left: int, side: int = 64) -> np.ndarray:
    hole = np.zeros((side, side), bool)
    hole[24:32, left : left + 8] = True
    return hole


def drawn_without() -> np.ndarray:
    flat = np.full((64, 64, 3), 90, np.uint8)
    flat[:, 32:] = 160
    return flat


def test_each_piece_gets_the_grain_of_its_own_material() -> None:
    picture, left, right = grainy(), hole_at(8), hole_at(44)
    found = grained(drawn_without(), picture, left | right, 4.0)
    assert np.abs(found[left].astype(int) - 90).max() <= 1
    assert found[right].std() > 0.5 * picture[:, 32:].std()


def test_nothing_changes_outside_of_the_hole() -> None:
    flat, hole = drawn_without(), hole_at(44)
    found = grained(flat, grainy(), hole, 4.0)
    assert (found[~hole] == flat[~hole]).all()


def test_a_generator_of_as_many_pixels_needs_none() -> None:
    flat = drawn_without()
    assert grained(flat, grainy(), hole_at(44), 1.0) is flat


def test_without_a_free_place_the_drawing_stays() -> None:
    flat = drawn_without()
    assert (grained(flat, grainy(), np.ones((64, 64), bool), 4.0) == flat).all()
