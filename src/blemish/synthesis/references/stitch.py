"""Reference stitched from a real defect, placed under the mask in the photograph."""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.masks import silhouette, spanned
from blemish.inversion.losses import squared_error
from blemish.pictures import to_picture, to_tensor
from blemish.synthesis.real.align import Outline, align, best_aligned, outline_of, scaled_move
from blemish.synthesis.real.defects import RealDefects
from blemish.synthesis.real.warp import bent_onto

# Width in pixels around the mask from which a defect's gradients are blended. OpenCV removes
# three of them again; the rest must contain the step from the part to the defect.
RIM = 5
MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Stitched:
    """Real defects, warped and pasted, one per item."""

    target: Float[Tensor, "n 3 h w"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared difference inside the mask."""
        return 10 * squared_error(image, self.target, mask)


class StitchSource:
    """Source of stitched references: one of the best-placed real defects, selected by the seed."""

    def __init__(self, real: RealDefects) -> None:
        self.real, self.outlines = real, cache(self._outlines)

    def prepare(self, kind: str) -> None:
        """See `references.ReferenceSource`."""
        self.outlines(kind)

    def choose(
        self,
        kind: str,
        photograph: Float[Tensor, "1 3 h w"],
        mask: Float[Tensor, "1 1 h w"],
        seed: int,
    ) -> Stitched:
        """See `references.ReferenceSource`."""
        pictures, masks = self.real.load(kind)
        picture, target = to_picture(photograph[0].cpu()), mask[0, 0].cpu().numpy() > 0.5
        k = best_aligned(outline_of(picture, target), self.outlines(kind), seed)
        pasted = stitch_defect(picture, target, pictures[k], masks[k] > 0)
        return Stitched(to_tensor(pasted)[None].to(self.real.device))

    def _outlines(self, kind: str) -> list[Outline]:
        return [outline_of(p, m > 0) for p, m in zip(*self.real.load(kind), strict=True)]


def stitch_defect(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
    *,
    blend: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """Place a real defect under the target mask (see `align`) in the photograph.

    Uncovered pixels of the target take the colour of the nearest covered pixel.

    Args:
        photograph: Photograph of a good part.
        mask: Target mask.
        source: Photograph with a real defect.
        source_mask: Mask of that defect.
        blend: Blend the defect's gradients, starting in its surroundings (Pérez et al., 2003), so
            that it takes on the light of its new place; otherwise paste its colours.

    Returns:
        The photograph, changed only inside the mask.
    """
    moved, covered = _moved_under(photograph, mask, source, source_mask)
    if not covered.any():
        return photograph
    patch = np.where(mask[:, :, None], _spread(moved, covered), _spread(moved, ~covered))
    if blend and not covered.all():
        patch = _blended(photograph, mask, patch)
    return np.where(mask[:, :, None], patch, photograph)


def _moved_under(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Photograph of a defect, moved and warped so that the defect is under a mask of another.

    Returns:
        The photograph, and the mask of its defect.
    """
    h, w = mask.shape
    move, _ = align(outline_of(source, source_mask), outline_of(photograph, mask))
    affine = scaled_move(move, max(h, w))
    moved = cv2.warpAffine(
        source, affine, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    marked = _off_ground(source, source_mask).astype(np.float32)
    return bent_onto(moved, cv2.warpAffine(marked, affine, (w, h)) > 0.5, mask)


def _off_ground(
    source: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """A defect without the background pixels inside its mask.

    These are few; otherwise the part was not found, or the defect sticks out.
    """
    kept = mask & spanned(silhouette(source))
    return kept if kept.sum() > MOSTLY * mask.sum() else mask


def _spread(
    picture: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """Unknown pixels take the colour of the nearest known pixel, if there is one."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    if not known.any():
        return picture
    nearest = distance_transform_edt(~known, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    return picture[rows, columns]


def _blended(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    patch: UInt8[np.ndarray, "h w 3"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Blend a patch by Poisson's equation, from a rim of good part around the mask inwards.

    The images are padded, because the solver needs its region inside of them.
    """
    wide = [
        cv2.copyMakeBorder(picture, RIM + 2, RIM + 2, RIM + 2, RIM + 2, cv2.BORDER_REPLICATE)
        for picture in (patch, photograph)
    ]
    region = np.pad(mask.astype(np.uint8), RIM + 2)
    region = cv2.dilate(region, np.ones((2 * RIM + 1, 2 * RIM + 1), np.uint8)) * 255
    x, y, w, h = cv2.boundingRect(region)
    middle = (x + w // 2, y + h // 2)
    found = cv2.seamlessClone(wide[0], wide[1], region, middle, cv2.NORMAL_CLONE)
    return np.asarray(found)[RIM + 2 : -RIM - 2, RIM + 2 : -RIM - 2]
