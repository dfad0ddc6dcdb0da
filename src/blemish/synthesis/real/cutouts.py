"""Real defects cut out of their photographs at native scale, and the choice of one for a mask.

A mask of several pieces is filled piece by piece, and each piece of a real defect is a cutout of
its own. Pieces that nearly touch count as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.folder import DefectFolder, load_native
from blemish.data.masks import box_around, spanned
from blemish.data.shadow import unshadowed_silhouette
from blemish.errors import OptionError
from blemish.synthesis.real.align import TRIED, Outline, align, outline_on

GAP_SHARE = 1 / 128  # of the longer side; pieces nearer than this are one
LEAST_PX = 20  # of a piece of a real defect
LEAST_PIECE = 0.02  # of a real mask's area
AROUND = 0.08  # of the longer side, kept around a cutout
ENOUGH = 0.85  # of the best score
TAKEN = 8
SCALE_COST = 0.5  # what a change of scale by e costs, once it exceeds FREE_SCALE
FREE_SCALE = 0.2

MOSTLY = 0.9  # of a mask that lies on the part, unless the defect sticks out
SMALL = 20  # pixels of an outline

Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Cutout:
    """One piece of a real defect with its surroundings.

    Attributes:
        picture: The surroundings, as the photograph has them.
        mask: The piece.
        others: Other pieces of the defect.
        part: Silhouette of the part, without its shadow.
        corner: Upper left corner of the surroundings in the photograph, x and y.
        side: Longer side of the photograph.
        outline: The piece on its part, small; see `align`.
    """

    picture: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    others: Bool[np.ndarray, "h w"]
    part: Bool[np.ndarray, "h w"]
    corner: tuple[int, int]
    side: int
    outline: Outline


@dataclass(frozen=True)
class Place:
    """A photograph of a good part and a piece of a mask on it."""

    photograph: UInt8[np.ndarray, "h w 3"]
    mask: Bool[np.ndarray, "h w"]
    part: Bool[np.ndarray, "h w"]

    @cached_property
    def outline(self) -> Outline:
        """The piece on its part, small; see `align`."""
        return outline_on(self.part, self.mask)


def cut_out(picture: UInt8[np.ndarray, "h w 3"], mask: Mask) -> list[Cutout]:
    """The pieces of a real defect; none where its mask marks hardly anything."""
    part = unshadowed_silhouette(picture)
    mask = _off_ground(mask, part)
    part = part | mask
    least = max(LEAST_PX, LEAST_PIECE * mask.sum())
    return [
        _cut(picture, piece, mask & ~piece, part) for piece in pieces(mask) if piece.sum() >= least
    ]


def cutouts_in(folder: Path, kind: str, *, first_third: bool = False) -> list[Cutout]:
    """The real defects of a type in a folder, cut out.

    Args:
        folder: Photographs and masks in the layout of MVTec AD.
        kind: The type.
        first_third: Take only the first third by name.

    Raises:
        OptionError: There is none with a mask that marks something.
        DataError: The folder or a file can't be read, or a mask is of another size.
    """
    found = DefectFolder(folder).defects_to_learn(kind, first_third=first_third)
    masked = [photograph for photograph in found if photograph.mask_path is not None]
    cutouts = [cutout for photograph in masked for cutout in cut_out(*load_native(photograph))]
    if not cutouts:
        raise OptionError(
            got=f"{folder}, which holds no '{kind}' to paste",
            expected=f"photographs under test/{kind}/ with masks under ground_truth/{kind}/",
            todo="Name a folder that has some with --real.",
        )
    return cutouts


def pieces(mask: Mask) -> list[Mask]:
    """The pieces of a mask, the largest first."""
    if not mask.any():
        return []
    radius = max(1, round(GAP_SHARE * max(mask.shape) / 2))
    box = box_around(mask)
    away = cv2.distanceTransform((~mask[box]).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    _, labels = cv2.connectedComponents((away <= radius).astype(np.uint8))
    labels = np.where(mask[box], labels, 0)
    counts = np.bincount(labels.ravel())
    order = 1 + np.argsort(-counts[1:], kind="stable")
    return [_whole(mask.shape, box, labels == label) for label in order if counts[label]]


def choose_cutout(
    target: Outline, cutouts: Sequence[Cutout], rng: np.random.Generator
) -> tuple[Cutout, Float[np.ndarray, "2 3"]]:
    """One of the cutouts that fit a piece of a mask best, and the move of outlines; see `align`.

    Args:
        target: The piece.
        cutouts: At least one.
        rng: Chooses among those that fit nearly as well as the best.
    """
    far = [np.abs(np.subtract(c.outline.shape, target.shape)).sum() for c in cutouts]
    alike = [cutouts[k] for k in np.argsort(far, kind="stable")[:TRIED]]
    turning = not is_small(target)
    aligned = [align(cutout.outline, target, turning=turning) for cutout in alike]
    scores = np.array([overlap * _worth(move) for move, overlap in aligned])
    order = np.argsort(-scores, kind="stable")[:TAKEN]
    good = order[scores[order] >= ENOUGH * scores.max()]
    chosen = int(rng.choice(good))
    return alike[chosen], aligned[chosen][0]


def is_small(outline: Outline) -> bool:
    """Whether a piece is too small for its outline to say exactly where it lies."""
    return bool(outline.mask.sum() < SMALL)


def _worth(move: Float[np.ndarray, "2 3"]) -> float:
    """Less the more a defect is enlarged or made smaller."""
    changed = abs(np.log(max(abs(np.linalg.det(move[:, :2])), 1e-9))) / 2
    return float(np.exp(-SCALE_COST * max(0.0, changed - FREE_SCALE)))


def _off_ground(mask: Mask, part: Mask) -> Mask:
    """A defect without what its mask takes in of the ground around the part.

    That is little, or else the part was not found, or the defect sticks out.
    """
    kept = mask & spanned(part)
    return kept if kept.sum() > MOSTLY * mask.sum() else mask


def _whole(
    shape: tuple[int, ...], box: tuple[slice, slice], inside: Bool[np.ndarray, "_ _"]
) -> Mask:
    mask = np.zeros(shape, bool)
    mask[box] = inside
    return mask


def _cut(picture: UInt8[np.ndarray, "h w 3"], piece: Mask, others: Mask, part: Mask) -> Cutout:
    side = max(piece.shape)
    near = box_around(piece, round(AROUND * side))
    return Cutout(
        picture=picture[near].copy(),
        mask=piece[near].copy(),
        others=others[near].copy(),
        part=part[near].copy(),
        corner=(near[1].start, near[0].start),
        side=side,
        outline=outline_on(part, piece),
    )
