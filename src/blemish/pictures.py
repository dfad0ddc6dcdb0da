"""The one seam between files, pictures and tensors.

A picture is RGB `uint8` with channels last; a mask is boolean, true on the defect. Tensors are
channels-first: images in [-1, 1], masks in [0, 1].
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageFile, UnidentifiedImageError
from torch import Tensor

from blemish.errors import DataError
from blemish.files import write_atomically
from blemish.levels import Decoded, decoded, mask_of, picture_of

PIXEL_LIMIT = 64_000_000
LEAST_SIDE = 32
SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")

# Pillow's other readers are left out: some of them start programs.
_FORMATS = ("BMP", "JPEG", "PNG", "TIFF", "WEBP")
_GAP, _GROUND = 2, 32


def read_picture(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """Reads a photograph, upright as its EXIF says.

    Grey is repeated into three channels, 16 bits are scaled to 8, and alpha is dropped, as the
    detectors that will read the same file do. Of several pages the first is taken.

    Raises:
        DataError: The file is missing, broken, no picture, or over `PIXEL_LIMIT`.
    """
    return picture_of(decode(path).levels)


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """Reads a mask: true where the brightest of its channels is above half of the range.

    The range is that of the file's type; a file that holds only 0 and 1 is taken at its word.

    Raises:
        DataError: The file is missing, broken, no picture, or over `PIXEL_LIMIT`.
    """
    return mask_of(decode(path).levels)


def decode(path: Path) -> Decoded:
    """Reads a picture or a mask as its file holds it; see `levels.decoded`.

    Raises:
        DataError: The file is missing, broken, no picture, or over `PIXEL_LIMIT`.
    """
    try:
        # Of a name, Pillow would map the file into memory and garble a grey TIFF on its side.
        with path.open("rb") as file, _strictly(), Image.open(file, formats=_FORMATS) as image:
            _refuse_large(path, image.width * image.height)
            return decoded(path, image)
    except DataError:
        raise
    except Image.DecompressionBombError:
        raise _oversize(path, "far too many") from None
    except FileNotFoundError:
        raise _complaint(f"{path}, which does not exist", "Check its name.") from None
    except IsADirectoryError:
        raise _complaint(f"{path}, which is a folder", "Name one file in it.") from None
    except UnidentifiedImageError:
        raise _complaint(f"{path}, which holds no picture", "Export it again.") from None
    except Exception as error:  # Pillow lets most of Python's errors out of a malformed file.
        raise _complaint(f"{path}, which can't be read: {error}", "Export it again.") from error


def refuse_small(path: Path, picture: UInt8[np.ndarray, "h w 3"]) -> None:
    """Raise a DataError if a picture is smaller than `LEAST_SIDE` squared."""
    h, w = picture.shape[:2]
    if min(h, w) < LEAST_SIDE:
        raise DataError(
            got=f"{path}, a picture of {w} × {h} pixels",
            expected=f"a photograph of at least {LEAST_SIDE} × {LEAST_SIDE} pixels",
            todo="Give the photograph as the camera took it.",
        )


def write_picture(
    path: Path,
    picture: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"] | Bool[np.ndarray, "h w"],
) -> None:
    """Writes a PNG, the whole or none; a boolean mask becomes 0 and 255.

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
    """A picture, or a batch of them, as an image in [-1, 1]."""
    channels_first = np.ascontiguousarray(np.moveaxis(picture, -1, -3))
    return torch.from_numpy(channels_first).float() / 127.5 - 1


def to_picture(image: Float[Tensor, "*n 3 h w"]) -> UInt8[np.ndarray, "*n h w 3"]:
    """The nearest picture to an image in [-1, 1]; what lies outside is clamped."""
    levels = (image.detach().float() + 1) * 127.5
    return levels.round().clamp(0, 255).byte().movedim(-3, -1).contiguous().cpu().numpy()


def mask_to_tensor(
    mask: Bool[np.ndarray, "*n h w"] | UInt8[np.ndarray, "*n h w"],
) -> Float[Tensor, "*n 1 h w"]:
    """A mask of booleans, or of 0 and 1, as a tensor of 0 and 1."""
    return torch.from_numpy(np.ascontiguousarray(mask)).float().unsqueeze(-3)


def to_mask(mask: Float[Tensor, "*n 1 h w"]) -> Bool[np.ndarray, "*n h w"]:
    """True where a mask in [0, 1] is above one half."""
    return (mask.detach().squeeze(-3) > 0.5).cpu().numpy()


def fit(picture: UInt8[np.ndarray, "h w 3"], resolution: int) -> UInt8[np.ndarray, "r r 3"]:
    """Resizes to a square: averages areas when shrinking, interpolates when enlarging.

    A picture that is not square is squeezed, not cropped: a defect may lie at its border.
    """
    return _resize(picture, resolution)


def fit_mask(mask: Bool[np.ndarray, "h w"], resolution: int) -> Bool[np.ndarray, "r r"]:
    """Resizes a mask as `fit` does its picture, without losing a thin scratch.

    A pixel is on where at least half of it is covered. One that is covered at all is on too if
    otherwise it and its eight neighbours were all off: no part of the defect moves by more than a
    pixel, and a bulky one keeps its area.
    """
    coverage = _resize(mask.astype(np.float32), resolution)
    half = coverage >= 0.5
    near = cv2.dilate(half.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)
    return half | ((coverage > 0) & ~near)


def grid(
    pictures: Sequence[UInt8[np.ndarray, "h w 3"]], columns: int
) -> UInt8[np.ndarray, "H W 3"]:
    """Tiles pictures of one size row by row on a dark ground, with small gaps between."""
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


def _refuse_large(path: Path, pixels: int) -> None:
    if pixels > PIXEL_LIMIT:
        raise _oversize(path, f"{pixels:,}")


def _oversize(path: Path, pixels: str) -> DataError:
    return DataError(
        got=f"{path} with {pixels} pixels",
        expected=f"at most {PIXEL_LIMIT:,}",
        todo="Crop it to the part, or export it smaller.",
    )


def _complaint(got: str, todo: str) -> DataError:
    return DataError(got=got, expected="a PNG, JPEG, BMP, TIFF or WebP picture", todo=todo)


@contextmanager
def _strictly() -> Iterator[None]:
    # Other libraries tell Pillow to fill truncated files with grey; here a torn file is an error.
    lenient, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES = lenient
