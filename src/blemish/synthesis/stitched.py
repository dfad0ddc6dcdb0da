"""A reference stitched from real defects: one of them, laid under the mask, in the photograph."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.masks import silhouette, spanned
from blemish.inversion.losses import squared_error
from blemish.synthesis.bending import bent_onto
from blemish.synthesis.laying import enlarged, lay, outline_of

# Pixels around the mask from which a blended defect's gradients are put in, of which OpenCV takes
# three away again; those that are left must hold the step from the part to the defect.
RIM = 5
MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Stitched:
    """Real defects, warped and pasted, one for each item."""

    target: Float[Tensor, "n 3 h w"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared difference inside the mask."""
        return 10 * squared_error(image, self.target, mask)


def stitch_defect(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
    *,
    blend: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """Lay a real defect under the target mask (see `laying`), and put it into the photograph.

    What the moved defect does not cover of the target takes the colour of its nearest pixel.

    Args:
        photograph: Of a good part.
        mask: The target.
        source: A photograph with a real defect.
        source_mask: Where that is.
        blend: Whether the defect's gradients are put in, from its own surroundings on (Pérez et
            al., 2003), so that it takes on the light of its new place; or its colours as they are.

    Returns:
        The photograph, changed inside the mask alone.
    """
    moved, covered = laid_under(photograph, mask, source, source_mask)
    if not covered.any():
        return photograph
    patch = np.where(mask[:, :, None], _spread(moved, covered), _spread(moved, ~covered))
    if blend and not covered.all():
        patch = _blended(photograph, mask, patch)
    return np.where(mask[:, :, None], patch, photograph)


def laid_under(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """A photograph of a defect, moved and bent so that this lies under a mask of another.

    Returns:
        The photograph, and where it shows the defect.
    """
    h, w = mask.shape
    move, _ = lay(outline_of(source, source_mask), outline_of(photograph, mask))
    affine = enlarged(move, max(h, w))
    moved = cv2.warpAffine(
        source, affine, (w, h), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    marked = _off_ground(source, source_mask).astype(np.float32)
    return bent_onto(moved, cv2.warpAffine(marked, affine, (w, h)) > 0.5, mask)


def _off_ground(
    source: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]
) -> Bool[np.ndarray, "h w"]:
    """A defect without what its mask takes in of the ground around the part.

    That is little, or else the part was not found, or the defect sticks out.
    """
    kept = mask & spanned(silhouette(source))
    return kept if kept.sum() > MOSTLY * mask.sum() else mask


def _spread(
    picture: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """What is not known takes the colour of the nearest pixel that is, where any is."""
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
    """Poisson blending of a patch from a rim around the mask on, in which it shows a good part.

    The pictures are padded, since the solver wants its region inside of them.
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
