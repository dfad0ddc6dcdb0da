"""What can be seen of a defect on a photograph, real or made: the scores that are held to bounds.

All of it is measured alike on real defects, which have no good twin, so that real ones can say what
is usual.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.closeup import bare, close_up
from blemish.data.colour import lab
from blemish.generator.critic import Critic, inside_statistics
from blemish.pictures import fit, fit_mask, mask_to_tensor, to_tensor

LONGEST = 512
RING = 1 / 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Of one defect.

    Attributes:
        features: `inside_statistics` of the matching critic.
        inside: The same from near, with nothing around the defect: what is left where a defect is
            copied onto another part.
        verdict: The matching critic's; higher is more like a real one.
        contrast: Mean CIELAB distance of the inside to the mean colour of the ring around it.
        on_part: Share of the mask that is on the part.
    """

    features: Float[Tensor, " s"]
    inside: Float[Tensor, " s"]
    verdict: float
    contrast: float
    on_part: float


@torch.no_grad()
def sight(
    critic: Critic,
    side: int,
    picture: UInt8[np.ndarray, "h w 3"],
    mask: Bool[np.ndarray, "h w"],
    part: Bool[np.ndarray, "p q"],
) -> Sighting:
    """Look at one defect.

    Args:
        critic: Of images with masks; it looks at this one alone.
        side: Of the squares that it knows.
        picture: The photograph with the defect.
        mask: Where that is; not empty.
        part: The part's silhouette, at the size of `shrunk_size`.
    """
    device = next(critic.parameters()).device
    image = to_tensor(fit(picture, side))[None].to(device)
    marked = mask_to_tensor(fit_mask(mask, side))[None].to(device)
    small, inside = shrunk(picture), shrunk_mask(mask)
    on_part = (inside & part).sum() / inside.sum()
    near, covered = close_up(picture, mask, side)
    alone = to_tensor(bare(near, covered))[None].to(device)
    own = mask_to_tensor(covered)[None].to(device)
    return Sighting(
        features=inside_statistics(critic, image, marked)[0].cpu(),
        inside=inside_statistics(critic, alone, own)[0].cpu(),
        verdict=critic(torch.cat([image, 2 * marked - 1], dim=1)).item(),
        contrast=_contrast(small, inside),
        on_part=float(on_part),
    )


def shrunk(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "p q 3"]:
    """A picture at most `LONGEST` pixels long: more only takes time."""
    return cv2.resize(picture, shrunk_size(picture), interpolation=cv2.INTER_AREA)


def shrunk_mask(mask: Bool[np.ndarray, "h w"]) -> Bool[np.ndarray, "p q"]:
    """A mask likewise, on where any of it is."""
    small = cv2.resize(mask.astype(np.float32), shrunk_size(mask), interpolation=cv2.INTER_AREA)
    return small > (0.5 if (small > 0.5).any() else 0)


def shrunk_size(array: np.ndarray) -> tuple[int, int]:
    """Width and height of a picture or a mask that is at most `LONGEST` pixels long."""
    h, w = array.shape[:2]
    share = min(1, LONGEST / max(h, w))
    return max(1, round(w * share)), max(1, round(h * share))


def _contrast(picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"]) -> float:
    reach = 2 * max(2, round(max(mask.shape) * RING)) + 1
    wide = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8)).astype(bool)
    ring, colours = wide & ~mask, lab(picture)
    around = colours[ring].mean(axis=0) if ring.any() else colours[mask].mean(axis=0)
    return float(np.linalg.norm(colours[mask] - around, axis=1).mean())
