import cv2
import numpy as np
import pytest
from scenery import at_size

from blemish.data.masks import silhouette
from blemish.data.shadow import SIDE, unshadowed_silhouette, without_shadow

GROUND, NUT = (215, 205, 70), (190, 170, 140)


def disc(at: tuple[int, int], radius: int, side: int = 256) -> np.ndarray:
    canvas = np.zeros((side, side), np.uint8)
    return cv2.circle(canvas, at, radius, [1], cv2.FILLED) > 0


PART, SHADOW = disc((120, 128), 60), disc((150, 128), 60)


def scene(part: tuple[int, ...] = NUT, ground: tuple[int, ...] = GROUND) -> np.ndarray:
    """A disc with a shadow on its right, with a little noise."""
    picture = np.full((256, 256, 3), ground, np.float32)
    picture[SHADOW] *= 0.6
    picture[PART] = part
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def iou(a: np.ndarray, b: np.ndarray) -> float:
    return (a & b).sum() / (a | b).sum()


def test_the_shadow_is_left_out() -> None:
    picture = scene()
    assert iou(silhouette(picture), PART) < 0.9
    assert iou(unshadowed_silhouette(picture), PART) > 0.97


def test_a_part_without_a_colour_on_a_grey_ground_stays_whole() -> None:
    picture = scene(part=(140, 140, 140), ground=(220, 220, 220))
    found = silhouette(picture)
    assert np.array_equal(without_shadow(picture, found), found)


def test_a_part_that_fills_the_photograph_stays_whole() -> None:
    everything = np.ones((256, 256), bool)
    assert without_shadow(scene(), everything).all()


@pytest.mark.parametrize("side", [128, 2 * SIDE])
def test_the_size_of_the_photograph_does_not_matter(side: int) -> None:
    found = unshadowed_silhouette(at_size(scene(), (side, side)))
    expected = cv2.resize(PART.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    assert iou(found, expected) > 0.95
