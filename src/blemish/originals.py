"""Photograph as stored in its file, and changes to it that leave everything else unchanged.

The rest of the package works on an image x of 8 bits. A change of it, y - x, is added to the file's
own levels X at their own depth and in their own channels:

    Y = X + s · (y - x),  with s = 1 for 8 bits and 257 for 16,

cut to the range. If white is another level W, s = W / 255, and Y is rounded to the nearest level
whose image is y. So Y differs from X exactly where y differs from x, and Y read again as an image
is y. Output has the photograph's stored rows, columns and EXIF orientation, so image and mask agree
for readers that apply the tag and for those that ignore it.

The output is always a PNG. Its mode is that of the photograph if PNG has it: grey or RGB of 8 or 16
bits, with or without alpha. Palettes, CMYK and other colours become RGB, one bit per pixel becomes
grey. The ICC profile is kept, and the level of white as significant bits; other metadata is not.
A synthetic picture has the mark of `marks`.
"""

import struct
import zlib
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.decode import PictureHeader, decode_photograph
from blemish.files import write_atomically
from blemish.levels import Levels, as_stored, changed_levels, colours_of, picture_of
from blemish.marks import with_mark

_COMPRESSION = 3
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_UP = 2  # the PNG filter that takes each row's difference from the one above


@dataclass(frozen=True, kw_only=True)
class Original:
    """Photograph at its own depth.

    Attributes:
        levels: Levels, upright: grey `h w`, grey and alpha `h w 2`, RGB `h w 3` or RGBA `h w 4`.
        orientation: EXIF orientation, 1 to 8, of the file's own rows and columns.
        profile: ICC profile; empty if there is none.
        white: Level that is white; None for the highest of the levels' type.
        mark: XMP packet to write, if it is synthetic; see `marks`. It is not read from files.
    """

    levels: Levels
    orientation: int = 1
    profile: bytes = b""
    white: int | None = None
    mark: str = ""

    @cached_property
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Same image as from `pictures.read_picture`."""
        return picture_of(self.levels, self.white)

    @property
    def fills_range(self) -> bool:
        """Whether white is the highest level of the levels' type."""
        return self.white in (None, np.iinfo(self.levels.dtype).max)

    @property
    def header(self) -> PictureHeader:
        """Size and orientation."""
        h, w = self.levels.shape[:2]
        return PictureHeader(width=w, height=h, orientation=self.orientation)

    @property
    def grey(self) -> bool:
        """Whether it has no colours."""
        return colours_of(self.levels).shape[2] == 1

    def with_change(
        self, picture: UInt8[np.ndarray, "h w 3"], where: Bool[np.ndarray, "h w"]
    ) -> Self:
        """Photograph with a change of its image.

        Args:
            picture: Changed image; for a grey photograph it must be grey, too.
            where: Pixels to change; all others, and alpha, stay the same, bit for bit.
        """
        change = picture[where].astype(np.int32) - self.picture[where]
        assert not self.grey or (change == change[:, :1]).all(), "grey stays grey"
        levels = self.levels.copy()
        colours = colours_of(levels)
        white = self.white or int(np.iinfo(levels.dtype).max)
        by = change[:, : colours.shape[2]]
        colours[where] = changed_levels(colours[where], by, white)
        return replace(self, levels=levels)

    def write(self, path: Path) -> None:
        """Write a PNG, whole or not at all, in the orientation of the photograph's file.

        Raises:
            OutputError: The disk is full or read-only, or something is in the way.
        """
        write_atomically(path, self.encoded())

    def encoded(self) -> bytes:
        """Content of the PNG that `write` writes."""
        stored = as_stored(self.levels, self.orientation)
        chunks = [_header(stored)]
        if self.white is not None and not self.fills_range:
            chunks.append(_chunk(b"sBIT", _significant_bits(stored, self.white)))
        if self.profile:
            chunks.append(_chunk(b"iCCP", b"icc\0\0" + zlib.compress(self.profile)))
        if self.orientation != 1:
            chunks.append(_chunk(b"eXIf", _exif(self.orientation)))
        chunks += [_pixels(stored), _chunk(b"IEND", b"")]
        return with_mark(_SIGNATURE + b"".join(chunks), self.mark)

    def write_mask(self, path: Path, mask: Bool[np.ndarray, "h w"]) -> None:
        """Write an upright mask of the photograph as 0 and 255, in the orientation of its file.

        Raises:
            OutputError: The disk is full or read-only, or something is in the way.
        """
        self.write_classes(path, mask.astype(np.uint8) * np.uint8(255))

    def write_classes(self, path: Path, classes: UInt8[np.ndarray, "h w"]) -> None:
        """Write a number for each pixel of the photograph, upright, as `write_mask` does.

        Raises:
            OutputError: The disk is full or read-only, or something is in the way.
        """
        assert classes.shape == self.levels.shape[:2]
        Original(levels=classes, orientation=self.orientation).write(path)


def read_original(path: Path) -> Original:
    """Read a photograph.

    Raises:
        DataError: As in `decode.decode_photograph`.
    """
    found = decode_photograph(path)
    return Original(
        levels=found.levels,
        orientation=found.orientation,
        profile=found.profile,
        white=found.white,
    )


def _header(stored: Levels) -> bytes:
    (h, w), depth = stored.shape[:2], stored.dtype.itemsize * 8
    colour_type = _COLOUR_TYPES[stored.size // (h * w)]
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", w, h, depth, colour_type, 0, 0, 0))


def _significant_bits(stored: Levels, white: int) -> bytes:
    """The same for every channel."""
    h, w = stored.shape[:2]
    return bytes([white.bit_length()] * (stored.size // (h * w)))


def _pixels(stored: Levels) -> bytes:
    """Rows of big-endian samples, filtered and compressed (ISO/IEC 15948, clauses 7 to 10)."""
    rows = stored.astype(stored.dtype.newbyteorder(">")).reshape(len(stored), -1).view(np.uint8)
    rows = np.diff(rows, axis=0, prepend=np.zeros_like(rows[:1]))
    lines = np.insert(rows, 0, _UP, axis=1)
    return _chunk(b"IDAT", zlib.compress(lines.tobytes(), _COMPRESSION))


def _exif(orientation: int) -> bytes:
    """Directory with one entry: one short integer under the tag 0x0112."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(data, zlib.crc32(kind))
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
