"""Visible properties of a real or synthetic defect: the scores that have bounds.

All are measured in the same way on real defects, which have no good twin, so that real ones give
the bounds.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.closeup import bare, close_up
from blemish.data.colour import lab
from blemish.models.critic import Critic, inside_statistics
from blemish.pictures import fit_mask, fit_square, mask_to_tensor, to_tensor

SIDE = 128  # of the square that the features are computed from, in pixels
LONGEST = 512
RING = 1 / 32


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectFeatures:
    """Properties of one defect.

    Attributes:
        features: `inside_statistics` of pretrained features.
        inside: The same in a close-up without surroundings: this remains when a defect is copied
            onto another part.
        contrast: Mean CIELAB distance of the inside to the mean colour of the surrounding ring.
        on_part: Fraction of the mask that is on the part.
    """

    features: Float[Tensor, " s"]
    inside: Float[Tensor, " s"]
    contrast: float
    on_part: float


@torch.no_grad()
def defect_features(
    critic: Critic,
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    part: Bool[np.ndarray, "p q"],
) -> DefectFeatures:
    """Measure one defect.

    Args:
        critic: Critic of images with masks, whose features are compared.
        picture: Photograph with the defect.
        mask: Mask of the defect; not empty.
        part: Silhouette of the part at the size of `shrunk_size`.
    """
    device = next(critic.parameters()).device
    image = to_tensor(fit_square(picture, SIDE))[None].to(device)
    marked = mask_to_tensor(fit_mask(mask, SIDE))[None].to(device)
    small, inside = shrunk(picture), shrunk_mask(mask)
    on_part = (inside & part).sum() / inside.sum()
    near, covered = close_up(picture, mask, SIDE)
    alone = to_tensor(bare(near, covered))[None].to(device)
    own = mask_to_tensor(covered)[None].to(device)
    return DefectFeatures(
        features=inside_statistics(critic, image, marked)[0].cpu(),
        inside=inside_statistics(critic, alone, own)[0].cpu(),
        contrast=_contrast(small, inside),
        on_part=float(on_part),
    )


def shrunk(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "p q 3"]:
    """Image reduced to at most `LONGEST` pixels per side, to save time."""
    return cv2.resize(picture, shrunk_size(picture), interpolation=cv2.INTER_AREA)


def shrunk_mask(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "p q"]:
    """Mask reduced in the same way; a pixel is on if any of its source pixels is."""
    small = cv2.resize(mask.astype(np.float32), shrunk_size(mask), interpolation=cv2.INTER_AREA)
    return small > (0.5 if (small > 0.5).any() else 0)


def shrunk_size(array: np.ndarray) -> tuple[int, int]:
    """Width and height of an image or a mask of at most `LONGEST` pixels per side."""
    h, w = array.shape[:2]
    share = min(1, LONGEST / max(h, w))
    return max(1, round(w * share)), max(1, round(h * share))


def _contrast(picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> float:
    reach = 2 * max(2, round(max(mask.shape) * RING)) + 1
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    ring, colours = wide & ~mask, lab(picture)
    around = colours[ring].mean(axis=0) if ring.any() else colours[mask].mean(axis=0)
    return float(np.linalg.norm(colours[mask] - around, axis=1).mean())
