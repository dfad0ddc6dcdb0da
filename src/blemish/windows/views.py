r"""Windows cut out of photographs: how much of a photograph is seen, and at which scale.

A defect of up to 100 pixels a side is seen in a view of about 1.6 times its side, at least 128
pixels, and shown in a window of 128; a larger one in a view of 1.35 times its side, at least 256
pixels, and a window of 256. So most windows show the photograph at its own scale. A view is an
affine map of window pixels to photograph pixels,

    p = c + z R(\phi) F (q - (s - 1) / 2),

with the middle c, the zoom z, the turn R, the mirror F and the window's side s.
"""

from dataclasses import dataclass
from math import log2

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.windows.sources import Affine, SourcePhotograph

SMALL, LARGE = 128, 256  # sides of windows
MOST_IN_SMALL = 100  # side of a defect that a small window shows
FILL = {SMALL: 1.6, LARGE: 1.35}  # side of a view over the side of its defect


@dataclass(frozen=True, slots=True)
class View:
    """A square part of a photograph, as a window shows it.

    Attributes:
        side: Side of the window, in pixels.
        matrix: From window to photograph pixels (x, y).
        zoom: Photograph pixels per window pixel.
    """

    side: int
    matrix: Affine
    zoom: float

    @property
    def log_zoom(self) -> float:
        return log2(self.zoom)


def window_side(defect_side: float) -> int:
    """Side of the window that a defect of so many pixels is shown in."""
    return SMALL if defect_side <= MOST_IN_SMALL else LARGE


def usual_zoom(defect_side: float, photograph_side: int) -> float:
    """Zoom at which a defect is drawn: 1 where a window holds it, else what makes it fit.

    A view is no larger than the photograph, unless the window or the defect is.
    """
    side = window_side(defect_side)
    return max(side, min(FILL[side] * defect_side, max(photograph_side, defect_side))) / side


def upright_view(middle: Float[np.ndarray, "2"], side: int, zoom: float) -> View:
    """A view that is neither turned nor mirrored; at zoom 1 it is cut at whole pixels."""
    if zoom == 1:
        middle = np.floor(middle) + 0.5
    return _view(middle, side, zoom, np.eye(2))


def turned_view(
    middle: Float[np.ndarray, "2"], side: int, zoom: float, rng: np.random.Generator
) -> View:
    """A view turned at random, mirrored by chance; half of them exactly, by quarters at zoom 1."""
    mirror = mirrored(rng)
    if zoom <= 1.1 and rng.random() < 0.5:
        quarter = int(rng.integers(4))
        turn = np.round(rotation(quarter * np.pi / 2))
        return _view(np.floor(middle) + 0.5, side, 1.0, turn @ mirror)
    return _view(middle, side, zoom, rotation(rng.uniform(0, 2 * np.pi)) @ mirror)


def rotation(angle: float) -> Float[np.ndarray, "2 2"]:
    """Turn by an angle in radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def mirrored(rng: np.random.Generator) -> Float[np.ndarray, "2 2"]:
    """Mirror left and right, or none, by chance."""
    return np.diag([rng.choice([-1.0, 1.0]), 1.0])


def cut_picture(source: SourcePhotograph, view: View) -> UInt8[np.ndarray, "s s 3"]:
    """The view's pixels; beyond the photograph it is reflected."""
    halvings = max(0, int(log2(max(view.zoom, 1) / 1.4) + 1)) if view.zoom > 1.4 else 0
    picture = source.halved(halvings)
    matrix = _at_half(view.matrix, 2.0**-halvings) if halvings else view.matrix
    return _warp(picture, matrix, view.side, cv2.INTER_CUBIC, cv2.BORDER_REFLECT)


def cut_mask(mask: Bool[np.ndarray, "h w"], matrix: Affine, side: int) -> Bool[np.ndarray, "s s"]:
    """A mask through an affine map from window pixels to its own; nothing beyond it."""
    levels = _warp(mask.astype(np.float32), matrix, side, cv2.INTER_LINEAR, cv2.BORDER_CONSTANT)
    return levels > 0.5


def chained(first: Affine, second: Affine) -> Affine:
    """The affine map that applies `first`, then `second`."""
    together = np.vstack([second, [0, 0, 1]]) @ np.vstack([first, [0, 0, 1]])
    return together[:2]


def inverted(matrix: Affine) -> Affine:
    """The affine map that undoes another."""
    return cv2.invertAffineTransform(matrix)


def _view(middle: np.ndarray, side: int, zoom: float, turn: np.ndarray) -> View:
    linear = zoom * turn
    matrix = np.column_stack([linear, middle - linear @ np.full(2, (side - 1) / 2)])
    return View(side, matrix, zoom)


def _at_half(matrix: Affine, scale: float) -> Affine:
    """The same map to the pixels of a picture shrunk by `scale`, whose middles lie between."""
    shrunk = matrix * scale
    shrunk[:, 2] += (scale - 1) / 2
    return shrunk


def _warp(picture: np.ndarray, matrix: Affine, side: int, how: int, border: int) -> np.ndarray:
    flags = how | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, matrix, (side, side), flags=flags, borderMode=border)
