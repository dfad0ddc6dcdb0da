"""Near-duplicates: the same defect twice on one photograph, found by fingerprints of the change.

A coarse image of the change separates appearances, and places that are cells apart. The centre and
the spread of the change give the position inside a cell and the size of a small defect.
"""

import base64
import struct
import zlib
from dataclasses import dataclass
from math import dist

import cv2
import numpy as np
from jaxtyping import Float, Int8, UInt8

SIDE = 16
ALIKE = 0.15
NEAR = 0.3

_PLACE = struct.Struct("<3H")
_UNITS = 2**16 - 1


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
    """Earlier items, with which each new one is compared."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[str, Fingerprint]]] = {}

    def like(self, photograph: str, mark: Fingerprint, name: str) -> str | None:
        """Name of an earlier item that is the same; otherwise None, and this item is remembered.

        Args:
            photograph: Identity of the photograph.
            mark: Fingerprint of the item.
            name: Name of the item.
        """
        before = self.seen.setdefault(photograph, [])
        for earlier, other in before:
            if _distance(mark, other) < ALIKE and _apart(mark, other) <= NEAR:
                return earlier
        before.append((name, mark))
        return None


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
    return dist(a.place, b.place) / max(a.place[2], b.place[2], 1)
