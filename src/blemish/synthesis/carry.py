r"""The change that the model drew, carried back to the photograph's own pixels.

The model works at its own resolution on what may be a larger photograph x. Only its change
Δ = defective - twin is taken over, so that errors of the inversion stay behind:

    y = x + s · α · up(Δ),

with a strength s in (0, 1], the same all over or not (`fading`), and a cover α that is the mask at
the photograph's full resolution, its edge softened by a fraction of a model pixel. Before it is
enlarged, Δ is continued beyond the mask by normalised convolution (Knutsson & Westin, 1993), lest
its fading at the edge of coarse pixels show as a pale rim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

VISIBLE_LEVELS = 6
LEAST_LEVELS = 1
REACH_SHARE = 1 / 64
EDGE_SHARE = 1 / 400
Detail = Callable[[Float[np.ndarray, "h w 3"]], Float[np.ndarray, "h w 3"]]
LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A defective photograph, and the exact mask of the pixels that differ from the good one."""

    picture: UInt8[np.ndarray, "h w 3"]
    changed: Bool[np.ndarray, "h w"]


def reach_px(height: int, width: int) -> int:
    """How far beyond the requested mask a pixel may change: 1/64 of the longer side, at least 2."""
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
    detail: Detail | None = None,
) -> Carried:
    """Put the model's change onto the photograph.

    Args:
        picture: The good photograph.
        change: Defective minus twin, in levels of 0..255.
        drawn: Where the model means the defect to be, in [0, 1].
        cover: The same at the photograph's resolution.
        requested: What the user asked for; nothing changes beyond its reach.
        strength: How much of the change is put on, in [0, 1], all over or at each pixel.
        grey: Change the luminance only (ITU-R BT.601), so that a grey photograph stays grey.
        detail: Gives the enlarged change what the model is too coarse to draw. Detail crosses zero
            all over; so that the mask has no holes there, every pixel inside it is moved by
            `LEAST_LEVELS` or more, which nobody sees.

    Returns:
        The photograph with its defect. Any other pixel that would change by less than
        `VISIBLE_LEVELS` in every channel is left as it was, so that the mask is exactly where bytes
        differ.
    """
    h, w = picture.shape[:2]
    wide = cv2.resize(_continued(change, drawn), (w, h), interpolation=cv2.INTER_CUBIC)
    if detail is not None:
        wide = detail(wide)
    if grey:
        wide = (wide @ LUMINANCE)[:, :, None]
    step = np.broadcast_to((strength * cover)[:, :, None] * wide, picture.shape)
    whole = None if detail is None else cover > 0.5
    return put_on(picture, step, within_reach(requested), whole=whole)


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
        allowed: Where pixels may change.
        whole: Where the mask must have no holes: each pixel there changes by `LEAST_LEVELS` or
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
    """Steps that land on other levels wherever they would not have inside."""
    room = np.where(picture >= 128, -1.0, 1.0)  # away from the end of the levels that is nearer
    landed = np.rint(picture + step).clip(0, 255)
    still = np.abs(landed - picture).max(axis=2) < LEAST_LEVELS
    return np.where((still & inside)[:, :, None], room * LEAST_LEVELS, step)


def soft_cover(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """A mask with its edge softened as a lens would, less so where it would wipe out a scratch.

    The faint skirt of the blur is cut off: it would be seen, and widen the label beyond the mask.
    """
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max()
    sigma = max(0.5, min(depth / 2, max(mask.shape) * EDGE_SHARE))
    return _steepened(cv2.GaussianBlur(mask.astype(np.float32), (0, 0), sigma))


def enlarged_cover(
    drawn: Float[np.ndarray, "r r"], height: int, width: int
) -> Float[np.ndarray, "h w"]:
    """A mask at the model's resolution, enlarged and its edge steepened."""
    wide = cv2.resize(drawn.astype(np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    return _steepened(wide)


def _steepened(cover: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """From a quarter to three quarters; the edge at one half stays where it is."""
    return np.clip((cover - 0.25) * 2, 0, 1)


def _continued(
    change: Float[np.ndarray, "r r 3"], drawn: Float[np.ndarray, "r r"]
) -> Float[np.ndarray, "r r 3"]:
    weight = drawn.astype(np.float32)
    weight = weight * cv2.blur(weight, (3, 3)) ** 2  # half-covered pixels know little of the inside
    outside = np.zeros_like(change)
    for sigma in (4.0, 1.5, 0.7):  # coarse fills what fine leaves empty
        total = cv2.GaussianBlur(weight, (0, 0), sigma)
        mean = cv2.GaussianBlur(change * weight[:, :, None], (0, 0), sigma)
        trust = np.clip(total * 20, 0, 1)[:, :, None]
        mean = mean / np.maximum(total, 1e-6)[:, :, None]
        outside = outside + trust * (mean - outside)
    return outside + weight[:, :, None] * (change - outside)
