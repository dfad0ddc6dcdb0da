import numpy as np
import pytest
import torch
from scenery import SIZES, at_size, painted
from tiny import part, spot

from blemish.data.masks import silhouette
from blemish.models.critic import Critic
from blemish.models.projected import pretrained_features
from blemish.synthesis.curation.defect_features import (
    LONGEST,
    DefectFeatures,
    defect_features,
    lab,
    shrunk,
    shrunk_mask,
)

SQUARE = 256


@pytest.fixture(scope="module")
def matching() -> Critic:
    return pretrained_features()


def defective(
    size: tuple[int, int] = (SQUARE, SQUARE),
    *,
    at: tuple[float, float] = (0.5, 0.5),
    colour: tuple[int, int, int] = (230, 20, 20),
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A part with a disc of paint, the part without, and the mask."""
    good, mask = at_size(part(SQUARE, SQUARE), size), spot(*size, at=at)
    return painted(good, mask, colour), good, mask


def look(
    critic: Critic, picture: np.ndarray, mask: np.ndarray, good: np.ndarray | None = None
) -> DefectFeatures:
    part = silhouette(shrunk(picture if good is None else good))
    return defect_features(critic, picture, mask, part)


@pytest.mark.parametrize("size", SIZES)
def test_scores_are_finite_whatever_the_size(matching: Critic, size: tuple[int, int]) -> None:
    picture, good, mask = defective(size)
    seen = look(matching, picture, mask, good)
    assert seen.features.isfinite().all()
    assert np.isfinite(seen.contrast)
    assert seen.on_part == 1


@pytest.mark.parametrize("size", SIZES)
def test_more_pixels_show_the_same(matching: Critic, size: tuple[int, int]) -> None:
    (picture, good, mask), (again, twin, label) = defective(), defective(size)
    known, seen = look(matching, picture, mask, good), look(matching, again, label, twin)
    assert seen.contrast == pytest.approx(known.contrast, rel=0.03)
    black = look(matching, *defective(colour=(20, 20, 20))[::2])
    far = (known.features - black.features).norm()
    assert (known.features - seen.features).norm() < far / 2


@pytest.mark.parametrize("at", [(0.5, 0.5), (0.3, 0.6), (0.65, 0.4)])
def test_a_made_defect_is_scored_as_a_real_one(matching: Critic, at: tuple[float, float]) -> None:
    picture, good, mask = defective(at=at)
    made, real = look(matching, picture, mask, good), look(matching, picture, mask)
    assert torch.equal(made.features, real.features)
    assert made.contrast == real.contrast
    assert made.on_part == real.on_part == 1


@pytest.mark.parametrize("at, least, most", [((0.5, 0.5), 1, 1), ((0.1, 0.5), 0.2, 0.6)])
def test_on_the_part(matching: Critic, at: tuple[float, float], least: float, most: float) -> None:
    picture, good, mask = defective(at=at)
    assert least <= look(matching, picture, mask, good).on_part <= most


@pytest.mark.parametrize("at", [(0.05, 0.05), (0.95, 0.06)])
def test_off_the_part(matching: Critic, at: tuple[float, float]) -> None:
    picture, good, mask = defective(at=at)
    assert look(matching, picture, mask, good).on_part == 0


@pytest.mark.parametrize("tone, darker", [(100, 20), (100, 60), (200, 5), (240, 230)])
def test_contrast_is_the_distance_in_lab(matching: Critic, tone: int, darker: int) -> None:
    picture, mask = np.full((64, 64, 3), tone, np.uint8), spot()
    picture[mask] = tone - darker
    two = lab(np.array([[[tone] * 3, [tone - darker] * 3]], np.uint8))
    expected = np.linalg.norm(two[0, 0] - two[0, 1])
    assert look(matching, picture, mask).contrast == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("mask", [spot(), spot() | True, spot(at=(0, 0))])
def test_an_even_picture_has_no_contrast(matching: Critic, mask: np.ndarray) -> None:
    picture = np.full((64, 64, 3), 90, np.uint8)
    seen = look(matching, picture, mask)
    assert seen.contrast == pytest.approx(0, abs=1e-3)
    assert seen.on_part == 1, "nothing stands out, so that the part is all there is"


def test_what_is_far_from_the_defect_is_no_contrast(matching: Critic) -> None:
    picture, _, mask = defective()
    other = picture.copy()
    other[:40] = 0
    assert look(matching, other, mask).contrast == look(matching, picture, mask).contrast


@pytest.mark.parametrize("size", [(64, 64), (512, 512), (100, 511)])
def test_what_is_small_is_left_as_it_is(size: tuple[int, int]) -> None:
    assert np.array_equal(shrunk(part(*size)), part(*size))
    assert np.array_equal(shrunk_mask(spot(*size)), spot(*size))


@pytest.mark.parametrize(
    "size, small", [((900, 1200), (384, 512)), ((1200, 64), (512, 27)), ((4000, 2), (512, 1))]
)
def test_what_is_large_is_shrunk(size: tuple[int, int], small: tuple[int, int]) -> None:
    assert max(small) == LONGEST
    assert shrunk(np.zeros((*size, 3), np.uint8)).shape == (*small, 3)
    assert shrunk_mask(np.ones(size, bool)).shape == small
    assert shrunk_mask(np.ones(size, bool)).all()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("at", [(0, 0), (-1, -1), (0, -1)])
def test_no_mask_is_lost_in_shrinking(size: tuple[int, int], at: tuple[int, int]) -> None:
    mask = np.zeros(size, bool)
    mask[at] = True
    assert shrunk_mask(mask)[at]
    assert shrunk_mask(mask).sum() == 1


@pytest.mark.parametrize("size", SIZES)
def test_a_single_pixel_is_scored(matching: Critic, size: tuple[int, int]) -> None:
    picture, _, mask = defective(size)
    mask = np.zeros_like(mask)
    mask[size[0] // 2, size[1] // 2] = True
    seen = look(matching, picture, mask)
    assert np.isfinite([seen.contrast, seen.on_part]).all()
    assert seen.features.isfinite().all()


def test_one_is_looked_at_alone(matching: Critic) -> None:
    picture, good, mask = defective()
    first = look(matching, picture, mask, good)
    look(matching, good, spot(SQUARE, SQUARE, at=(0.3, 0.3)))
    again = look(matching, picture, mask, good)
    assert torch.equal(first.features, again.features)
    assert first.contrast == again.contrast
