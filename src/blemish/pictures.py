"""Conversion between files, images and tensors.

An image is RGB `uint8` with channels last; a mask is boolean, true on the defect. Tensors are
channels-first: images in [-1, 1], masks in [0, 1].
"""

import io
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor

from blemish.decode import decode_photograph
from blemish.errors import DataError
from blemish.files import write_atomically
from blemish.levels import picture_of
from blemish.notes import note

LEAST_SIDE = 32
OBLONG = 1.5  # the ratio of the sides from which squeezing to a square is worth a note

_GAP, _GROUND = 2, 32


def read_picture(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Read a photograph, upright by its EXIF orientation.

    Grey is repeated into three channels, 16 bits are scaled to 8, and alpha is dropped, as
    detectors do that read the same file. Of several pages the first is used.

    Raises:
        DataError: As in `decode.decode_photograph`.
    """
    found = decode_photograph(path)
    return picture_of(found.levels, found.white)


def note_oblong(path: Path, width: int, height: int) -> None:
    """Log a note if a picture's sides differ by more than a factor of `OBLONG`."""
    if is_oblong(width, height):
        note(f"{path} is {width} × {height}; the model sees it squeezed to a square.")


def is_oblong(width: int, height: int) -> bool:
    """Whether sides differ by more than a factor of `OBLONG`."""
    return max(width, height) > OBLONG * min(width, height)


def refuse_small(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Raise a DataError if an image is smaller than `LEAST_SIDE` squared."""
    h, w = picture.shape[:2]
    if min(h, w) < LEAST_SIDE:
        raise DataError(
            got=f"{path}, an image of {w} × {h} pixels",
            expected=f"a photograph of at least {LEAST_SIDE} × {LEAST_SIDE} pixels",
            todo="Use the original photograph from the camera.",
        )


def write_picture(
    path: Path,
    picture: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
) -> None:
    """Write a PNG, whole or not at all; a boolean mask becomes 0 and 255.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    write_atomically(path, png(picture))


def png(
    picture: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
) -> bytes:
    """A picture as a PNG; a boolean mask becomes 0 and 255."""
    levels = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, format="PNG", compress_level=3)
    return buffer.getvalue()


def to_tensor(picture: UInt8[np.ndarray, "*n h w 3"]) -> Float[Tensor, "*n 3 h w"]:
    """Image tensor in [-1, 1] of an image, or of a batch of them."""
    channels_first = np.ascontiguousarray(np.moveaxis(picture, -1, -3))
    return torch.from_numpy(channels_first).float() / 127.5 - 1


def to_picture(image: Float[Tensor, "*n 3 h w"]) -> UInt8[np.ndarray, "*n h w 3"]:
    """Nearest image to a tensor in [-1, 1]; values outside are clamped."""
    levels = (image.detach().float() + 1) * 127.5
    return levels.round().clamp(0, 255).byte().movedim(-3, -1).contiguous().cpu().numpy()


def mask_to_tensor(
    mask: Bool[np.ndarray, "*n h w"] | UInt8[np.ndarray, "*n h w"],
) -> Float[Tensor, "*n 1 h w"]:
    """Tensor of 0 and 1 from a mask of booleans, or of 0 and 1."""
    return torch.from_numpy(np.ascontiguousarray(mask)).float().unsqueeze(-3)


def to_mask(mask: Float[Tensor, "*n 1 h w"]) -> Bool[np.ndarray, "*n h w"]:
    """Boolean mask, true where a mask in [0, 1] is above one half."""
    return (mask.detach().squeeze(-3) > 0.5).cpu().numpy()


def fit_square(picture: UInt8[np.ndarray, "h w 3"], resolution: int) -> UInt8[np.ndarray, "r r 3"]:
    """Resize to a square: averages areas when shrinking, interpolates when enlarging.

    An image that is not square is squeezed, not cropped, because a defect may be at its border.
    """
    return _resize(picture, resolution)


def fit_mask(mask: Bool[np.ndarray, "h w"], resolution: int) -> Bool[np.ndarray, "r r"]:
    """Resize a mask as `fit_square` does its image, without losing a thin scratch.

    A pixel is on if at least half of it is covered. A covered pixel is also on if otherwise it and
    its eight neighbours were all off: no part of the defect moves by more than a pixel, and a large
    one keeps its area.
    """
    coverage = _resize(mask.astype(np.float32), resolution)
    half = coverage >= 0.5
    near = cv2.dilate(half.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return half | ((coverage > 0) & ~near)


def grid(
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]], columns: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Grid of images of one size on a dark background, with small gaps."""
    height, width, _ = pictures[0].shape
    down, right = height + _GAP, width + _GAP
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * down - _GAP, columns * right - _GAP, 3), _GROUND, np.uint8)
    for index, picture in enumerate(pictures):
        top, left = index // columns * down, index % columns * right
        sheet[top : top + height, left : left + width] = picture
    return sheet


def _resize(array: np.ndarray, resolution: int) -> np.ndarray:
    # Two steps, because area averaging would take the nearest pixel along a side that grows.
    height, width = (min(side, resolution) for side in array.shape[:2])
    small = cv2.resize(array, (width, height), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (resolution, resolution), interpolation=cv2.INTER_LINEAR)
