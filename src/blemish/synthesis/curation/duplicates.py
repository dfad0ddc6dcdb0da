"""The same defect twice on one photograph: items are told apart by fingerprints of their change."""

import base64
import zlib

import cv2
import numpy as np
from jaxtyping import Int8, UInt8

SIDE = 16
ALIKE = 0.15

Fingerprint = Int8[np.ndarray, f"{SIDE} {SIDE} 3"]


def fingerprint(
    picture: UInt8[np.ndarray, "h w 3"], twin: UInt8[np.ndarray, "h w 3"]
) -> Fingerprint:
    """The change, shrunk: its loudest cell is ±127, so that small defects have one too."""
    change = picture.astype(np.float32) - twin
    small = cv2.resize(change, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return np.rint(small * (127 / max(float(np.abs(small).max()), 1e-6))).astype(np.int8)


def to_text(mark: Fingerprint) -> str:
    """As a manifest holds it; a small defect takes some fifty letters."""
    return base64.b85encode(zlib.compress(mark.tobytes(), 9)).decode()


def from_text(text: str) -> Fingerprint:
    """What `to_text` made."""
    levels = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.int8)
    return levels.reshape(SIDE, SIDE, 3)


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
            if _distance(mark, other) < ALIKE:
                return earlier
        before.append((name, mark))
        return None


def _distance(a: Fingerprint, b: Fingerprint) -> float:
    """Mean absolute difference as a share of the louder one's mean."""
    one, other = a.astype(np.int16), b.astype(np.int16)
    loudness = max(int(np.abs(one).sum()), int(np.abs(other).sum()), 1)
    return float(np.abs(one - other).sum() / loudness)
