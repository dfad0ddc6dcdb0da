import cv2
import numpy as np
import pytest

from blemish.evaluation.synthesis.maskrealism import (
    MaskView,
    coverage,
    filled_share,
    mask_figures,
    noise,
    shape_distances,
    two_sample_auc,
)
from blemish.evaluation.synthesis.maskshape import FEATURES, mask_vector
from blemish.synthesis.real.align import outline_on

SIDE = 160
PART = cv2.circle(np.zeros((SIDE, SIDE), np.uint8), (80, 80), 60, [1], cv2.FILLED) > 0


def ellipse(
    x: int = 80, y: int = 80, a: int = 20, b: int = 10, turn: float = 0, side: int = SIDE
) -> np.ndarray:
    canvas = np.zeros((side, side), np.uint8)
    return cv2.ellipse(canvas, (x, y), (a, b), turn, 0, 360, [1], cv2.FILLED) > 0


def line(*points: tuple[int, int]) -> np.ndarray:
    canvas, path = np.zeros((SIDE, SIDE), np.uint8), np.array(points, np.int32)
    return cv2.polylines(canvas, [path], False, [1], 3) > 0


def value(mask: np.ndarray, name: str, part: np.ndarray = PART) -> float:
    return mask_vector(mask, part)[FEATURES.index(name)]


def views(masks: list[np.ndarray]) -> list[MaskView]:
    return [
        MaskView(vector=mask_vector(m, PART), outline=outline_on(PART, m), off_part=0, filled=None)
        for m in masks
    ]


def some(n: int, seed: int, *, a: int = 20) -> list[np.ndarray]:
    """Ellipses of about one size here and there."""
    rng = np.random.default_rng(seed)
    places = rng.integers(50, 110, (n, 2))
    return [
        ellipse(int(x), int(y), a + int(rng.integers(-3, 4)), 8, rng.uniform(0, 180))
        for x, y in places
    ]


def test_areas_and_axes() -> None:
    assert value(ellipse(), "log area") == pytest.approx(np.log(20 * 10 / 60**2), abs=0.1)
    assert value(ellipse(), "log eccentricity") == pytest.approx(np.log(2), abs=0.05)
    assert value(ellipse(a=15, b=15), "log eccentricity") == pytest.approx(0, abs=0.02)


def test_pieces_hulls_and_compactness() -> None:
    two = ellipse(50) | ellipse(110)
    assert value(two, "log pieces") == pytest.approx(np.log(2))
    assert (
        value(ellipse(), "solidity") > 0.95 > value(line((40, 40), (80, 40), (80, 90)), "solidity")
    )
    assert value(ellipse(a=30, b=30), "log compactness") == pytest.approx(0, abs=0.15)
    assert value(line((40, 80), (120, 80)), "log compactness") > 1


def test_skeletons() -> None:
    straight, cross = (
        line((40, 80), (120, 80)),
        line((40, 80), (120, 80)) | line((80, 40), (80, 120)),
    )
    assert value(straight, "branches") == 0
    assert value(cross, "branches") == 1
    size = PART.sum() ** 0.5
    assert value(straight, "skeleton length") * size == pytest.approx(80, abs=6)
    assert value(straight, "mean half-width") < value(ellipse(), "mean half-width")


def test_places_on_the_part() -> None:
    assert value(ellipse(), "distance to the middle") == pytest.approx(0, abs=0.02)
    assert value(ellipse(130), "distance to the outline") < value(
        ellipse(), "distance to the outline"
    )
    assert value(ellipse(), "contact with the outline") == 0
    assert value(ellipse(135), "contact with the outline") > 0


@pytest.mark.parametrize("side", [320, 640])
def test_the_size_of_the_photograph_does_not_matter(side: int) -> None:
    k = side // SIDE
    large = ellipse(80 * k, 80 * k, 20 * k, 10 * k, side=side)
    part = cv2.resize(PART.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    assert mask_vector(large, part) == pytest.approx(mask_vector(ellipse(), PART), abs=0.2)


def test_masks_of_one_kind_cannot_be_told_apart() -> None:
    real, same, longer = some(20, 0), some(20, 1), some(20, 2, a=35)
    figures = [mask_figures(views(made), views(real), []) for made in (same, longer)]
    alike, other = (found for found in figures if found is not None)
    assert alike["two_sample_auc"] < 0.75 < other["two_sample_auc"]
    assert alike["shape_distance"]["log eccentricity"] < other["shape_distance"]["log eccentricity"]
    assert alike["coverage"] > other["coverage"]


def test_turned_copies_are_found() -> None:
    shape = line((50, 60), (90, 60), (90, 100)) | ellipse(60, 90, 9, 5)
    turned = np.ascontiguousarray(np.rot90(shape))
    found = mask_figures(
        views([turned, ellipse(), ellipse(a=30)]), views(some(4, 0)), views([shape])
    )
    assert found is not None
    assert found["copies"] == pytest.approx(1 / 3)


def test_few_masks_have_no_figures() -> None:
    assert mask_figures(views(some(1, 0)), views(some(5, 1)), []) is None


def test_equal_sets() -> None:
    x = np.random.default_rng(0).normal(size=(12, len(FEATURES)))
    assert coverage(x, x) == 1
    assert max(shape_distances(x, x).values()) == 0
    auc = two_sample_auc(x, x + 100)
    assert auc is not None and auc > 0.99


def test_noise_is_measured_and_what_exceeds_it_is_seen() -> None:
    rng = np.random.default_rng(0)
    twin = (128 + rng.normal(0, 5, (SIDE, SIDE, 1)).repeat(3, 2)).astype(np.uint8)
    assert noise(twin) == pytest.approx(5, rel=0.15)
    picture, mask = twin.copy(), ellipse()
    picture[mask & (np.arange(SIDE) < 80)] += 60
    assert filled_share(picture, twin, mask) == pytest.approx(0.5, abs=0.05)
