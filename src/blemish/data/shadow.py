r"""The part's silhouette without the shadow that the part casts.

A shadow takes light from the ground and leaves its colour. In linear light a shadowed pixel is

    p \approx k g,   0 < k < 1,

with the ground's colour g; k is found by least squares, and p / k is compared with g in the two
colour axes of CIELAB. A part without a colour of its own on a grey ground fits this model as well;
then what is left is too little, and the silhouette stays as it is.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab
from blemish.data.masks import silhouette

GAMMA = 2.2
DARKEST = 0.2  # share of the ground's light that a shadow leaves at least
COLOUR_DISTANCE = 10.0  # in a* and b*; the photograph's noise is brightened with the shadow
LEAST_LEFT = 0.6  # of the silhouette
OPEN_PX = 3  # radius at `SIDE` pixels; wider than the fringe between the part and its shadow
CLOSE_PX = 12  # a bite out of the outline, where the part has the ground's colour
SIDE = 512  # of the longer side at most, at which silhouettes are found


def unshadowed_silhouette(picture: UInt8[np.ndarray, "h w 3"]) -> Bool[np.ndarray, "h w"]:
    """Where the part is on a photograph, without its shadow.

    A larger photograph is looked at with `SIDE` pixels on its longer side.
    """
    h, w = picture.shape[:2]
    scale = SIDE / max(h, w)
    if scale >= 1:
        return without_shadow(picture, silhouette(picture))
    size = max(1, round(w * scale)), max(1, round(h * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    part = without_shadow(small, silhouette(small)).astype(np.float32)
    return cv2.resize(part, (w, h), interpolation=cv2.INTER_LINEAR) > 0.5


def without_shadow(
    picture: UInt8[np.ndarray, "h w 3"], part: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """A silhouette without what looks like the ground in less light.

    Returns:
        The largest piece that is left, filled; the silhouette itself where that is less than
        `LEAST_LEFT` of it, or where there is no ground.
    """
    if part.all():
        return part
    left = (part & ~_shadowed(picture, ~part)).astype(np.uint8)
    left = cv2.morphologyEx(left, cv2.MORPH_OPEN, _disc(OPEN_PX))
    left = cv2.morphologyEx(left, cv2.MORPH_CLOSE, _disc(CLOSE_PX)) * part.astype(np.uint8)
    if not left.any():
        return part
    outlines, _ = cv2.findContours(left, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea)
    filled = cv2.drawContours(np.zeros_like(left), [largest], -1, [1], cv2.FILLED) > 0
    return filled if filled.sum() >= LEAST_LEFT * part.sum() else part


def _disc(radius: int) -> UInt8[np.ndarray, "d d"]:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _shadowed(
    picture: UInt8[np.ndarray, "h w 3"], ground: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    linear = (picture / np.float32(255)) ** GAMMA
    colour = np.median(linear[ground], axis=0)
    light = linear @ colour / max(float(colour @ colour), 1e-6)
    relit = linear / np.maximum(light, DARKEST)[:, :, None]
    apart = _axes(relit) - _axes(np.broadcast_to(colour, (1, 1, 3)))
    return (np.linalg.norm(apart, axis=2) < COLOUR_DISTANCE) & (light > DARKEST) & (light < 1)


def _axes(linear: Float[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 2"]:
    """a* and b* of colours in linear light."""
    levels = 255 * linear.clip(0, 1) ** (1 / GAMMA)
    return lab(np.rint(levels).astype(np.uint8))[:, :, 1:]
