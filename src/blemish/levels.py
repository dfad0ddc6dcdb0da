"""Stored levels of an image file, before conversion to an image.

Levels are upright, of 8 or 16 bits: grey `h w`, grey and alpha `h w 2`, RGB `h w 3` or RGBA `h w
4`. A level of 8 bits is 257 of 16, so that black and white are the same in both.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Shaped, UInt, UInt8, UInt16
from PIL import Image, ImageFile, ImageOps

from blemish.errors import DataError

Levels = UInt8[np.ndarray, "h w *channels"] | UInt16[np.ndarray, "h w *channels"]

_ORIENTATION = 0x0112
_MODES = {"1": "L", "L": "L", "LA": "LA", "RGBA": "RGBA"}  # all others are read as RGB
# Raw modes of which Pillow keeps 8 of the 16 bits, with the channels in OpenCV's order.
_DEEP = {"LA": [0, 3], "RGB": [2, 1, 0], "RGBX": [2, 1, 0], "RGBA": [2, 1, 0, 3]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Content of an image file.

    Attributes:
        levels: Levels, upright.
        orientation: EXIF orientation, 1 to 8, of the file's own rows and columns.
        profile: ICC profile of these levels; empty if there is none.
    """

    levels: Levels
    orientation: int
    profile: bytes


def decoded(path: Path, image: Image.Image) -> Decoded:
    """Read an open file.

    Palettes, CMYK and other colours are read as RGB, and one bit per pixel as grey of 8 bits.

    Args:
        path: Path of the file.
        image: Image opened by Pillow, not yet loaded.

    Raises:
        DataError: The file has 32 bits per channel.
        Exception: Any exception of Pillow at a malformed file.
    """
    # In this order: loading removes the raw mode, and a TIFF's orientation.
    raw = _raw_mode(image)
    tag = image.getexif().get(_ORIENTATION)
    orientation = tag if isinstance(tag, int) and 1 <= tag <= 8 else 1
    levels = _levels(path, ImageOps.exif_transpose(image))
    if raw[-4:] in (";16B", ";16L", ";16N") and raw[:-4] in _DEEP:
        levels = _deep(path, image.format == "PNG", orientation)[:, :, _DEEP[raw[:-4]]]
    return Decoded(levels=levels, orientation=orientation, profile=_profile(image, levels))


def picture_of(levels: Levels) -> UInt8[np.ndarray, "h w 3"]:
    """Image of the levels; RGB of 8 bits is returned unchanged."""
    if levels.dtype == np.uint16:
        levels = ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    colours = colours_of(levels)
    three = colours if colours.shape[2] == 3 else np.repeat(colours, 3, axis=2)
    return np.ascontiguousarray(three)


def mask_of(levels: Levels) -> Bool[np.ndarray, "h w"]:
    """Mask of the levels: true where the brightest colour is above half of the range.

    Levels of only 0 and 1 count as a mask as they are.
    """
    brightest = colours_of(levels).max(axis=2)
    if brightest.max() <= 1:
        return brightest == 1
    return brightest > np.iinfo(levels.dtype).max // 2


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


def _raw_mode(image: Image.Image) -> str:
    args = image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _levels(path: Path, image: Image.Image) -> Levels:
    if image.mode in ("I", "F") and not _holds_16_bits(image):
        raise DataError(
            got=f"{path} with 32 bits per pixel",
            expected="8 or 16 bits per channel",
            todo="Export it with 8 or 16 bits.",
        )
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    return np.array(image.convert(_MODES.get(image.mode, "RGB")))


def _holds_16_bits(image: Image.Image) -> bool:
    # Some releases of Pillow open a 16-bit PNG in its 32-bit mode.
    return image.mode == "I" and image.format == "PNG"


def _deep(path: Path, lies_as_stored: bool, orientation: int) -> UInt16[np.ndarray, "h w c"]:
    """All 16 bits of a file that Pillow can read; OpenCV rotates a TIFF by itself."""
    read = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise ValueError("its 16 bits are stored in an unusual way")
    return upright(np.asarray(read), orientation if lies_as_stored else 1)


def _profile(image: Image.Image, levels: Levels) -> bytes:
    """ICC profile, left out if the colours were converted, because it no longer applies."""
    profile = image.info.get("icc_profile") or b""
    meant = b"GRAY" if colours_of(levels).shape[2] == 1 else b"RGB "
    return profile if profile[16:20] == meant else b""
