"""Real masks and parts of a folder, each in the frame of its part."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from blemish.data.folder import DefectFolder, load_native, refuse_lacking, refuse_unmarked
from blemish.data.masks import components, without_holes
from blemish.data.shadow import unshadowed_silhouette
from blemish.windows.frames import frame_of, signed_distance
from blemish.windows.sources import LEAST_PIXELS, WHOLE, Ellipse

FINE = 128  # side of the frames that are kept
MOST_PARTS = 400  # good parts that are kept
MOST_HOLES = 0.005  # of a mask that counts as solid

Share = Float32[np.ndarray, "s s"]


@dataclass(frozen=True)
class RealMask:
    """All defects of one photograph, in the frame of its part.

    Attributes:
        part: Share of each pixel that the part covers.
        pieces: Share of each pixel that each connected defect covers.
        kind: Index of its type.
        whole: Whether the defect is the part itself, as a broken nut is.
        margin: How far the mask lies beyond the part, in shares of the frame's side: the area
            there over the length of the mask's outline.
    """

    part: Share
    pieces: tuple[Share, ...]
    kind: int
    whole: bool
    margin: float

    @cached_property
    def mask(self) -> Share:
        """All pieces together."""
        return np.maximum.reduce(self.pieces)

    @cached_property
    def solid(self) -> bool:
        """Whether it has no holes but specks."""
        mask = self.mask > 0.5
        return bool((without_holes(mask) & ~mask).sum() <= MOST_HOLES * mask.sum())

    @cached_property
    def part_ellipse(self) -> Ellipse:
        """The part's moments."""
        return Ellipse.of(self.part > 0.5)


@dataclass(frozen=True)
class MaskSources:
    """What a training of masks learns from.

    Attributes:
        parts: Good parts, as shares of a frame's pixels.
        real: Real masks.
        types: Names of the types, in the order of their indices.
    """

    parts: tuple[Share, ...]
    real: tuple[RealMask, ...]
    types: tuple[str, ...]

    def of_kind(self, kind: int) -> tuple[RealMask, ...]:
        """Real masks of one type."""
        return tuple(mask for mask in self.real if mask.kind == kind)

    def margins(self) -> list[float]:
        """Mean margin of each type, in shares of the frame's side."""
        return [float(np.mean([m.margin for m in self.of_kind(k)])) for k in range(len(self.types))]

    def solid(self) -> tuple[str, ...]:
        """Types none of whose masks has a hole."""
        return tuple(
            kind for k, kind in enumerate(self.types) if all(m.solid for m in self.of_kind(k))
        )


def read_mask_sources(
    folder: DefectFolder, types: Sequence[str], *, first_third: bool, everything: bool
) -> MaskSources:
    """Read a folder's good parts and its masks.

    Args:
        folder: With good and defective photographs.
        types: Defect types to learn.
        first_third: Learn from the first third of each type by name, the few-shot protocol.
        everything: Learn from `test/good` as well.

    Raises:
        DataError: A file can't be read, a mask is missing or empty, or a type has no mask.
    """
    good = folder.good_to_learn(everything=everything)
    step = max(1, -(-len(good) // MOST_PARTS))
    parts = [unshadowed_silhouette(load_native(photograph)[0]) for photograph in good[::step]]
    real = tuple(_real_masks(folder, types, first_third))
    refuse_lacking(folder, types, {mask.kind for mask in real}, "a mask")
    return MaskSources(tuple(frame_of(p).cut(p, FINE) for p in parts), real, tuple(types))


def _real_masks(
    folder: DefectFolder, types: Sequence[str], first_third: bool
) -> Iterator[RealMask]:
    for index, kind in enumerate(types):
        for photograph in folder.defects_to_learn(kind, first_third=first_third):
            picture, mask = load_native(photograph)
            refuse_unmarked([photograph], mask[None].astype(np.uint8))
            yield real_mask(unshadowed_silhouette(picture), mask, index)


def real_mask(part: Bool[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"], kind: int) -> RealMask:
    """A mask in the frame of its part.

    A defect that is the whole part may hide some of it from the search for the silhouette, which
    then takes the mask in.
    """
    whole = is_whole(part, mask)
    frame = frame_of(part | mask if whole else part)
    found = tuple(frame.cut(piece, FINE) for piece in components(mask, least=LEAST_PIXELS))
    length = sum(cv2.arcLength(outline, True) for outline in _outlines(mask))
    margin = float((mask & ~part).sum()) / max(length, 1.0) / (2 * frame.reach)
    pieces = tuple(piece for piece in found if piece.max() > 0) or (frame.cut(mask, FINE),)
    return RealMask(frame.cut(part, FINE), pieces, kind, whole, margin)


def is_whole(part: Bool[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> bool:
    """Whether a defect is the part itself, as a broken nut is."""
    return bool((mask & part).sum() > WHOLE * (mask | part).sum())


def _outlines(mask: Bool[np.ndarray, "h w"]) -> Sequence[np.ndarray]:
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return found


def distances(share: Share, side: int) -> Float32[np.ndarray, "t t"]:
    """Signed distance to the outline of a part, in pixels of a frame of another side."""
    return signed_distance(cv2.resize(share, (side, side), interpolation=cv2.INTER_AREA))
