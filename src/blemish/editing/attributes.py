r"""Attributes of a part, measured on a picture without labels from people.

    tone         mean lightness of the part, in CIELAB,
    warmth       its mean b*, from blue to yellow,
    size         square root of its share of the picture,
    elongation   1 - b / a of its axes (second moments),
    turn         e \sin 2\theta, with the elongation e and the angle θ of the longer axis,
    across       column of its middle, in sides of the picture,
    down         row of its middle,
    gloss        95th percentile of its lightness minus the median,
    texture      deviation of its lightness from a blurred copy,
    shadow       mean loss of lightness of the ground within a quarter of the part's radius.

All are numbers per picture that grow with what their name says.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab
from blemish.data.shadow import unshadowed_silhouette

ATTRIBUTES = (
    "tone",
    "warmth",
    "size",
    "elongation",
    "turn",
    "across",
    "down",
    "gloss",
    "texture",
    "shadow",
)
BLUR_SHARE = 1 / 64  # of the side: what varies over less is texture
RING_SHARE = 0.25  # of the part's radius: width of the ground that counts as near


def attributes_of(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, " a"]:
    """The `ATTRIBUTES` of a picture, in their order."""
    part, colours = unshadowed_silhouette(picture), lab(picture)
    lightness = colours[:, :, 0]
    inside = _inner(part)
    return np.array(
        [
            lightness[part].mean(),
            colours[part, 2].mean(),
            np.sqrt(part.mean()),
            *_pose(part),
            np.percentile(lightness[inside], 95) - np.median(lightness[inside]),
            _texture(lightness, inside),
            _shadow(lightness, part),
        ]
    )


def measured(pictures: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, "n a"]:
    """Attributes of several pictures."""
    return np.stack([attributes_of(picture) for picture in pictures])


def _inner(part: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The part without its rim, whose pixels mix with the ground."""
    rim = max(1, round(len(part) * BLUR_SHARE))
    inner = cv2.erode(part.astype(np.uint8), np.ones((2 * rim + 1, 2 * rim + 1))) > 0
    return inner if inner.any() else part


def _pose(part: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float]:
    """Elongation, turn, and the middle's column and row."""
    y, x = (np.nonzero(part)[axis] / part.shape[axis] for axis in (0, 1))
    values, axes = np.linalg.eigh(np.cov(np.stack([x, y]))) if len(x) > 2 else _round()
    elongation = 1 - float(np.sqrt(max(values[0], 0) / max(values[1], 1e-9)))
    along = axes[:, 1]
    turn = elongation * 2 * float(along[0] * along[1])  # sin 2θ of a unit vector
    return elongation, turn, float(x.mean()), float(y.mean())


def _round() -> tuple[Float[np.ndarray, "2"], Float[np.ndarray, "2 2"]]:
    return np.ones(2), np.eye(2)


def _texture(lightness: Float[np.ndarray, "h w"], inside: Bool[np.ndarray, "h w"]) -> float:
    smooth = cv2.GaussianBlur(lightness, (0, 0), max(0.5, len(lightness) * BLUR_SHARE))
    return float((lightness - smooth)[inside].std())


def _shadow(lightness: Float[np.ndarray, "h w"], part: Bool[np.ndarray, "h w"]) -> float:
    """Darkness of the near ground beside that of the whole ground; 0 without a ground."""
    away = cv2.distanceTransform((~part).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    radius = np.sqrt(part.sum() / np.pi)
    near = (away > 1) & (away < 1 + RING_SHARE * radius)
    if part.all() or not near.any():
        return 0.0
    return float((np.median(lightness[~part]) - lightness[near]).clip(min=0).mean())
