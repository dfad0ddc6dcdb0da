"""From a picture's file to its levels: the only place that meets Pillow, OpenCV and their errors.

Only regular files are opened, of at most `BYTE_LIMIT` bytes and `PIXEL_LIMIT` pixels, and only
with decoders that run nothing. What is wrong with a file becomes a `DataError`.
"""

import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np
from jaxtyping import UInt, UInt8, UInt16
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from blemish.errors import DataError
from blemish.levels import Levels, colours_of, upright
from blemish.reading import FULL, current
from blemish.regular import IrregularFileError, open_regular

PIXEL_LIMIT = 64_000_000
BYTE_LIMIT = 2**29  # 64 million pixels of four channels of 16 bits
DARK = 4095  # a photograph of 16 bits with no higher level is taken for one of a 12-bit camera

KNOWN = "a PNG, JPEG, BMP, TIFF, WebP, GIF or PGM image"

# Pillow's other readers are left out: some of them start programs.
_FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_WIDTH, _HEIGHT, _ORIENTATION, _LARGEST_SAMPLE = 0x0100, 0x0101, 0x0112, 0x0119
_MODES = {"1": "L", "L": "L", "LA": "LA", "RGBA": "RGBA"}  # all others are read as RGB
# Raw modes of which Pillow keeps 8 of the 16 bits, with the channels where OpenCV puts them.
_DEEP = {"LA": [0, 3], "RGB": [2, 1, 0], "RGBX": [2, 1, 0], "RGBA": [2, 1, 0, 3]}
_STEPS = {"1": 255, "L;2": 85, "L;4": 17}  # what Pillow multiplies levels of less than 8 bits by
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What a file holds.

    Attributes:
        levels: Upright.
        orientation: EXIF orientation, 1 to 8: how the file's own rows and columns lie.
        profile: The ICC profile of these levels; empty where there is none.
        white: The level that is white.
        dark: Whether it has 16 bits, but no level above `DARK`, and nothing says what is white.
        step: Factor from the file's own levels to these; 1 unless it has less than 8 bits.
        indices: Palette indices, upright; None without a palette, or if its colours are greys
            from dark to bright.
    """

    levels: Levels
    orientation: int = 1
    profile: bytes = b""
    white: int = 255
    dark: bool = False
    step: int = 1
    indices: UInt8[np.ndarray, "h w"] | None = None

    @property
    def colours(self) -> UInt[np.ndarray, "h w colours"]:
        """Channels without alpha, one or three."""
        return colours_of(self.levels)

    @property
    def alpha(self) -> UInt[np.ndarray, "h w"] | None:
        """Alpha channel; None without one."""
        has_alpha = self.levels.ndim == 3 and self.levels.shape[2] in (2, 4)
        return self.levels[:, :, -1] if has_alpha else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHeader:
    """What is known of a picture before its pixels are read.

    Attributes:
        width: Upright, in pixels.
        height: Upright, in pixels.
        orientation: EXIF orientation, 1 to 8.
    """

    width: int
    height: int
    orientation: int


class UnfitPictureError(Exception):
    """What is wrong with a file, before its name is known; `in_file` adds that."""

    def __init__(self, got: str, expected: str, todo: str) -> None:
        super().__init__(got)
        self.got, self.expected, self.todo = got, expected, todo


@contextmanager
def in_file(path: Path) -> Iterator[None]:
    """Turn what is wrong with a file into a `DataError` that names it."""
    try:
        yield
    except UnfitPictureError as error:
        got = f"{path}{error.got}"
        raise DataError(got=got, expected=error.expected, todo=error.todo) from error


def decode_photograph(path: Path) -> Decoded:
    """Read a photograph as its file holds it.

    Raises:
        DataError: As in `decode`; or it has 16 bits and is black without `Reading.levels`.
    """
    with _opened(path) as (file, image):
        found = _decoded(file, image)
        refuse_dark(found)
        return found


def decode(path: Path) -> Decoded:
    """Read a picture or a mask as its file holds it.

    Palettes, CMYK and other colours are read as RGB, and one bit a pixel as grey of 8 bits. Of
    several pages the first is taken.

    Raises:
        DataError: The file is missing, irregular, broken, no picture, too large, has 32 bits a
            channel, or levels above those that the command was given.
    """
    with _opened(path) as (file, image):
        return _decoded(file, image)


def refuse_dark(found: Decoded) -> None:
    """Refuse 16 bits with so low levels that the camera must have had fewer bits.

    Raises:
        UnfitPictureError: They are.
    """
    if found.dark:
        highest = int(found.levels.max())
        white = usual_white(highest)
        raise UnfitPictureError(
            f" of 16 bits with levels up to {highest} only, which is nearly black",
            "levels up to 65535, or to be told the highest level of the camera",
            f"Add --levels {white}, or levels = {white} to a recipe.",
        )


def usual_white(highest: int) -> int:
    """The highest level of the camera, of 10 bits or more, that most likely gave this one."""
    return 2 ** max(highest.bit_length(), 10) - 1


def header(path: Path) -> PictureHeader:
    """Read size and orientation alone; errors as in `decode`, as far as they show."""
    with _opened(path) as (_, image):
        orientation = _orientation(image)
        stored = _stored_size(image)
        w, h = stored if orientation < 5 else stored[::-1]
        return PictureHeader(width=w, height=h, orientation=orientation)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, Image.Image]]:
    # Of a name, Pillow would map the file into memory and garble a grey TIFF on its side.
    with (
        in_file(path),
        _translated(),
        open_regular(path, BYTE_LIMIT) as file,
        _strictly(),
        _quiet_libtiff(file),
        Image.open(file, formats=_FORMATS) as image,
    ):
        _refuse_large(image.width * image.height)
        yield file, image


def _decoded(file: BinaryIO, image: Image.Image) -> Decoded:
    # In this order: loading takes away the raw mode, and a TIFF's orientation.
    raw, orientation = _raw_mode(image), _orientation(image)
    turned = ImageOps.exif_transpose(image)
    levels = _levels(turned, image.format)
    if raw[-4:] in (";16B", ";16L", ";16N") and raw[:-4] in _DEEP:
        levels = _deep(file, image.format == "PNG", orientation)[:, :, _DEEP[raw[:-4]]]
    said, highest = _white(levels, _declared(file, image, raw)), int(levels.max())
    return Decoded(
        levels=levels,
        orientation=orientation,
        profile=_profile(image, levels),
        white=said or int(np.iinfo(levels.dtype).max),
        dark=said is None and levels.dtype == np.uint16 and 0 < highest <= DARK,
        step=_STEPS.get(raw, 1) if levels.ndim == 2 else 1,
        indices=_indices(turned),
    )


def _orientation(image: Image.Image) -> int:
    tag = image.getexif().get(_ORIENTATION)
    return tag if isinstance(tag, int) and 1 <= tag <= 8 else 1


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as in the file; newer releases of Pillow swap those of a turned TIFF."""
    tags = getattr(image, "tag_v2", {})
    return tags.get(_WIDTH, image.width), tags.get(_HEIGHT, image.height)


