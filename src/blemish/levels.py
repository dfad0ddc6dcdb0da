"""Stored levels of an image file, before conversion to an image.

Levels are upright, of 8 or 16 bits: grey `h w`, grey and alpha `h w 2`, RGB `h w 3` or RGBA `h w
4`. Black is 0. White is 255 in 8 bits; in 16 bits it is 65535, or less where a camera of 10,
12 or 14 bits fills only the lower part of the range.
"""

import numpy as np
from jaxtyping import Int, Shaped, UInt, UInt8, UInt16

Levels = UInt8[np.ndarray, "h w *channels"] | UInt16[np.ndarray, "h w *channels"]


def picture_of(levels: Levels, white: int | None = None) -> UInt8[np.ndarray, "h w 3"]:
    """The picture that levels make; those of RGB with 8 bits are one already.

    Args:
        levels: Levels of a photograph.
        white: The level that becomes 255; the highest of its type unless given.
    """
    if levels.dtype == np.uint16:
        levels = _in_8_bits(levels, white or np.iinfo(levels.dtype).max)
    colours = colours_of(levels)
    three = colours if colours.shape[2] == 3 else np.repeat(colours, 3, axis=2)
    return np.ascontiguousarray(three)


def changed_levels(
    levels: UInt[np.ndarray, "n c"], by: Int[np.ndarray, "n c"], white: int
) -> UInt[np.ndarray, "n c"]:
    """Levels whose pictures differ by exactly so many of 255, cut to the range.

    Args:
        levels: Colour channels of some pixels.
        by: Change of their picture.
        white: The level that becomes 255.
    """
    old = levels.astype(np.int64)
    shown = (_shown(old, white) + by).clip(0, 255)
    step = (2 * white * by.astype(np.int64) + 255) // 510  # rounded
    least = -(-(shown * white - white // 2) // 255)
    most = -(-((shown + 1) * white - white // 2) // 255) - 1
    fresh = (old + step).clip(least, most).clip(0, white)
    return np.where(by == 0, old, fresh).astype(levels.dtype)


def colours_of(levels: Levels) -> UInt[np.ndarray, "h w colours"]:
    """View of the channels without alpha, one or three."""
    channels = levels.reshape(*levels.shape[:2], -1)
    return channels[:, :, : 1 if channels.shape[2] < 3 else 3]


def upright(
    stored: Shaped[np.ndarray, "rows columns *channels"], orientation: int
) -> Shaped[np.ndarray, "h w *channels"]:
    """Rotate from the file's orientation to the displayed one.

    Args:
        stored: Rows and columns as stored.
        orientation: EXIF orientation, 1 to 8.
    """
    assert 1 <= orientation <= 8
    turned = stored.swapaxes(0, 1) if orientation > 4 else stored
    down, right = ((1, 1), (1, -1), (-1, -1), (-1, 1))[(orientation - 1) % 4]
    return np.ascontiguousarray(turned[::down, ::right])


def as_stored(
    levels: Shaped[np.ndarray, "h w *channels"], orientation: int
) -> Shaped[np.ndarray, "rows columns *channels"]:
    """Inverse of `upright`."""
    return upright(levels, {6: 8, 8: 6}.get(orientation, orientation))  # the rest are self-inverse


def _in_8_bits(levels: Levels, white: int) -> UInt8[np.ndarray, "h w *channels"]:
    return _shown(levels.astype(np.uint32), white).clip(0, 255).astype(np.uint8)


def _shown(levels: np.ndarray, white: int) -> np.ndarray:
    """Levels from 0 to `white` as 0 to 255, rounded."""
    return (levels * 255 + white // 2) // white
