from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import part, spot

from blemish.pictures import fit_mask
from blemish.synthesis.composite import (
    VISIBLE_LEVELS,
    Carried,
    carry,
    enlarged_cover,
    reach_px,
    soft_cover,
    within_reach,
)

SIZES = [(64, 64), (512, 512), (900, 1200), (33, 47), (101, 64), (257, 511)]
SIDE = 16


def change_of(levels: float, mask: np.ndarray | None = None) -> np.ndarray:
    change = np.full((SIDE, SIDE, 3), levels, np.float32)
    return change if mask is None else change * mask[:, :, None]


def carried(
    picture: np.ndarray,
    requested: np.ndarray,
    change: np.ndarray | None = None,
    seed: int = 0,
    **options: Any,
) -> Carried:
    """As by the conditioned branch, with some change under the mask and a little about it."""
    drawn = fit_mask(requested, SIDE).astype(np.float32)
    if change is None:
        rng = np.random.default_rng(seed)
        change = rng.normal(0, 80, (SIDE, SIDE, 3)).astype(np.float32) * (0.05 + drawn)[:, :, None]
    return carry(picture, change, drawn, soft_cover(requested), requested, **options)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(2))
def test_the_mask_is_exactly_where_bytes_differ(size: tuple[int, int], seed: int) -> None:
    picture, requested = part(*size), spot(*size)
    found = carried(picture, requested, seed=seed)
    assert found.picture.dtype == np.uint8
    assert found.picture.shape == picture.shape
    assert np.array_equal(found.changed, (found.picture != picture).any(axis=2))
    assert found.changed.any()


@pytest.mark.parametrize("size", SIZES)
def test_nothing_changes_beyond_the_reach(size: tuple[int, int]) -> None:
    picture, requested = part(*size), spot(*size)
    everywhere = np.ones(size, np.float32)
    change, drawn = change_of(200), np.ones((SIDE, SIDE), np.float32)
    found = carry(picture, change, drawn, everywhere, requested)
    beyond = ~within_reach(requested)
    assert beyond.any()
    assert np.array_equal(found.picture[beyond], picture[beyond])
    assert found.changed[requested].any()


@pytest.mark.parametrize("size", SIZES)
def test_no_change_leaves_the_photograph(size: tuple[int, int]) -> None:
    picture = part(*size)
    found = carried(picture, spot(*size), change_of(0))
    assert np.array_equal(found.picture, picture)
    assert not found.changed.any()


