r"""How well a filling fits its surroundings, without the true picture of the hole.

    seam     mean step of lightness across the outline, over the mean step between neighbours
             within `BAND` pixels of it on both sides,
    tone     distance of the mean colours of the bands inside and outside, in CIELAB, over the
             deviation of colours outside,
    texture  deviation of fine detail inside over that in the band outside.

The bands are as wide as the hole's depth allows.
"""

from dataclasses import asdict, dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab
from blemish.data.masks import box_around

BAND = 8  # pixels on each side of the outline
MOST_SEAM = 1.5
MOST_TONE = 1.5  # deviations of the colours outside
TEXTURES = (0.4, 2.5)
DETAIL_PX = 2.0
FINEST = 0.3  # lightness: below it, detail is rounding

Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FillScores:
    """Scores of a filling; see the module's docstring."""

    seam: float
    tone: float
    texture: float

    def reasons(self) -> tuple[str, ...]:
        """Reasons against the use of the filling as good material; empty without any."""
        found = []
        if self.seam > MOST_SEAM:
            found.append(f"visible seam: {self.seam:.2f}, above {MOST_SEAM}")
        if self.tone > MOST_TONE:
            found.append(f"another tone: {self.tone:.2f}, above {MOST_TONE}")
        low, high = TEXTURES
        if not low <= self.texture <= high:
            found.append(f"another texture: {self.texture:.2f}, outside {low} to {high}")
        return tuple(found)

    def row(self) -> dict[str, float]:
        """Rounded for a report."""
        return {name: round(value, 4) for name, value in asdict(self).items()}


def judge_filling(picture: UInt8[np.ndarray, "h w 3"], hole: Mask) -> FillScores:
    """Scores of a picture whose hole was filled.

    Args:
        picture: The filled picture.
        hole: The hole; neither empty nor the whole picture.
    """
    box = box_around(hole, 2 * BAND)
    colours, inside = lab(picture[box]), hole[box]
    near, far = _band(inside), _band(~inside)
    return FillScores(
        seam=_seam(colours[:, :, 0], inside, near | far),
        tone=_tone(colours, near, far),
        texture=_texture(colours[:, :, 0], inside, far),
    )


def _band(inside: Mask) -> Mask:
    """Pixels of a region within `BAND` of its outline."""
    padded = np.pad(inside.astype(np.uint8), 1, mode="edge")
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return inside & (depth <= BAND)


def _seam(lightness: Float[np.ndarray, "h w"], inside: Mask, band: Mask) -> float:
    across, beside = [], []
    for axis in (0, 1):
        step = np.abs(np.diff(lightness, axis=axis))
        first, second = (np.take(band, _rows(band, axis, k), axis=axis) for k in (0, 1))
        edge = np.diff(inside.astype(np.int8), axis=axis) != 0
        across.append(step[edge])
        beside.append(step[first & second & ~edge])
    usual = np.concatenate(beside)
    if not len(usual) or not len(np.concatenate(across)):
        return 1.0
    return float(np.concatenate(across).mean() / max(usual.mean(), FINEST))


def _rows(array: Mask, axis: int, first: int) -> range:
    return range(first, array.shape[axis] - 1 + first)


def _tone(colours: Float[np.ndarray, "h w 3"], near: Mask, far: Mask) -> float:
    if not far.any():
        return 0.0
    outside = colours[far]
    apart = np.linalg.norm(colours[near].mean(axis=0) - outside.mean(axis=0))
    return float(apart / max(np.linalg.norm(outside.std(axis=0)), 1.0))


def _texture(lightness: Float[np.ndarray, "h w"], inside: Mask, far: Mask) -> float:
    fine = lightness - cv2.GaussianBlur(lightness, (0, 0), DETAIL_PX)
    if not far.any():
        return 1.0
    return float(max(fine[inside].std(), FINEST) / max(fine[far].std(), FINEST))