def _raw_mode(image: Image.Image) -> str:
    args = image.tile[0][3] if isinstance(image, ImageFile.ImageFile) and image.tile else ""
    return str(args[0] if isinstance(args, tuple) else args)


def _levels(image: Image.Image, kind: str | None) -> Levels:
    # Some releases of Pillow open a 16-bit PNG in its 32-bit mode, and all of them a PGM.
    holds_16_bits = image.mode == "I" and kind in ("PNG", "PPM")
    if image.mode in ("I", "F") and not holds_16_bits:
        raise UnfitPictureError(
            " with 32 bits a pixel", "8 or 16 bits a channel", "Export it with 8 or 16 bits."
        )
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    return np.array(image.convert(_MODES.get(image.mode, "RGB")))


def _deep(file: BinaryIO, lies_as_stored: bool, orientation: int) -> UInt16[np.ndarray, "h w c"]:
    """All 16 bits of a file that Pillow has found to be whole; OpenCV turns a TIFF by itself."""
    file.seek(0)
    read = cv2.imdecode(np.frombuffer(file.read(), np.uint8), cv2.IMREAD_UNCHANGED)
    if read is None:
        raise ValueError("its 16 bits are stored in an unusual way")
    return upright(np.asarray(read), orientation if lies_as_stored else 1)


