"""How shapes are bent."""

import numpy as np
import pytest

from blemish.data.masks import spanned
from blemish.synthesis.real.warp import bent_at_random, bent_onto

Y, X = np.mgrid[:200, :240]
DISC = np.hypot(X - 120, Y - 100) < 40


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def striped(mask: np.ndarray) -> np.ndarray:
    """White stripes on what is marked, black ground."""
    return (mask & (Y // 8 % 2 == 0)).astype(np.uint8)[:, :, None].repeat(3, 2) * 255


@pytest.mark.parametrize(
    "target",
    [
        np.hypot((X - 124) / 1.3, (Y - 98) * 1.2) < 40,
        np.hypot(X - 120, Y - 100) < 40 + 8 * np.sin(5 * np.arctan2(Y - 100, X - 120)),
        (np.abs(X - 120) < 38) & (np.abs(Y - 100) < 34),
    ],
    ids=["ellipse", "star", "box"],
)
def test_an_outline_comes_onto_another(target: np.ndarray) -> None:
    picture, found = bent_onto(striped(DISC), DISC, target)
    assert iou(found, target) > max(0.9, iou(DISC, target))
    assert picture[~found].mean() < 8  # its stripes went along
    assert picture[found].mean() == pytest.approx(striped(DISC)[DISC].mean(), abs=20)


def test_what_fits_stays() -> None:
    picture, found = bent_onto(striped(DISC), DISC, DISC)
    np.testing.assert_array_equal(found, DISC)
    assert np.abs(picture.astype(int) - striped(DISC)).mean() < 1


@pytest.mark.parametrize("empty", ["shape", "target"])
def test_nothing_is_not_bent(empty: str) -> None:
    none = np.zeros_like(DISC)
    shape, target = (none, DISC) if empty == "shape" else (DISC, none)
    picture, found = bent_onto(striped(DISC), shape, target)
    np.testing.assert_array_equal(picture, striped(DISC))
    np.testing.assert_array_equal(found, shape)


def test_chance_bends_by_as_much_as_it_is_reported() -> None:
    little, much = (
        np.mean([iou(DISC, bent_at_random(DISC, by, np.random.default_rng(k))) for k in range(20)])
        for by in (0.01, 0.04)
    )
    assert 0.97 > little > 0.85 > much > 0.5


def test_chance_is_the_same_at_any_size() -> None:
    large = DISC.repeat(2, 0).repeat(2, 1)
    small = bent_at_random(DISC, 0.03, np.random.default_rng(4))
    again = bent_at_random(large, 0.03, np.random.default_rng(4))
    assert iou(small.repeat(2, 0).repeat(2, 1), again) > 0.97


def test_a_hull_spans_a_notch_and_no_more() -> None:
    notched = DISC & ~((X > 130) & (np.abs(Y - 100) < 12))
    assert spanned(notched)[100, 150] and not spanned(notched)[100, 165]
    assert not spanned(np.zeros_like(DISC)).any()
