"""A reference stitched from real defects: one of them, warped under the mask, in the photograph."""

from dataclasses import dataclass
from math import atan2, log, pi

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from blemish.inversion.losses import squared_error

# Pixels around the mask from which a blended defect's gradients are put in, of which OpenCV takes
# three away again; those that are left must hold the step from the part to the defect.
RIM = 5
NEAREST = 4


@dataclass(frozen=True, slots=True)
class Stitched:
    """Real defects, warped and pasted, one for each item."""

    target: Float[Tensor, "n 3 h w"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared difference inside the mask."""
        return 10 * squared_error(image, self.target, mask)


def nearest_in_shape(
    mask: Bool[np.ndarray, "h w"], candidates: list[Bool[np.ndarray, "h w"]]
) -> list[int]:
    """Indices of candidates, the most alike in area and elongation first."""
    wanted = _shape(mask)
    far = [np.abs(np.subtract(_shape(candidate), wanted)).sum() for candidate in candidates]
    return [int(index) for index in np.argsort(far, kind="stable")]


def alike_in_shape(
    mask: Bool[np.ndarray, "h w"], candidates: list[Bool[np.ndarray, "h w"]], seed: int
) -> int:
    """The index of one of the `NEAREST` candidates, which seeds take in turn."""
    best = nearest_in_shape(mask, candidates)
    return best[seed % min(NEAREST, len(best))]


def stitch_defect(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
    *,
    blend: bool = True,
) -> UInt8[np.ndarray, "h w 3"]:
    """Turn, scale and move a real defect onto the target mask, and put it into the photograph.

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
    h, w = mask.shape
    affine = _alignment(source_mask, mask)
    moved = cv2.warpAffine(source, affine, (w, h), borderMode=cv2.BORDER_REFLECT)
    moved_mask = cv2.warpAffine(source_mask.astype(np.uint8), affine, (w, h)) > 0
    if not moved_mask.any():
        return photograph
    patch = np.where(mask[:, :, None], _spread(moved, moved_mask), _spread(moved, ~moved_mask))
    if blend and not moved_mask.all():
        patch = _blended(photograph, mask, patch)
    return np.where(mask[:, :, None], patch, photograph)


def _spread(
    picture: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"]
) -> UInt8[np.ndarray, "h w 3"]:
    """What is not known takes the colour of the nearest pixel that is, where any is."""
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


def _shape(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float]:
    """Logarithms of the area and of the ratio of the axes."""
    _, _, major, minor, _ = _ellipse(mask)
    return log(mask.sum()), log(major / minor)


def _ellipse(mask: Bool[np.ndarray, "h w"]) -> tuple[float, float, float, float, float]:
    """Centre x and y, deviations along both axes, and the angle of the longer."""
    y, x = np.nonzero(mask)
    spread = np.cov(np.stack([x, y])) if len(x) > 1 else np.zeros((2, 2))
    values, vectors = np.linalg.eigh(spread + 0.25 * np.eye(2))
    angle = atan2(vectors[1, 1], vectors[0, 1])
    return float(x.mean()), float(y.mean()), values[1] ** 0.5, values[0] ** 0.5, angle


def _alignment(
    source: Bool[np.ndarray, "h w"], target: Bool[np.ndarray, "h w"]
) -> Float[np.ndarray, "2 3"]:
    """Similarity that lays one mask's ellipse over the other's."""
    sx, sy, source_major, source_minor, source_angle = _ellipse(source)
    tx, ty, major, minor, angle = _ellipse(target)
    scale = (major * minor / (source_major * source_minor)) ** 0.5
    affine = cv2.getRotationMatrix2D((sx, sy), (source_angle - angle) * 180 / pi, scale)
    affine[:, 2] += (tx - sx, ty - sy)
    return affine
