"""The frame of a part: where it lies, and what comes back from it."""

import numpy as np
import pytest

from blemish.windows.frames import FILL, frame_of, signed_distance


def disc(h: int, w: int, middle: tuple[float, float], radius: float) -> np.ndarray:
    y, x = np.mgrid[:h, :w]
    return np.hypot(x - middle[0], y - middle[1]) <= radius


@pytest.mark.parametrize(("h", "w"), [(200, 300), (96, 64), (640, 480)])
def test_part_fills_its_frame_wherever_it_lies(h: int, w: int) -> None:
    radius = min(h, w) / 4
    middle = (w * 0.4, h * 0.6)
    share = frame_of(disc(h, w, middle, radius)).cut(disc(h, w, middle, radius), 64)
    y, x = np.nonzero(share > 0.5)
    assert (x.mean(), y.mean()) == pytest.approx((31.5, 31.5), abs=0.3)
    assert np.sqrt(share.sum() / np.pi) == pytest.approx(32 * FILL, rel=0.03)


@pytest.mark.parametrize("side", [128, 512])
def test_mask_comes_back_from_its_frame(side: int) -> None:
    part = disc(side, side, (side * 0.45, side * 0.55), side * 0.3)
    mask = disc(side, side, (side * 0.4, side * 0.5), side * 0.09)
    frame = frame_of(part)
    back = frame.onto_photograph(frame.cut(mask, 64) - 0.5, mask.shape, outside=-0.5) > 0
    assert (back & mask).sum() / (back | mask).sum() > 0.93


def test_nothing_lies_beyond_the_photograph() -> None:
    part = np.ones((40, 60), bool)
    share = frame_of(part).cut(part, 64)
    assert share[:5].max() == 0
    assert share[32, 32] == 1


def test_distance_is_zero_on_the_outline_and_positive_inside() -> None:
    share = frame_of(disc(256, 256, (128, 128), 90)).cut(disc(256, 256, (128, 128), 90), 64)
    depth = signed_distance(share)
    y, x = np.mgrid[:64, :64]
    exact = 32 * FILL - np.hypot(x - 31.5, y - 31.5)
    assert np.abs(depth - exact)[np.abs(exact) < 20].max() < 1


@pytest.mark.parametrize("inside", [0.0, 1.0])
def test_distance_without_an_outline_is_far(inside: float) -> None:
    depth = signed_distance(np.full((16, 16), inside, np.float32))
    assert (np.sign(depth) == (1 if inside else -1)).all()
    assert np.abs(depth).min() >= 16
