"""From one photograph of a part to another: where a point of the part lies there.

Both parts are seen in their frames (`windows.frames`), which know place and size. The turn between
them is the one with the best agreement of silhouettes (intersection over union) and of what is seen
inside (normalised correlation); so a part whose outline is round is turned by its picture.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from blemish.windows.frames import Frame, frame_of
from blemish.windows.sources import Affine
from blemish.windows.views import chained, inverted, rotation

SIDE = 96  # of the frames in which parts are compared
COARSE, FINE = 5, 1  # steps of the turn, in degrees


@dataclass(frozen=True)
class PosedPart:
    """A part on a photograph.

    Attributes:
        picture: The photograph, upright.
        part: Silhouette of the part; not empty.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    part: Bool[np.ndarray, "h w"]

    @cached_property
    def frame(self) -> Frame:
        """Square around the part."""
        return frame_of(self.part)

    @cached_property
    def inside(self) -> Float32[np.ndarray, "s s"]:
        """Share of each pixel of the frame that the part covers."""
        return self.frame.cut(self.part, SIDE)

    @cached_property
    def grey(self) -> Float32[np.ndarray, "s s"]:
        """The frame's pixels, grey."""
        levels = cv2.cvtColor(self.picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
        size, flags = (SIDE, SIDE), cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
        smooth = cv2.GaussianBlur(levels, (0, 0), max(0.5, self.frame.reach / SIDE))
        return cv2.warpAffine(smooth, self.frame.matrix(SIDE), size, flags=flags)


def carrying(source: PosedPart, target: PosedPart) -> Affine:
    """Map from pixels of one photograph of a part to those of another."""
    turn = _turn_between(source, target)
    there = inverted(source.frame.matrix(SIDE))
    return chained(chained(there, _turning(turn)), target.frame.matrix(SIDE))


def _turn_between(source: PosedPart, target: PosedPart) -> float:
    """Turn of the part, in degrees; of equally good ones the smallest."""
    coarse = _best(source, target, range(-180, 180, COARSE))
    return _best(source, target, range(coarse - COARSE + 1, coarse + COARSE, FINE))


def _best(source: PosedPart, target: PosedPart, turns: range) -> int:
    ordered = sorted(turns, key=abs)
    scores = [_agreement(source, target, turn) for turn in ordered]
    return ordered[int(np.argmax(np.round(scores, 6)))]


def _agreement(source: PosedPart, target: PosedPart, turn: float) -> float:
    """Agreement of silhouettes and of what is inside both, up to 2."""
    matrix, size = _turning(turn), (SIDE, SIDE)
    inside = cv2.warpAffine(source.inside, matrix, size) > 0.5
    both = inside & (target.inside > 0.5)
    union = (inside | (target.inside > 0.5)).sum()
    if not both.any():
        return 0.0
    grey = cv2.warpAffine(source.grey, matrix, size)
    return float(both.sum() / union) + _correlation(grey[both], target.grey[both])


def _correlation(a: Float[np.ndarray, " n"], b: Float[np.ndarray, " n"]) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size > 0 else 0.0


def _turning(degrees: float) -> Affine:
    """Turn about the middle of a frame."""
    turn = rotation(np.radians(degrees))
    middle = np.full(2, (SIDE - 1) / 2)
    return np.column_stack([turn, middle - turn @ middle])
