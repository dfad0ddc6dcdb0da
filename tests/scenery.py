"""One scene, photographed with more or fewer pixels."""

import cv2
import numpy as np

SIZES = [(64, 64), (512, 512), (900, 1200), (64, 200), (1200, 300), (301, 299)]


def at_size(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The same scene with so many pixels."""
    h, w = size
    way = cv2.INTER_AREA if min(size) < min(picture.shape[:2]) else cv2.INTER_LINEAR
    return cv2.resize(picture, (w, h), interpolation=way)


def painted(good: np.ndarray, mask: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    """The picture with a mask in one colour."""
    picture = good.copy()
    picture[mask] = colour
    return picture


def lighter(good: np.ndarray, mask: np.ndarray, levels: int) -> np.ndarray:
    """The picture with a mask lighter by so many levels."""
    return np.where(mask[:, :, None], (good + float(levels)).clip(0, 255), good).astype(np.uint8)


GROUND, NUT = (215, 205, 70), (190, 170, 140)


def _disc(at: tuple[int, int], radius: int, side: int = 256) -> np.ndarray:
    canvas = np.zeros((side, side), np.uint8)
    return cv2.circle(canvas, at, radius, [1], cv2.FILLED) > 0


DISC, SHADOW = _disc((120, 128), 60), _disc((150, 128), 60)


def shadowed(part: tuple[int, ...] = NUT, ground: tuple[int, ...] = GROUND) -> np.ndarray:
    """A disc with a shadow on its right, with a little noise."""
    picture = np.full((256, 256, 3), ground, np.float32)
    picture[SHADOW] *= 0.6
    picture[DISC] = part
    noise = np.random.default_rng(0).normal(0, 2, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)
