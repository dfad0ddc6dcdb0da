"""Real masks where they lay."""

import numpy as np
import pytest

from blemish.errors import OptionError
from blemish.synthesis.masks.draw import draw_mask
from blemish.synthesis.masks.reposition import SCALE_BY, repositioned
from blemish.synthesis.options import MaskOptions

Y, X = np.mgrid[0:128, 0:128]
RADIUS = np.hypot(Y - 63.5, X - 63.5)
PART = RADIUS <= 56
RIM = (RADIUS <= 52) & (RADIUS >= 44) & (X > 63) & (Y > 63)


@pytest.mark.parametrize("seed", range(12))
def test_what_lay_on_the_rim_lies_there_again(seed: int) -> None:
    moved = repositioned(RIM, PART, np.random.default_rng(seed), degrees=180)
    assert moved.any() and not (moved & ~PART).any()
    middle = RADIUS[moved].mean()
    assert 48 / SCALE_BY - 4 < middle < 56  # turned, scaled and shifted a little
    assert 0.4 < moved.sum() / RIM.sum() < SCALE_BY**2 + 0.1


@pytest.mark.parametrize("degrees", [0, 20])
def test_it_is_turned_no_further_than_asked(degrees: float) -> None:
    spot = (np.abs(Y - 63.5) < 6) & (np.abs(X - 103.5) < 6)
    for seed in range(20):
        moved = repositioned(spot, PART, np.random.default_rng(seed), degrees=degrees)
        y, x = np.argwhere(moved).mean(axis=0) - 63.5
        lean = np.degrees(np.arctan2(y, abs(x)))  # mirrored or not
        assert abs(lean) <= degrees + 6  # and shifted by a few pixels


def test_seeds_differ_and_one_seed_is_one_mask() -> None:
    one, same, other = (
        repositioned(RIM, PART, np.random.default_rng(seed), degrees=180) for seed in (1, 1, 2)
    )
    assert (one == same).all() and (one != other).any()


@pytest.mark.parametrize("side", [64, 300])
def test_a_mask_of_another_size_is_brought_to_the_photographs(side: int) -> None:
    index = (np.arange(side) * 128 / side).astype(int)
    moved = repositioned(RIM[np.ix_(index, index)], PART, np.random.default_rng(3), degrees=0)
    alike = repositioned(RIM, PART, np.random.default_rng(3), degrees=0)
    assert (moved & alike).sum() > 0.8 * (moved | alike).sum()


def test_a_plan_lays_real_masks_again() -> None:
    plan = MaskOptions(mask_kind="real", where="there", area=0.2)
    mask = draw_mask(plan, PART, np.random.default_rng(0), [RIM])
    assert mask.sum() < 0.1 * PART.sum()  # its own size, not a fifth of the part


def test_what_cannot_be_placed_is_refused() -> None:
    plan = MaskOptions(mask_kind="real", where="there")
    rng = np.random.default_rng(0)
    corner = (X > 120) & (Y > 120)
    with pytest.raises(OptionError, match="no place"):
        draw_mask(plan, RADIUS < 10, rng, [corner])
    with pytest.raises(OptionError, match="without masks"):
        draw_mask(plan, PART, rng)
    with pytest.raises(OptionError, match="kind scratch"):
        MaskOptions(mask_kind="scratch", where="there")
    with pytest.raises(OptionError, match="mask_degrees = 200"):
        MaskOptions(mask_kind="real", where="there", mask_degrees=200)
