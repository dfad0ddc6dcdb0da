"""Perceptual colours."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, Num, UInt8

NOTICEABLE = 2.3  # in CIELAB (Mahy et al., 1994)


_LUMINANCE = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def luminance(colours: Num[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 1"]:
    """Luminance of pictures or of changes of them, to the precision of their levels."""
    weights = _LUMINANCE if colours.dtype == np.uint8 else _LUMINANCE.astype(np.float32)
    return (colours @ weights)[..., None]


def lab(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w 3"]:
    """CIELAB, in which a visible distance is at least `NOTICEABLE`."""
    return cv2.cvtColor(picture.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def visible_change(
    picture: UInt8[np.ndarray, "h w 3"], twin: UInt8[np.ndarray, "h w 3"]
) -> Bool[np.ndarray, "h w"]:
    """Pixels in which two pictures differ by more than `NOTICEABLE`."""
    return np.linalg.norm(lab(picture) - lab(twin), axis=2) > NOTICEABLE


def of_lab(colours: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """Image of CIELAB colours, clipped to the gamut of sRGB."""
    shown = cv2.cvtColor(colours.astype(np.float32), cv2.COLOR_LAB2RGB)
    return np.rint(np.clip(shown, 0, 1) * 255).astype(np.uint8)
