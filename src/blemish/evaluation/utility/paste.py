"""Copy-paste: real defects, cut out by their masks and moved onto photographs of good parts.

This is the strongest baseline without a model. A defect keeps its colours; it is mirrored, rotated,
scaled and shifted, kept on the part, and its edge is feathered outside the mask, where the
cut-out's own surroundings fade into the photograph,

    y = x + a (d - x),   a = min(1, 2 (G_s * m)),

with the good photograph x, the moved photograph of the defect d, its moved mask m and a Gaussian
G_s: inside of straight edges a is 1, so that the labelled pixels are the defect itself.
"""

from functools import cached_property

import cv2
import numpy as np
import torch
from jaxtyping import Bool, UInt8

from blemish.data.augment import Symmetries, augment_stack
from blemish.data.masks import silhouette
from blemish.evaluation.utility.protocol import Labelled
from blemish.evaluation.utility.sources import DefectSource, Pair
from blemish.pictures import mask_to_tensor, to_picture, to_tensor

MOVES = Symmetries(
    flip=True,
    flip_vertical=True,
    rotate=True,
    shift=True,
    scale=True,
    colour=True,
    degrees=180,
    shift_by=0.1,
    scale_by=0.2,
)
FEATHER = 1.0  # deviation of the blur in pixels
TRIES = 4
LEAST_SHARE = 0.5  # minimum fraction of a moved defect on the part


class Pasted(DefectSource):
    """Defects of some photographs on others.

    Args:
        defects: Photographs of defects.
        good: Photographs of good parts.
    """

    def __init__(self, defects: Labelled, good: Labelled) -> None:
        self.defects, self.good = defects, good

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({*self.defects.kinds}))

    @cached_property
    def parts(self) -> Bool[np.ndarray, "n s s"]:
        """Silhouette of the part on each good photograph."""
        return np.stack([silhouette(picture) for picture in self.good.pictures])

    def draw(self, kind: str, rng: np.random.Generator) -> Pair:
        source, place = rng.choice(self.defects.of(kind)), rng.integers(len(self.good))
        cut = self.defects.pictures[source], self.defects.masks[source]
        defect, label = moved_onto(*cut, self.parts[place], rng)
        return feathered_paste(self.good.pictures[place], defect, label), label


def moved_onto(
    picture: UInt8[np.ndarray, "s s 3"],
    mask: UInt8[np.ndarray, "s s"],
    part: Bool[np.ndarray, "s s"],
    rng: np.random.Generator,
) -> Pair:
    """Photograph, moved randomly so that its defect is on a part.

    Returns:
        The photograph and the defect's mask there, not empty; unmoved if no try was on the
        part.
    """
    moves = torch.Generator().manual_seed(int(rng.integers(2**62)))
    stack = torch.cat([to_tensor(picture), mask_to_tensor(mask)])[None]
    for _ in range(TRIES):
        moved = augment_stack(stack, MOVES, generator=moves)[0]
        shape = (moved[3] > 0.5).numpy()
        label = shape & part
        if label.sum() > LEAST_SHARE * shape.sum():
            return to_picture(moved[:3]), label.astype(np.uint8)
    return picture, mask


def feathered_paste(
    good: UInt8[np.ndarray, "s s 3"],
    defect: UInt8[np.ndarray, "s s 3"],
    label: UInt8[np.ndarray, "s s"],
) -> UInt8[np.ndarray, "s s 3"]:
    """Good photograph with the labelled defect, its edge feathered."""
    blurred = cv2.GaussianBlur(label.astype(np.float32), (0, 0), FEATHER)
    weight = np.maximum(label, np.minimum(2 * blurred, 1))[:, :, None]
    return (good + weight * (defect.astype(np.float32) - good)).round().astype(np.uint8)
