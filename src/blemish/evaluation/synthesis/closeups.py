"""Close-ups of defects at the photograph's own scale: one for each piece of a mask.

A close-up is a square around a piece's box, in the photograph's own pixels, and only then resized
for a network. So it shows what a view of the whole photograph hides: soft insides and cut rims.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.closeup import bare

SIDE = 128  # of close-ups as networks see them
WIDER = 1.6  # than the box of the piece
LEAST_SIDE = 64  # in the photograph's pixels
LEAST_PX = 20  # of a piece
RIM = 5  # side of the square that the inside of a piece is eroded by

Pair = tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]


@dataclass(frozen=True, slots=True)
class CloseUps:
    """Close-ups of a set of defects.

    Attributes:
        squares: The close-ups, `SIDE` pixels wide.
        sharpness: Sharpness inside each piece that is large enough; see `sharpness`.
        native: The close-ups in the photograph's own pixels.
        insides: The same as `squares`, with everything but the piece in its mean colour.
    """

    squares: UInt8[np.ndarray, "n s s 3"]
    sharpness: list[float] = field(default_factory=list)
    native: list[UInt8[np.ndarray, "_s _s 3"]] = field(default_factory=list)
    insides: UInt8[np.ndarray, "n s s 3"] = field(default_factory=lambda: _none())

    def __len__(self) -> int:
        return len(self.squares)

    def __getitem__(self, index: slice) -> "CloseUps":
        native, insides = self.native[index], self.insides[index]
        return CloseUps(self.squares[index], self.sharpness, native, insides)

    @classmethod
    def joined(cls, sets: Sequence["CloseUps"]) -> "CloseUps":
        """All of several sets."""
        return cls(
            squares=np.concatenate([_none(), *(found.squares for found in sets)]),
            sharpness=[value for found in sets for value in found.sharpness],
            native=[square for found in sets for square in found.native],
            insides=np.concatenate([_none(), *(found.insides for found in sets)]),
        )

    def shuffled(self, rng: np.random.Generator, most: int | None = None) -> "CloseUps":
        """The same in random order, or some of them."""
        order = rng.permutation(len(self))[:most]
        native = [self.native[k] for k in order]
        return CloseUps(self.squares[order], self.sharpness, native, self.insides[order])


def close_ups(pairs: Iterable[Pair]) -> CloseUps:
    """The close-ups of photographs with their masks, read one at a time."""
    native, sharp, insides = [], [], []
    for picture, mask in pairs:
        edges = _edges(picture)
        for piece, box in _pieces(mask):
            square = _square(mask.shape, box)
            native.append(picture[square].copy())
            insides.append(resized(bare(picture[square], piece[square]), SIDE))
            sharp += sharpness(edges, piece)
    squares = [resized(square, SIDE) for square in native]
    return CloseUps(_stacked(squares), sharp, native, _stacked(insides))


def sharpness(edges: Float[np.ndarray, "h w"], piece: Bool[np.ndarray, "h w"]) -> list[float]:
    """The deviation of a photograph's edges inside a piece; nothing for one without an inside.

    Args:
        edges: Magnitude of the Laplacian of the photograph's grey levels.
        piece: One piece of a mask.
    """
    inside = cv2.erode(piece.astype(np.uint8), np.ones((RIM, RIM), np.uint8)) > 0
    return [float(edges[inside].std())] if inside.sum() >= LEAST_PX else []


def _edges(picture: UInt8[np.ndarray, "h w 3"]) -> Float[np.ndarray, "h w"]:
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.abs(cv2.Laplacian(grey, cv2.CV_32F))


def _pieces(
    mask: Bool[np.ndarray, "h w"],
) -> Iterator[tuple[Bool[np.ndarray, "h w"], tuple[int, int, int, int]]]:
    """The connected pieces of a mask, and x, y, width and height of their boxes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    for label in range(1, count):
        x, y, w, h, area = (int(value) for value in stats[label])
        if area >= LEAST_PX:
            yield labels == label, (x, y, w, h)


def _square(shape: tuple[int, int], box: tuple[int, int, int, int]) -> tuple[slice, slice]:
    """Rows and columns of a close-up on a photograph of that height and width."""
    x, y, w, h = box
    height, width = shape
    side = int(min(max(LEAST_SIDE, WIDER * max(w, h)), height, width))
    left = int(np.clip(x + w / 2 - side / 2, 0, width - side))
    top = int(np.clip(y + h / 2 - side / 2, 0, height - side))
    return slice(top, top + side), slice(left, left + side)


def resized(square: UInt8[np.ndarray, "s s 3"], side: int) -> UInt8[np.ndarray, "r r 3"]:
    """A square at another size."""
    smooth = cv2.INTER_AREA if len(square) > side else cv2.INTER_CUBIC
    return cv2.resize(square, (side, side), interpolation=smooth)


def _stacked(squares: Sequence[UInt8[np.ndarray, "s s 3"]]) -> UInt8[np.ndarray, "n s s 3"]:
    return np.stack(squares) if squares else _none()


def _none() -> UInt8[np.ndarray, "n s s 3"]:
    return np.zeros((0, SIDE, SIDE, 3), np.uint8)
