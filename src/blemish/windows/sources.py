"""Photographs held in memory at their own scale, with their defects piece by piece."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.folder import (
    GOOD,
    DefectFolder,
    Photograph,
    load_native,
    refuse_lacking,
    refuse_unmarked,
)
from blemish.data.masks import components, silhouette

LEAST_PIXELS = 20  # area of a piece that counts as a defect
WHOLE = 0.6  # share of the part that a piece covers when it counts as the whole part
MEMORY = 2 * 1024**3  # bytes of pixels that good photographs may take

Affine = Float[np.ndarray, "2 3"]


@dataclass(frozen=True)
class Ellipse:
    """Mean and second moments of a region, in pixels (x, y)."""

    middle: Float[np.ndarray, "2"]
    spread: Float[np.ndarray, "2 2"]

    @classmethod
    def of(cls, region: Bool[np.ndarray, "h w"]) -> "Ellipse":
        """Moments of a region that is not empty."""
        y, x = np.nonzero(region)
        spread = np.cov(np.stack([x, y])) if len(x) > 1 else np.zeros((2, 2))
        return cls(np.array([x.mean(), y.mean()]), spread + np.eye(2) / 12)

    @property
    def angle(self) -> float:
        """Angle of the longer axis, in radians."""
        _, vectors = np.linalg.eigh(self.spread)
        return float(np.arctan2(vectors[1, 1], vectors[0, 1]))

    def ratio(self, other: "Ellipse") -> float:
        """Ratio of its size to that of another, in length."""
        return float((np.linalg.det(self.spread) / np.linalg.det(other.spread)) ** 0.25)

    def root(self) -> Float[np.ndarray, "2 2"]:
        """Symmetric square root of the second moments."""
        values, vectors = np.linalg.eigh(self.spread)
        return (vectors * np.sqrt(values)) @ vectors.T


@dataclass(frozen=True)
class SourcePhotograph:
    """One photograph.

    Attributes:
        picture: At its own size.
        mask: Its defects; empty on a good part.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    _halves: list[np.ndarray] = field(default_factory=list, repr=False)

    @cached_property
    def part(self) -> Bool[np.ndarray, "h w"]:
        """The part's silhouette."""
        return silhouette(self.picture)

    @cached_property
    def ellipse(self) -> Ellipse:
        """The silhouette's moments."""
        return Ellipse.of(self.part)

    def halved(self, times: int) -> np.ndarray:
        """The picture at half its size, so many times, by averaging."""
        while len(self._halves) < times:
            last = self._halves[-1] if self._halves else self.picture
            size = max(1, last.shape[1] // 2), max(1, last.shape[0] // 2)
            self._halves.append(cv2.resize(last, size, interpolation=cv2.INTER_AREA))
        return self._halves[times - 1] if times else self.picture


@dataclass(frozen=True)
class Piece:
    """One connected defect of a photograph, or several of them that are laid together.

    Attributes:
        source: The photograph.
        mask: The piece alone, over the whole photograph.
        kind: Index of its type.
    """

    source: SourcePhotograph
    mask: Bool[np.ndarray, "h w"]
    kind: int

    @cached_property
    def ellipse(self) -> Ellipse:
        """The piece's moments."""
        return Ellipse.of(self.mask)

    @cached_property
    def side(self) -> int:
        """Longer side of its bounding box, in pixels."""
        y, x = np.nonzero(self.mask)
        return int(max(np.ptp(x), np.ptp(y))) + 1

    @cached_property
    def whole(self) -> bool:
        """Whether the defect is the part itself, as a broken nut is."""
        part = self.source.part
        both = np.count_nonzero(self.mask & part)
        return bool(both > WHOLE * np.count_nonzero(self.mask | part))


@dataclass(frozen=True)
class Sources:
    """What a window training learns from.

    Attributes:
        good: Photographs of good parts.
        pieces: Defects, piece by piece.
        types: Names of the types, in the order of their indices; "good" is the last.
    """

    good: tuple[SourcePhotograph, ...]
    pieces: tuple[Piece, ...]
    types: tuple[str, ...]

    def of_kind(self, kind: int) -> tuple[Piece, ...]:
        """The pieces of one type; all of them for "good", whose masks may be anyone's."""
        if self.types[kind] == GOOD:
            return self.pieces
        return tuple(piece for piece in self.pieces if piece.kind == kind)

    def marks(self, kind: int) -> tuple[Piece, ...]:
        """The defects of each photograph of a type, all its pieces as one.

        Real defects come in groups: laid together they keep their places among each other.
        """
        found: dict[int, Piece] = {}
        for piece in self.of_kind(kind):
            known = found.setdefault(id(piece.source), piece)
            found[id(piece.source)] = Piece(piece.source, known.mask | piece.mask, piece.kind)
        return tuple(found.values())


def read_sources(
    folder: DefectFolder, types: Sequence[str], *, first_third: bool, everything: bool
) -> Sources:
    """Read a folder's photographs at their own size.

    Good photographs beyond `MEMORY` are left out, evenly over their order.

    Args:
        folder: With good and defective photographs.
        types: Defect types to learn.
        first_third: Learn from the first third of each type by name, the few-shot protocol.
        everything: Learn from `test/good` as well.

    Raises:
        DataError: A file can't be read, a mask is missing or empty, or there is no photograph.
    """
    good = folder.good_to_learn(everything=everything)
    sources = [_source(photograph) for photograph in _within_memory(good)]
    pieces = [
        Piece(source, mask, index)
        for index, kind in enumerate(types)
        for photograph in folder.defects_to_learn(kind, first_third=first_third)
        for source in [_source(photograph)]
        for mask in components(source.mask, least=LEAST_PIXELS)
    ]
    refuse_lacking(folder, types, {piece.kind for piece in pieces}, "a defect")
    return Sources(tuple(sources), tuple(pieces), (*types, GOOD))


def _source(photograph: Photograph) -> SourcePhotograph:
    picture, mask = load_native(photograph)
    refuse_unmarked([photograph], mask[None].astype(np.uint8))
    return SourcePhotograph(picture, mask)


def _within_memory(photographs: Sequence[Photograph]) -> list[Photograph]:
    picture, _ = load_native(photographs[0])
    most = max(1, MEMORY // (picture.nbytes * 2))
    step = max(1.0, len(photographs) / most)
    return [photographs[int(k * step)] for k in range(min(len(photographs), most))]
