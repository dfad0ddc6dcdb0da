r"""The model's change, added to the photograph's own pixels.

The model has its own resolution, and the photograph x may be larger. Only the change Δ = defective
- twin is transferred, so that errors of the inversion cancel:

    y = x + s · α · up(Δ),

with a strength s in (0, 1], constant or local (`strength`), and a cover α: the mask at the
photograph's full resolution, with an edge softened by a fraction of a model pixel. Before Δ is
enlarged, normalised convolution (Knutsson & Westin, 1993) extends it beyond the mask to avoid a
pale rim at the edge of coarse pixels.
"""

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import luminance

VISIBLE_LEVELS = 6
LEAST_LEVELS = 1
REACH_SHARE = 1 / 64
EDGE_SHARE = 1 / 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """Defective photograph, and the exact mask of the pixels that differ from the good one."""

    picture: UInt8[np.ndarray, "h w 3"]
    changed: Bool[np.ndarray, "h w"]


def reach_px(height: int, width: int) -> int:
    """Reach beyond the requested mask, in pixels: 1/64 of the longer side, at least 2."""
    return max(2, ceil(max(height, width) * REACH_SHARE))


def within_reach(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "h w"]:
    """The mask dilated by the reach, in Euclidean distance."""
    return within(mask, reach_px(*mask.shape))


def within(mask: Bool[np.ndarray, "h w"], pixels: float) -> Bool[np.ndarray, "h w"]:
    """The mask dilated by so many pixels, in Euclidean distance."""
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return away <= pixels


def carry(
    picture: UInt8[np.ndarray, "h w 3"],
    change: Float[np.ndarray, "r r 3"],
    drawn: Float[np.ndarray, "r r"],
    cover: Float[np.ndarray, "h w"],
    requested: Bool[np.ndarray, "h w"],
    *,
    strength: float | Float[np.ndarray, "h w"] = 1.0,
    grey: bool = False,
) -> Carried:
    """Add the model's change to the photograph.

    Args:
        picture: The good photograph.
        change: Defective minus twin, in levels of 0..255.
        drawn: Mask that the model intends for the defect, in [0, 1].
        cover: The same at the photograph's resolution.
        requested: Mask that the user requested; nothing changes beyond its reach.
        strength: Fraction of the change to apply, in [0, 1], constant or per pixel.
        grey: Change the luminance only, so that a grey photograph stays grey.

    Returns:
        The photograph with its defect. Pixels that would change by less than
        `VISIBLE_LEVELS` in every channel stay unchanged, so that the mask is exactly where bytes
        differ.
    """
    h, w = picture.shape[:2]
    wide = cv2.resize(_continued(change, drawn), (w, h), interpolation=cv2.INTER_CUBIC)
    if grey:
        wide = luminance(wide)
    step = np.broadcast_to((strength * cover)[:, :, None] * wide, picture.shape)
    return put_on(picture, step, within_reach(requested))


def put_on(
    picture: UInt8[np.ndarray, "h w 3"],
    step: Float[np.ndarray, "h w 3"],
    allowed: Bool[np.ndarray, "h w"],
    *,
    whole: Bool[np.ndarray, "h w"] | None = None,
) -> Carried:
    """Put a change onto a photograph, so that the mask is exactly where bytes differ.

    Args:
        picture: The good photograph.
        step: The change, in levels of 0..255.
        allowed: Pixels that may change.
        whole: Region in which the mask must have no holes: each pixel changes by `LEAST_LEVELS` or
            more. Elsewhere a pixel that would change by less than `VISIBLE_LEVELS` in every channel
            is left as it was.
    """
    least: int | np.ndarray = VISIBLE_LEVELS
    if whole is not None:
        step = _moved_everywhere(step, picture, whole)
        least = np.where(whole, LEAST_LEVELS, VISIBLE_LEVELS)
    fresh = np.rint(picture + step).clip(0, 255).astype(np.uint8)
    far = np.abs(fresh.astype(np.int16) - picture).max(axis=2)
    changed = (far >= least) & allowed
    return Carried(picture=np.where(changed[:, :, None], fresh, picture), changed=changed)


def _moved_everywhere(
    step: Float[np.ndarray, "h w 3"],
    picture: UInt8[np.ndarray, "h w 3"],
    inside: Bool[np.ndarray, "h w"],
) -> Float[np.ndarray, "h w 3"]:
    """Add a minimal step inside wherever rounding would leave a pixel unchanged."""
    room = np.where(picture >= 128, -1.0, 1.0)  # away from the nearer end of the range
    landed = np.rint(picture + step).clip(0, 255)
    still = np.abs(landed - picture).max(axis=2) < LEAST_LEVELS
    return np.where((still & inside)[:, :, None], room * LEAST_LEVELS, step)


def soft_cover(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Soften the edge of a mask as a lens would, less if that would erase a scratch.

    The faint skirt of the blur is cut off: it would be visible and extend the label beyond the
    mask.
    """
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()
    sigma = max(0.5, min(depth / 2, max(mask.shape) * EDGE_SHARE))
    return _steepened(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma))


def enlarged_cover(
    drawn: Float[np.ndarray, "r r"], height: int, width: int
) -> Float[np.ndarray, "h w"]:
    """Enlarge a mask from the model's resolution and steepen its edge."""
    wide = cv2.resize(drawn.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return _steepened(wide)


def _steepened(cover: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Rescale from a quarter to three quarters; the edge at one half stays in place."""
    return np.clip((cover - 0.25) * 2, 0, 1)


def _continued(
    change: Float[np.ndarray, "r r 3"], drawn: Float[np.ndarray, "r r"]
) -> Float[np.ndarray, "r r 3"]:
    weight = drawn.astype(np.float32)
    weight = weight * cv2.blur(weight, (3, 3)) ** 2  # half-covered ones know little
    outside = np.zeros_like(change)
    for sigma in (4.0, 1.5, 0.7):  # coarse levels fill the gaps of fine ones
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(change * weight[:, :, None], (0, 0), sigma)
        trust = np.clip(total * 20, 0, 1)[:, :, None]
        mean = mean / np.maximum(total, 1e-6)[:, :, None]
        outside = outside + trust * (mean - outside)
    return outside + weight[:, :, None] * (change - outside)
