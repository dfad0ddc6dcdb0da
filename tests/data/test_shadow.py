import cv2
import numpy as np
import pytest
from scenery import DISC, at_size, shadowed

from blemish.data.masks import silhouette
from blemish.data.shadow import SIDE, unshadowed_silhouette, without_shadow


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_the_shadow_is_left_out() -> None:
    picture = shadowed()
    assert iou(silhouette(picture), DISC) < 0.9
    assert iou(unshadowed_silhouette(picture), DISC) > 0.97


def test_a_part_without_a_colour_on_a_grey_ground_stays_whole() -> None:
    picture = shadowed(part=(140, 140, 140), ground=(220, 220, 220))
    found = silhouette(picture)
    assert np.array_equal(without_shadow(picture, found), found)


def test_a_part_that_fills_the_photograph_stays_whole() -> None:
    everything = np.ones((256, 256), bool)
    assert without_shadow(shadowed(), everything).all()


@pytest.mark.parametrize("side", [128, 2 * SIDE])
def test_the_size_of_the_photograph_does_not_matter(side: int) -> None:
    found = unshadowed_silhouette(at_size(shadowed(), (side, side)))
    expected = cv2.resize(DISC.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    assert iou(found, expected) > 0.95
