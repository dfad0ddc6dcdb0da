"""The frame of a part: a square around it in which masks are drawn, on photographs of any size.

Its middle is the part's centroid, and the part's farthest point lies at `FILL` of half its side, so
that the part may be turned in it. A part is given as the signed distance to its outline, in pixels
of the frame, positive inside.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32

from blemish.windows.sources import Affine

FILL = 0.92
FARTHEST = 99.8  # percentile of the distances to the centroid that counts as the farthest point
FINER = 4  # samples of a pixel along each axis

Region = Bool[np.ndarray, "h w"]


@dataclass(frozen=True)
class Frame:
    """A square on a photograph.

    Attributes:
        middle: Its middle, x and y, in pixels of the photograph.
        reach: Half its side, in pixels of the photograph.
    """

    middle: Float[np.ndarray, "2"]
    reach: float

    def matrix(self, side: int) -> Affine:
        """From pixels of a frame of so many pixels a side to those of the photograph."""
        zoom = 2 * self.reach / side
        return np.column_stack([zoom * np.eye(2), self.middle - zoom * (side - 1) / 2])

    def cut(self, region: Region, side: int) -> Float32[np.ndarray, "s s"]:
        """The share of each pixel that a region covers; nothing is beyond the photograph."""
        fine = FINER * side
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(
            region.astype(np.float32), self.matrix(fine), (fine, fine), flags=flags
        )
        return cv2.resize(seen, (side, side), interpolation=cv2.INTER_AREA)

    def onto_photograph(
        self, values: Float32[np.ndarray, "s s"], shape: tuple[int, int], outside: float
    ) -> Float32[np.ndarray, "h w"]:
        """Values of a frame on the photograph's own pixels, and a constant outside of the frame.

        Args:
            values: One value for each pixel of the frame.
            shape: Height and width of the photograph.
            outside: Value outside of the frame.
        """
        h, w = shape
        return cv2.warpAffine(
            values,
            self.matrix(len(values)),
            (w, h),
            flags=cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=outside,
        )


def frame_of(part: Region) -> Frame:
    """The frame of a part that is not empty."""
    y, x = np.nonzero(part)
    middle = np.array([x.mean(), y.mean()])
    far = np.hypot(x - middle[0], y - middle[1])
    return Frame(middle, max(float(np.percentile(far, FARTHEST)), 1.0) / FILL)


def signed_distance(share: Float32[np.ndarray, "s s"]) -> Float32[np.ndarray, "s s"]:
    """Distance to the outline of a part, in pixels, positive inside.

    The pixel's own share gives the distance next to the outline, at less than a pixel.
    """
    inside = share > 0.5
    if inside.all() or not inside.any():
        return np.full(share.shape, len(share) if inside.all() else -len(share), np.float32)
    deep, far = depths_in(inside), depths_in(~inside)
    whole = np.where(inside, deep - 0.5, 0.5 - far)
    return np.where(np.abs(whole) < 1, share - 0.5, whole).astype(np.float32)


def depths_in(region: Region) -> Float32[np.ndarray, "h w"]:
    """Distance to the nearest pixel outside of a region.

    The last bit of OpenCV's depends on where its memory lies; the squares are whole numbers.
    """
    levels = region.astype(np.uint8)
    found = cv2.distanceTransform(levels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return np.sqrt(np.rint(found * found))