def _indices(image: Image.Image) -> UInt8[np.ndarray, "h w"] | None:
    if image.mode != "P" or _rises(image):
        return None
    return np.array(image)


def _rises(image: Image.Image) -> bool:
    """Whether a palette holds greys from dark to bright, so that these say the same and more."""
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)[: int(np.array(image).max()) + 1]
    return bool((colours == colours[:, :1]).all() and (np.diff(colours[:, 0]) > 0).all())


def _white(levels: Levels, declared: int | None) -> int | None:
    """The white level that the command was given, or else the file's own; None without either."""
    if levels.dtype != np.uint16:
        return None
    highest, given = int(levels.max()), current().levels
    if given is None:
        return declared if declared is not None and highest <= declared else None
    if highest > given:
        raise UnfitPictureError(
            f" with levels up to {highest}",
            f"none above {given}, the highest level that was given",
            f"Give a higher one, such as {FULL}, or none.",
        )
    return given


def _declared(file: BinaryIO, image: Image.Image, raw: str) -> int | None:
    """The white level that a 16-bit file declares: sBIT of a PNG, MaxSampleValue of a TIFF."""
    if image.format == "PNG":
        bits = _significant_bits(file)
    elif image.format == "TIFF":
        tags = getattr(image, "tag_v2", {})
        largest = np.ravel(tags.get(_LARGEST_SAMPLE, ())).tolist()
        bits = 12 if raw.startswith("I;12") else max(largest, default=0).bit_length()
    else:
        bits = 0
    return 2**bits - 1 if 8 < bits < 16 else None


def _significant_bits(file: BinaryIO) -> int:
    """The largest number in the chunk sBIT of a PNG, 0 without one (ISO/IEC 15948, 11.3.3.4)."""
    place = len(_PNG)
    while True:
        file.seek(place)
        head = file.read(8)
        size, kind = struct.unpack(">I4s", head) if len(head) == 8 else (0, b"IDAT")
        if kind == b"sBIT":
            return max(file.read(min(size, 4)), default=0)
        if kind == b"IDAT":
            return 0
        place += 12 + size


def _profile(image: Image.Image, levels: Levels) -> bytes:
    """The ICC profile; empty if the colours were converted, so that it describes other ones."""
    profile = image.info.get("icc_profile") or b""
    meant = b"GRAY" if colours_of(levels).shape[2] == 1 else b"RGB "
    return profile if profile[16:20] == meant else b""


@contextmanager
def _translated() -> Iterator[None]:
    """Turn every error of a decoder into one about the file."""
    try:
        yield
    except Exception as error:  # Pillow lets most of Python's errors out of a malformed file.
        raise _unfit(error) from error


def _unfit(error: Exception) -> UnfitPictureError:
    match error:
        case UnfitPictureError():
            return error
        case Image.DecompressionBombError():
            return _oversize("far too many")
        case FileNotFoundError():
            return UnfitPictureError(", which does not exist", KNOWN, "Check the name.")
        case IsADirectoryError():
            return UnfitPictureError(", which is a folder", KNOWN, "Name one file in it.")
        case IrregularFileError():
            return UnfitPictureError(f", which {error}", KNOWN, "Name an image file.")
        case UnidentifiedImageError():
            return UnfitPictureError(", which is not an image", KNOWN, "Export it again.")
        case _:
            return UnfitPictureError(f", which can't be read: {error}", KNOWN, "Export it again.")


def _refuse_large(pixels: int) -> None:
    if pixels > PIXEL_LIMIT:
        raise _oversize(f"{pixels:,}")


def _oversize(pixels: str) -> UnfitPictureError:
    return UnfitPictureError(
        f" with {pixels} pixels",
        f"at most {PIXEL_LIMIT:,}",
        "Crop it to the part, or export it smaller.",
    )


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


@contextmanager
def _quiet_libtiff(file: BinaryIO) -> Iterator[None]:
    """Keep the lines that libtiff writes to file descriptor 2 off the user's screen."""
    is_tiff = file.read(4) in _TIFF
    file.seek(0)
    with _without_stderr() if is_tiff else nullcontext():
        yield


@contextmanager
def _without_stderr() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