@pytest.mark.parametrize("levels, seen", [(VISIBLE_LEVELS - 1, False), (VISIBLE_LEVELS + 1, True)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_change_too_slight_to_see_is_none(levels: int, seen: bool, sign: int) -> None:
    picture = np.full((64, 64, 3), 128, np.uint8)
    found = carried(picture, spot(), change_of(sign * levels))
    assert found.changed.any() == seen


@pytest.mark.parametrize("size", SIZES)
def test_an_even_change_fills_the_mask_as_it_is(size: tuple[int, int]) -> None:
    picture, requested = np.full((*size, 3), 100, np.uint8), spot(*size)
    drawn = fit_mask(requested, SIDE)
    found = carried(picture, requested, change_of(60, drawn))
    core = soft_cover(requested) > 0.999
    assert np.abs(found.picture[core].astype(int) - 160).max() <= 1, "no pale rim"
    overlap = (found.changed & requested).sum() / (found.changed | requested).sum()
    assert overlap > 0.7
    assert found.changed[requested].mean() > 0.98


def test_colours_are_cut_to_their_range() -> None:
    picture = np.full((64, 64, 3), 250, np.uint8)
    picture[:, :, 2] = 5
    change = change_of(0)
    change[:] = (100, -100, -100)
    found = carried(picture, spot(), change)
    assert found.picture[32, 32].tolist() == [255, 150, 0]
    white = carried(np.full((64, 64, 3), 255, np.uint8), spot(), change_of(99))
    assert not white.changed.any(), "there is nothing lighter than white"


@pytest.mark.parametrize(
    "size, reach", [((64, 64), 2), ((128, 100), 2), ((512, 512), 8), ((900, 1200), 19), ((1, 1), 2)]
)
def test_the_reach(size: tuple[int, int], reach: int) -> None:
    assert reach_px(*size) == reach


@pytest.mark.parametrize("size", [(64, 64), (50, 200)])
def test_within_reach_is_a_euclidean_distance(size: tuple[int, int]) -> None:
    mask = np.zeros(size, bool)
    mask[20, 30] = mask[41, 7] = True
    y, x = np.mgrid[: size[0], : size[1]]
    away = np.minimum(np.hypot(y - 20, x - 30), np.hypot(y - 41, x - 7))
    assert np.array_equal(within_reach(mask), away <= reach_px(*size))


@pytest.mark.parametrize("size", SIZES)
def test_covers_keep_to_their_range(size: tuple[int, int]) -> None:
    mask = spot(*size)
    soft = soft_cover(mask)
    wide = enlarged_cover(fit_mask(mask, SIDE).astype(np.float32), *size)
    for cover in (soft, wide):
        assert cover.shape == size
        assert cover.min() == 0
        assert cover.max() == pytest.approx(1)
    assert ((soft > 0.5) & mask).sum() > 0.98 * ((soft > 0.5) | mask).sum()
    assert ((wide > 0.5) & mask).sum() > 0.5 * ((wide > 0.5) | mask).sum()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_thin_scratch_is_not_wiped_out(size: tuple[int, int], width: int) -> None:
    requested = np.zeros(size, bool)
    requested[size[0] // 2 : size[0] // 2 + width, size[1] // 4 : -size[1] // 4] = True
    picture = np.full((*size, 3), 100, np.uint8)
    found = carried(picture, requested, change_of(40, fit_mask(requested, SIDE)))
    assert found.changed[requested].mean() > 0.95
    assert found.picture[requested].mean() > 125


@pytest.mark.parametrize("share", [0, 1])
def test_masks_of_nothing_and_of_everything(share: int) -> None:
    mask, picture = np.full((64, 64), bool(share)), part()
    drawn = np.full((SIDE, SIDE), share, np.float32)
    found = carry(picture, change_of(-50), drawn, soft_cover(mask), mask)
    assert found.changed.mean() == pytest.approx(share, abs=1e-3)
    assert np.isfinite(found.picture).all()


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (257, 511)])
@pytest.mark.parametrize("grey", [False, True])
def test_more_strength_never_changes_less(size: tuple[int, int], grey: bool) -> None:
    picture, requested = part(*size), spot(*size)
    found = [
        carried(picture, requested, strength=strength, grey=grey)
        for strength in (0.01, 0.2, 0.5, 0.51, 0.9, 1.0)
    ]
    for less, more in pairwise(found):
        assert (less.changed <= more.changed).all()
        off = [np.abs(one.picture.astype(int) - picture) for one in (less, more)]
        assert (off[0] <= off[1]).all()
    assert found[-1].changed.sum() > found[1].changed.sum() > found[0].changed.sum()


@pytest.mark.parametrize("size", SIZES)
def test_full_strength_is_the_change_as_it_was_drawn(size: tuple[int, int]) -> None:
    picture, requested = part(*size), spot(*size)
    usual, full = carried(picture, requested), carried(picture, requested, strength=1.0)
    assert np.array_equal(usual.picture, full.picture)
    assert np.array_equal(usual.changed, full.changed)


@pytest.mark.parametrize("strength, level", [(0.1, 106), (0.25, 115), (0.5, 130), (1.0, 160)])
def test_strength_is_a_share_of_the_change(strength: float, level: int) -> None:
    picture, requested = np.full((512, 512, 3), 100, np.uint8), spot(512, 512)
    found = carried(picture, requested, change_of(60), strength=strength)
    assert found.picture[256, 256].tolist() == [level] * 3


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("seed", range(3))
def test_grey_stays_grey(size: tuple[int, int], seed: int) -> None:
    picture = part(*size)[:, :, :1].repeat(3, axis=2)
    found = carried(picture, spot(*size), seed=seed, grey=True, strength=0.7)
    assert found.changed.any()
    assert (found.picture == found.picture[:, :, :1]).all()
    assert np.array_equal(found.changed, (found.picture != picture).any(axis=2))


@pytest.mark.parametrize("colour", [(90, 0, 0), (0, 90, 0), (0, 0, 90), (50, -20, 80)])
def test_a_grey_change_is_pillow_s_luminance(colour: tuple[int, int, int]) -> None:
    change = change_of(1) * np.array(colour, np.float32)
    found = carried(np.full((64, 64, 3), 100, np.uint8), spot(), change, grey=True)
    before, after = (np.full((1, 1, 3), 100) + np.array(by) for by in ((0, 0, 0), colour))
    levels = [Image.fromarray(k.astype(np.uint8)).convert("L") for k in (before, after)]
    moved = int(np.asarray(levels[1])[0, 0]) - int(np.asarray(levels[0])[0, 0])
    assert found.picture[32, 32, 0] == pytest.approx(100 + moved, abs=1)
