r"""Real masks at their own place: a defect on a rim is on the rim of the next part, too.

Parts are assumed to be photographed in the same way. The mask is randomly mirrored about the part's
centre, rotated, scaled and shifted slightly,

    m'(p) = m(c + S^{-1} (p - c - t)),     S = s R(\phi) diag(\pm 1, 1),

and everything beside the part is cut off.
"""

import cv2
import numpy as np
from jaxtyping import Bool

from blemish.synthesis.real.align import moved_about

SCALE_BY = 1.2
SHIFT_BY = 0.02


def repositioned(
    mask: Bool[np.ndarray, "_ _"],
    room: Bool[np.ndarray, "h w"],
    rng: np.random.Generator,
    *,
    degrees: float,
) -> Bool[np.ndarray, "h w"]:
    """Place a real mask on a part, near its own place.

    Args:
        mask: Mask of a photograph that shows its part in the same place as `room`, at any size.
        room: Silhouette of the part.
        rng: Random generator of the move.
        degrees: Maximum rotation of the mask in either direction, in degrees.
    """
    h, w = room.shape
    rows, columns = np.nonzero(room)
    middle = np.array([columns.mean(), rows.mean()])
    scale = np.exp(rng.uniform(-1, 1) * np.log(SCALE_BY))
    turn = np.radians(rng.uniform(-degrees, degrees))
    mirrored = int(rng.choice([-1, 1]))
    across = np.array([columns.max() - columns.min(), rows.max() - rows.min()])
    shift = rng.uniform(-SHIFT_BY, SHIFT_BY, 2) * across
    move = moved_about(middle, middle + shift, scale, turn, mirrored)
    seen = cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
    moved = cv2.warpAffine(seen, move, (w, h))
    return (moved > 0.5) & room
