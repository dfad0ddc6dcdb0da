"""Near-duplicates: the same defect twice on one photograph, found by fingerprints of the change.

A coarse image of the change separates appearances, and places that are cells apart. The centre and
the spread of the change give the position inside a cell and the size of a small defect.
"""

import base64
import math
import sqlite3
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from weakref import finalize

import cv2
import numpy as np
from jaxtyping import Float, Int8, UInt8

from blemish.files import temporary_space

SIDE = 16
ALIKE = 0.15
NEAR = 0.3

_PLACE = struct.Struct("<3H")
_UNITS = 2**16 - 1
_TABLE = """
PRAGMA journal_mode = OFF;
CREATE TABLE seen (
    photograph TEXT, down INTEGER, across INTEGER, spread INTEGER,
    number INTEGER, name TEXT, cells BLOB, PRIMARY KEY (photograph, down, number)
) WITHOUT ROWID;
"""
_NEAR = """
SELECT down, across, spread, name, cells FROM seen WHERE photograph = ?
AND down BETWEEN ? AND ? AND across BETWEEN ? AND ? AND spread BETWEEN ? AND ? ORDER BY number
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fingerprint:
    """Fingerprint of a change.

    Attributes:
        cells: Change at low resolution, scaled so that the strongest cell is ±127; small defects
            count, too.
        place: Centre (down, right) and spread (root mean square distance), weighted by the change
            of each pixel, in 65535ths of the longer side.
    """

    cells: Int8[np.ndarray, f"{SIDE} {SIDE} 3"]
    place: tuple[int, int, int]


def fingerprint(
    picture: UInt8[np.ndarray, "h w 3"], twin: UInt8[np.ndarray, "h w 3"]
) -> Fingerprint:
    """Fingerprint of the change from the good twin to the image."""
    change = picture.astype(np.float32) - twin
    small = cv2.resize(change, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    cells = np.rint(small * (127 / max(float(np.abs(small).max()), 1e-6))).astype(np.int8)
    return Fingerprint(cells=cells, place=_place(np.abs(change).sum(axis=2)))


def to_text(mark: Fingerprint) -> str:
    """Text form for a manifest; a small defect takes about sixty characters."""
    packed = zlib.compress(mark.cells.tobytes(), 9)
    return base64.b85encode(_PLACE.pack(*mark.place) + packed).decode()


def from_text(text: str) -> Fingerprint:
    """Inverse of `to_text`."""
    data = base64.b85decode(text)
    levels = np.frombuffer(zlib.decompress(data[_PLACE.size :]), np.int8)
    down, right, spread = _PLACE.unpack_from(data)
    return Fingerprint(cells=levels.reshape(SIDE, SIDE, 3), place=(down, right, spread))


class Known:
    """Earlier items, with which each new one is compared.

    They are in a temporary database, of which a few megabytes are in memory and the rest is in an
    unnamed file in the folder for temporary files: memory does not grow with their number.
    """

    def __init__(self) -> None:
        self.seen = sqlite3.connect("", isolation_level=None)
        self.seen.executescript(_TABLE)
        finalize(self, self.seen.close)
        self.count = 0

    def __len__(self) -> int:
        return self.count

    def like(self, photograph: str, mark: Fingerprint, name: str) -> str | None:
        """Name of an earlier item that is the same; otherwise None, and this item is remembered.

        Args:
            photograph: Identity of the photograph.
            mark: Fingerprint of the item.
            name: Name of the item.

        Raises:
            OutputError: The temporary file can't be written.
        """
        with temporary_space("fingerprints"):
            for earlier, other in self._near(photograph, mark):
                if _apart(mark, other) <= NEAR and _distance(mark, other) < ALIKE:
                    return earlier
            cells = zlib.compress(mark.cells.tobytes())
            values = (photograph, *mark.place, self.count, name, cells)
            self.seen.execute("INSERT INTO seen VALUES (?, ?, ?, ?, ?, ?, ?)", values)
        self.count += 1
        return None

    def _near(self, photograph: str, mark: Fingerprint) -> Iterator[tuple[str, Fingerprint]]:
        """Earlier items close enough that `_apart` may be up to `NEAR`, oldest first."""
        spread = max(mark.place[2] / (1 - NEAR), 1)  # of the widest defect that may be as near
        reach = math.ceil(NEAR * spread)
        box = [end for at in mark.place for end in (at - reach, at + reach)]
        for *place, name, cells in self.seen.execute(_NEAR, (photograph, *box)):
            levels = np.frombuffer(zlib.decompress(cells), np.int8).reshape(SIDE, SIDE, 3)
            down, right, spread = place
            yield name, Fingerprint(cells=levels, place=(down, right, spread))


def _place(loudness: Float[np.ndarray, "h w"]) -> tuple[int, int, int]:
    rows, columns = np.nonzero(loudness)
    if not len(rows):
        return 0, 0, 0
    points = np.stack([rows, columns])
    weight = loudness[rows, columns].astype(np.float64)
    middle = np.average(points, axis=1, weights=weight)
    far = np.square(points - middle[:, None]).sum(axis=0)
    found = np.array([*middle, np.average(far, weights=weight) ** 0.5])
    down, right, spread = np.rint(found * (_UNITS / max(loudness.shape))).astype(int).tolist()
    return down, right, spread


def _distance(a: Fingerprint, b: Fingerprint) -> float:
    """Mean absolute difference, as a fraction of the stronger one's mean."""
    one, other = a.cells.astype(np.int16), b.cells.astype(np.int16)
    loudness = max(int(np.abs(one).sum()), int(np.abs(other).sum()), 1)
    return float(np.abs(one - other).sum() / loudness)


def _apart(a: Fingerprint, b: Fingerprint) -> float:
    """Distance of their centres and spreads, in units of the larger spread."""
    return math.dist(a.place, b.place) / max(a.place[2], b.place[2], 1)
