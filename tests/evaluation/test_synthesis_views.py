"""How defects are looked at: squares around them, what is painted over, and in which batches."""

import gc
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import part, spot
from torch import Tensor

from blemish.evaluation.eyes import FeatureExtractor
from blemish.evaluation.synthesis.views import BATCH, DefectView, turned, view, view_features

SIDE = 24


def box(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros((height, width), bool)
    mask[rows, columns] = True
    return mask


def places(height: int, width: int) -> np.ndarray:
    """A picture whose levels say where they are."""
    y, x = np.mgrid[:height, :width]
    return np.stack([y, x, np.zeros_like(y)], axis=2).astype(np.uint8)


def masks(height: int, width: int) -> dict[str, np.ndarray]:
    return {
        "a pixel": box(height, width, slice(height // 2, height // 2 + 1), slice(0, 1)),
        "first pixel": box(height, width, slice(0, 1), slice(0, 1)),
        "last pixel": box(height, width, slice(-1, None), slice(-1, None)),
        "a row": box(height, width, slice(0, 1), slice(None)),
        "a column": box(height, width, slice(None), slice(-1, None)),
        "two corners": box(height, width, slice(0, None, height - 1), slice(0, None, width - 1)),
        "everything": np.ones((height, width), bool),
        "a spot": spot(height, width, at=(0.3, 0.6)),
    }


SIZES = [(8, 8), (40, 52), (52, 40), (9, 200), (200, 9)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", masks(8, 8))
def test_squares_of_any_defect_on_any_picture(name: str, size: tuple[int, int]) -> None:
    found = view(part(*size), masks(*size)[name], SIDE)
    for square in (found.whole, found.around, found.inside):
        assert square.shape == (SIDE, SIDE, 3) and square.dtype == np.uint8


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", masks(8, 8))
def test_a_plain_picture_stays_plain(name: str, size: tuple[int, int]) -> None:
    found = view(np.full((*size, 3), (10, 120, 250), np.uint8), masks(*size)[name], SIDE)
    for square in (found.whole, found.around, found.inside):
        assert (square == (10, 120, 250)).all()


@pytest.mark.parametrize("longest", [6, 7, 12, 13, 14, 15, 16])
@pytest.mark.parametrize("shortest", [1, 2, 6])
@pytest.mark.parametrize("lying", [True, False])
def test_a_square_is_half_as_large_again_with_the_defect_in_its_middle(
    longest: int, shortest: int, lying: bool
) -> None:
    high, wide = (shortest, longest) if lying else (longest, shortest)
    mask = box(80, 90, slice(30, 30 + high), slice(40, 40 + wide))
    extent = {6: 10, 7: 11, 12: 18, 13: 19, 14: 22, 15: 23, 16: 24}[longest]
    around = view(places(80, 90), mask, extent).around.astype(int)
    for axis, begin, length in ((0, 30, high), (1, 40, wide)):
        seen = np.unique(around[:, :, axis])
        assert len(seen) == extent and np.ptp(seen) == extent - 1, "as wide as it is high"
        before, after = begin - seen[0], seen[-1] - (begin + length - 1)
        assert before >= 0 and abs(before - after) <= (extent - length) % 2


@pytest.mark.parametrize("height, width, extent", [(160, 80, 11), (80, 160, 11), (32, 32, 5)])
def test_of_a_tiny_defect_some_surroundings_are_seen(height: int, width: int, extent: int) -> None:
    mask = box(height, width, slice(20, 21), slice(20, 21))
    around = view(places(height, width), mask, extent).around
    assert np.ptp(around[:, :, 0]) == np.ptp(around[:, :, 1]) == extent - 1


@pytest.mark.parametrize("top", [0, 1, 3, 65, 67, 68])
@pytest.mark.parametrize("left", [0, 2, 66, 68])
def test_at_the_border_the_last_pixels_go_on(top: int, left: int) -> None:
    picture = part(80, 80, seed=3)
    mask = box(80, 80, slice(top, top + 12), slice(left, left + 12))
    around = view(picture, mask, 18).around
    wider = np.pad(picture, ((9, 9), (9, 9), (0, 0)), mode="edge")
    np.testing.assert_array_equal(around, wider[top + 6 : top + 24, left + 6 : left + 24])


@pytest.mark.parametrize("down, right", [(0, 1), (5, 0), (-7, 11)])
def test_squares_go_along_with_their_defect(down: int, right: int) -> None:
    picture, mask = part(80, 80), spot(80, 80)
    one = view(picture, mask, SIDE)
    moved = [np.roll(array, (down, right), axis=(0, 1)) for array in (picture, mask)]
    two = view(moved[0], moved[1], SIDE)
    np.testing.assert_array_equal(one.around, two.around)
    np.testing.assert_array_equal(one.inside, two.inside)


@pytest.mark.parametrize("longest", [12, 13, 14, 15])
def test_squares_turn_along_with_their_picture(longest: int) -> None:
    picture, mask = part(80, 90), box(80, 90, slice(20, 20 + longest), slice(30, 32 + longest % 2))
    one = view(picture, mask, SIDE)
    for turn in (np.flipud, np.fliplr, lambda a: np.rot90(a, 2), lambda a: np.rot90(a, 1)):
        two = view(turn(picture).copy(), turn(mask).copy(), SIDE)
        # A pixel is resized alike from either side but for rounding.
        np.testing.assert_allclose(turn(one.around).astype(int), two.around, atol=1)
        np.testing.assert_allclose(turn(one.inside).astype(int), two.inside, atol=2)


@pytest.mark.parametrize("seed", [0, 1])
def test_inside_nothing_is_left_of_the_outside(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = box(60, 60, slice(20, 32), slice(20, 32)) & (rng.random((60, 60)) < 0.5)
    mask[20, 20] = mask[31, 31] = True
    one, two = (rng.integers(0, 256, (60, 60, 3), np.uint8) for _ in range(2))
    two[mask] = one[mask]
    seen, other = view(one, mask, 18), view(two, mask, 18)
    np.testing.assert_array_equal(seen.inside, other.inside)
    assert (seen.around != other.around).any()
    marked = mask[17:35, 17:35]
    np.testing.assert_array_equal(seen.inside[marked], seen.around[marked])
    mean = one[mask].mean(axis=0)
    assert (abs(seen.inside[~marked] - mean) <= 0.5).all()


@pytest.mark.parametrize("size", [(40, 52), (52, 40), (9, 30)])
def test_the_whole_picture_does_not_depend_on_the_mask(size: tuple[int, int]) -> None:
    seen = [view(part(*size), mask, SIDE).whole for mask in masks(*size).values()]
    assert all((one == seen[0]).all() for one in seen)


def thumbnails(image: Tensor) -> list[Tensor]:
    return [F.adaptive_avg_pool2d(image, 4).flatten(1)[:, :, None, None] + 2]


EYES = FeatureExtractor(
    name="thumbnails", look=thumbnails, compare=lambda a, b: (a[0] - b[0]).sum((1, 2, 3))
)


def seen(n: int) -> Iterator[DefectView]:
    for seed in range(n):
        yield view(part(40, 40, seed=seed), spot(40, 40), SIDE)


@pytest.mark.parametrize("n", [1, 2, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 1])
def test_each_defect_has_its_row_whatever_it_is_looked_at_beside(n: int) -> None:
    views = view_features(EYES, seen(n), SIDE)
    assert len(views) == len(views.around) == len(views.inside) == len(views.shown) == n
    for k, one in enumerate(seen(n)):
        alone = view_features(EYES, [one], SIDE)
        for name in ("whole", "around", "inside"):
            torch.testing.assert_close(getattr(views, name)[k], getattr(alone, name)[0])
        np.testing.assert_array_equal(views.shown[k], one.around)
    torch.testing.assert_close(views.whole.square().sum(dim=1), torch.full((n,), 48.0))


def test_there_may_be_nobody_to_look_at() -> None:
    views = view_features(EYES, [], SIDE)
    assert len(views) == 0 and views.shown.shape == (0, SIDE, SIDE, 3)


@pytest.mark.parametrize("index", [slice(0, 2), slice(2, None), slice(0, 0), slice(None)])
def test_a_slice_has_all_of_its_defects(index: slice) -> None:
    views = view_features(EYES, seen(5), SIDE)
    part_of = views[index]
    torch.testing.assert_close(part_of.whole, views.whole[index])
    torch.testing.assert_close(part_of.around, views.around[index])
    torch.testing.assert_close(part_of.inside, views.inside[index])
    np.testing.assert_array_equal(part_of.shown, views.shown[index])


def test_no_more_than_a_batch_is_ever_waiting() -> None:
    given, looked, most = 0, 0, 0

    def watched() -> Iterator[DefectView]:
        nonlocal given, most
        for one in seen(3 * BATCH + 2):
            given += 1
            most = max(most, given - looked // 3)
            yield one

    def counting(image: Tensor) -> list[Tensor]:
        nonlocal looked
        looked += len(image)
        return thumbnails(image)

    view_features(FeatureExtractor(name="", look=counting, compare=EYES.compare), watched(), SIDE)
    assert most == BATCH
    assert looked == 3 * given == 3 * (3 * BATCH + 2)


def test_of_the_pictures_none_is_held() -> None:
    alive: list[weakref.ref[np.ndarray]] = []

    def watched() -> Iterator[DefectView]:
        for seed in range(2 * BATCH):
            picture = part(40, 40, seed=seed)
            alive.append(weakref.ref(picture))
            yield view(picture, spot(40, 40), SIDE)
            gc.collect()
            assert sum(found() is not None for found in alive) == 1

    gc.freeze()  # what is there already need not be searched each time
    views = view_features(EYES, watched(), SIDE)
    assert len(views) == len(alive) == 2 * BATCH


def test_squares_in_eight_positions() -> None:
    squares = np.stack([part(9, 9, seed=seed) for seed in (0, 1, 2)])
    found = turned(squares)
    np.testing.assert_array_equal(found[0], squares)
    assert {one.shape for one in found} == {squares.shape}
    for k in range(3):
        known = {one[k].tobytes() for one in found}
        assert len(known) == 8
        for again in (np.rot90(squares[k]), squares[k, ::-1], squares[k].swapaxes(0, 1)):
            assert np.ascontiguousarray(again).tobytes() in known
