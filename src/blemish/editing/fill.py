"""Holes filled with good material by the windows of a bundle, in several ways by code.

The hole is erased first, so that what was there has no influence. The windows draw the type good at
the photograph's own scale, in the hole and a rim around it; where they differ from the photograph
on the rim, the tone inside the hole is corrected (`membrane`). Near the outline a membrane that
continues the surroundings knows the tone better than any code does, so both are mixed there, with a
share s of the membrane that falls with the distance d from the outline:

    s = SMOOTH exp(-d / (DEPTH side)).

Outside the hole every level of the file stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8

from blemish.checkpoint import Bundle
from blemish.data.colour import luminance
from blemish.data.masks import box_around
from blemish.data.shadow import unshadowed_silhouette
from blemish.devices import one_thread
from blemish.editing.membrane import erased, levelled
from blemish.editing.seam import FillScores, judge_filling
from blemish.errors import DataError, OptionError
from blemish.models.window_generator import GOOD
from blemish.names import FillMethod
from blemish.notes import note
from blemish.originals import Original
from blemish.types import Codes
from blemish.windows.paint import WindowModel, groups, load_good_windows, paint

SMOOTH = 0.5  # share of the smooth continuation at the outline
DEPTH = 3 / 32  # of the shorter side, over which that share falls
RIM = 6  # window pixels around a hole that are drawn as well
MARGIN_SHARE = 1 / 32  # of the longer side: margin around a defect's mask
SMALL_SHARE = 0.02  # of a photograph, below which no hole covers a part
COVERED_SHARE = 0.7  # of a part; a larger hole leaves too little of it to be continued
MOST_SHARE = 0.6  # of a photograph; a larger hole has nothing to continue

Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """A photograph whose hole is filled.

    Attributes:
        picture: The photograph, at its own depth; it differs from the given one in the hole alone.
        hole: The hole.
        codes: Code of each group of pieces of the hole.
        seed: Random seed of the codes.
        scores: How well the filling fits its surroundings.
        method: Method that drew it.
    """

    picture: Original
    hole: Mask
    codes: Codes
    seed: int
    scores: FillScores
    method: FillMethod = "windows"


class Filler:
    """The windows of a bundle, for the type good.

    Args:
        bundle: The bundle.
        device: Device to work on.

    Raises:
        BundleError: The bundle has no windows, or they draw no good material.
    """

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        self.model: WindowModel = load_good_windows(bundle, device)

    @one_thread()
    def fill(
        self, photograph: Original, hole: Mask, seed: int = 0, *, smooth: bool = True
    ) -> Filling:
        """Fill a hole with good material; the same seed gives the same bytes.

        Args:
            photograph: The photograph.
            hole: Pixels to fill.
            seed: Random seed of the codes.
            smooth: Mix a smooth continuation in near the outline. Around a defect, it would carry
                traces of the defect into the hole.

        Raises:
            DataError: The hole is empty, or larger than `MOST_SHARE` of the photograph.
        """
        refuse_hole(hole)
        if covers_part(photograph.picture, hole):
            note(
                "The hole covers the part: what the windows draw there is a guess. The method part "
                "draws a whole part."
            )
        rng, known = torch.Generator().manual_seed(seed), erased(photograph.picture, hole)
        wide = widened(hole, _rim(hole))
        codes = self.model.codes(GOOD, rng, len(groups(wide)))
        painted = paint(self.model.generator, known, wide, codes, rng)
        filled = filled_with(painted, photograph, known, hole, smooth=smooth)
        scores = judge_filling(filled.picture, hole)
        return Filling(picture=filled, hole=hole, codes=codes, seed=seed, scores=scores)


def _rim(hole: Mask) -> int:
    """Pixels around a hole that are drawn as well, so that its outline is drawn fully."""
    zooms = [group.view(min(hole.shape)).zoom for group in groups(hole)]
    return ceil(RIM * max(zooms))


def refuse_hole(hole: Mask) -> None:
    """Raise a DataError if a hole is empty or too large to be filled."""
    share = hole.mean()
    if not 0 < share <= MOST_SHARE:
        raise DataError(
            got="a mask with no pixel marked" if share == 0 else f"a hole of {share:.0%}",
            expected=f"a mask that marks up to {MOST_SHARE:.0%} of the photograph",
            todo="Mark what is to be filled.",
        )


def filled_with(
    drawn: Picture, photograph: Original, known: Picture, hole: Mask, *, smooth: bool
) -> Original:
    """The photograph with what was drawn in a hole, its tone corrected.

    Args:
        drawn: What was drawn, also around the hole.
        photograph: The photograph.
        known: Its picture with the hole `erased`.
        hole: The hole.
        smooth: See `Filler.fill`.
    """
    painted = levelled(known, drawn, hole)
    painted = _mixed(painted, known, hole) if smooth else painted
    return photograph.with_change(greyed(painted) if photograph.grey else painted, hole)


def _mixed(drawn: Picture, smooth: Picture, hole: Mask) -> Picture:
    """What was drawn, with the smooth continuation mixed in near the outline of the hole."""
    box, mixed = box_around(hole, 1), drawn.copy()
    inside = hole[box].astype(np.uint8)
    depth = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    share = SMOOTH * np.exp(-depth / (DEPTH * min(hole.shape)))[..., None]
    mixed[box] = np.rint(drawn[box] * (1 - share) + smooth[box] * share)
    return mixed


def covers_part(picture: Picture, hole: Mask) -> bool:
    """Whether a hole leaves too little of the part to be continued."""
    if hole.mean() < SMALL_SHARE:
        return False
    part = unshadowed_silhouette(picture)
    return bool((hole & part).sum() > COVERED_SHARE * max(1, part.sum()))


def greyed(picture: Picture) -> Picture:
    """A picture without colours."""
    return np.repeat(np.rint(luminance(picture)).astype(np.uint8), 3, axis=2)


def spread(fillings: Sequence[Filling]) -> float:
    """Mean difference inside the hole between two fillings, in levels of 0 to 255; 0 for one."""
    inside = [one.picture.picture[one.hole].astype(np.float32) for one in fillings]
    pairs = [np.abs(a - b).mean() for k, a in enumerate(inside) for b in inside[:k]]
    return float(np.mean(pairs)) if pairs else 0.0


def widened(mask: Mask, pixels: int) -> Mask:
    """A mask with so many pixels around it: a defect's rim is rarely marked to the last one."""
    if pixels == 0:
        return mask
    size = 2 * pixels + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    return cv2.dilate(mask.astype(np.uint8), disc) > 0


def margin_of(height: int, width: int, margin: int | None = None) -> int:
    """Margin around the mask of a defect, in pixels: the given one, or the usual one.

    Raises:
        OptionError: The given one is negative.
    """
    if margin is None:
        return ceil(max(height, width) * MARGIN_SHARE)
    if margin < 0:
        raise OptionError(
            got=f"a margin of {margin} pixels", expected="0 or more", todo="Correct the margin."
        )
    return margin
