"""What the inside of a defect shall look like: the targets of term (c).

`Stitched` pulls towards one real defect, warped under the target mask and pasted onto the
photograph; `Distilled` towards the statistics of a matching critic's features inside real masks.
"""

from dataclasses import dataclass
from math import atan2, log, pi

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from blemish.generator.critic import Critic, inside_statistics
from blemish.inversion.losses import squared_error


@dataclass(frozen=True, slots=True)
class Distilled:
    """Feature statistics of real defects of a type.

    Attributes:
        critic: That judges images with masks.
        mean: Of `inside_statistics` over real defects.
        deviation: Of the same.
    """

    critic: Critic
    mean: Float[Tensor, " s"]
    deviation: Float[Tensor, " s"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared distance to the statistics in units of their deviation."""
        found = inside_statistics(self.critic, image, mask)
        return ((found - self.mean) / (self.deviation + 1e-2)).square().mean(dim=1)


@dataclass(frozen=True, slots=True)
class Stitched:
    """Real defects, warped and pasted, one for each item."""

    target: Float[Tensor, "n 3 h w"]

    def error(
        self, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
    ) -> Float[Tensor, " n"]:
        """Mean squared difference inside the mask."""
        return 10 * squared_error(image, self.target, mask)


@torch.no_grad()
def distil(
    critic: Critic, image: Float[Tensor, "n 3 h w"], mask: Float[Tensor, "n 1 h w"]
) -> Distilled:
    """Take the statistics of real defects."""
    found = inside_statistics(critic, image, mask)
    return Distilled(critic, found.mean(dim=0), found.std(dim=0, unbiased=False))


def nearest_in_shape(
    mask: Bool[np.ndarray, "h w"], candidates: list[Bool[np.ndarray, "h w"]]
) -> list[int]:
    """Indices of candidates, the most alike in area and elongation first."""
    wanted = _shape(mask)
    far = [np.abs(np.subtract(_shape(candidate), wanted)).sum() for candidate in candidates]
    return [int(index) for index in np.argsort(far, kind="stable")]


def stitch_defect(
    photograph: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    source: UInt8[np.ndarray, "h w 3"],
    source_mask: Bool[np.ndarray, "h w"],
) -> UInt8[np.ndarray, "h w 3"]:
    """Turn, scale and move a real defect onto the target mask and paste it.

    What the moved defect does not cover of the target takes the colour of its nearest pixel.
    """
    h, w = mask.shape
    affine = _alignment(source_mask, mask)
    moved = cv2.warpAffine(source, affine, (w, h), borderMode=cv2.BORDER_REFLECT)
    moved_mask = cv2.warpAffine(source_mask.astype(np.uint8), affine, (w, h)) > 0
    if not moved_mask.any():
        return photograph
    nearest = distance_transform_edt(~moved_mask, return_distances=False, return_indices=True)
    rows, columns = np.asarray(nearest)
    return np.where(mask[:, :, None], moved[rows, columns], photograph)


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
