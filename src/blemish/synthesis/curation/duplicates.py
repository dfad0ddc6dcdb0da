"""The same defect twice on one photograph: items are told apart by fingerprints of their change.

A coarse picture of the change tells looks apart, and places that are cells apart. Where inside its
cells a small defect lies, and how large it is, the middle and the spread of the change tell.
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
    """Of a change.

    Attributes:
        cells: The change, shrunk: its loudest cell is ±127, so that small defects have one too.
        place: Its middle, down and right, and its spread about that: the root mean square
            distance. Each pixel counts as much as it changes; in 65535ths of the longer side.
    """

    cells: Int8[np.ndarray, f"{SIDE} {SIDE} 3"]
    place: tuple[int, int, int]


def fingerprint(
    picture: UInt8[np.ndarray, "h w 3"], twin: UInt8[np.ndarray, "h w 3"]
) -> Fingerprint:
    """The fingerprint of the change from the good twin to the picture."""
    change = picture.astype(np.float32) - twin
    small = cv2.resize(change, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    cells = np.rint(small * (127 / max(float(np.abs(small).max()), 1e-6))).astype(np.int8)
    return Fingerprint(cells=cells, place=_place(np.abs(change).sum(axis=2)))


def to_text(mark: Fingerprint) -> str:
    """As a manifest holds it; a small defect takes some sixty letters."""
    packed = zlib.compress(mark.cells.tobytes(), 9)
    return base64.b85encode(_PLACE.pack(*mark.place) + packed).decode()


def from_text(text: str) -> Fingerprint:
    """What `to_text` made."""
    data = base64.b85decode(text)
    levels = np.frombuffer(zlib.decompress(data[_PLACE.size :]), np.int8)
    down, right, spread = _PLACE.unpack_from(data)
    return Fingerprint(cells=levels.reshape(SIDE, SIDE, 3), place=(down, right, spread))


class Known:
    """Items in their order; each is held against those before it."""

    def __init__(self) -> None:
        self.seen: dict[str, list[tuple[str, Fingerprint]]] = {}

    def like(self, photograph: str, mark: Fingerprint, name: str) -> str | None:
        """The name of an earlier item that is the same; else this one is remembered.

        Args:
            photograph: What tells the photograph from others.
            mark: Of the item.
            name: Of the item.
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
    """Mean absolute difference as a share of the louder one's mean."""
    one, other = a.cells.astype(np.int16), b.cells.astype(np.int16)
    loudness = max(int(np.abs(one).sum()), int(np.abs(other).sum()), 1)
    return float(np.abs(one - other).sum() / loudness)


def _apart(a: Fingerprint, b: Fingerprint) -> float:
    """How far their middles and spreads are apart, in units of the larger spread."""
    return dist(a.place, b.place) / max(a.place[2], b.place[2], 1)
