import numpy as np
import pytest

from blemish.data.closeup import LEAST_SHARE, WIDER, bare, close_up


@pytest.mark.parametrize("top, left", [(0, 0), (20, 30), (56, 40), (0, 56)])
def test_a_mask_keeps_its_share_of_the_square(top: int, left: int) -> None:
    mask = np.zeros((64, 64), bool)
    mask[top : top + 8, left : left + 8] = True
    picture = np.where(mask[:, :, None], (200, 30, 30), (90, 90, 90)).astype(np.uint8)
    near, marked = close_up(picture, mask, 48)
    assert near.shape == (48, 48, 3)
    assert marked.mean() == pytest.approx((8 / (WIDER * 8)) ** 2, rel=0.2), "none beyond the border"
    assert np.median(near[marked], axis=0).tolist() == [200, 30, 30]


def test_a_speck_has_surroundings() -> None:
    mask = np.zeros((128, 96), bool)
    mask[70, 40] = True
    picture = np.zeros((128, 96, 3), np.uint8)
    picture[70, 40] = 255
    near, marked = close_up(picture, mask, 16)
    assert marked.any() and near.max() > 0
    assert LEAST_SHARE * 128 == 8, "pixels wide is the square"


@pytest.mark.parametrize("seed", range(3))
def test_bare_is_the_inside_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8)
    other, mask = rng.integers(0, 256, (16, 16, 3)).astype(np.uint8), np.zeros((16, 16), bool)
    mask[4:9, 5:11] = True
    other[mask] = picture[mask]
    found = bare(picture, mask)
    assert np.array_equal(found, bare(other, mask)), "what is around does not matter"
    assert np.array_equal(found[mask], picture[mask])
    assert np.ptp(found[~mask].reshape(-1, 3), axis=0).tolist() == [0, 0, 0]
