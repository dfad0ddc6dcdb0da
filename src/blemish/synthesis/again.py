r"""Real masks where they lay: a defect that sits on a rim sits there on the next part as well.

The part is taken to be photographed alike each time. About the middle of the part the mask is
mirrored by chance, turned, scaled and shifted a little,

    m'(p) = m(c + S^{-1} (p - c - t)),     S = s R(\phi) diag(\pm 1, 1),

and what then lies beside the part is cut off.
"""

import cv2
import numpy as np
from jaxtyping import Bool

SCALE_BY = 1.2
SHIFT_BY = 0.02


def laid_again(
    mask: Bool[np.ndarray, "_ _"],
    room: Bool[np.ndarray, "h w"],
    rng: np.random.Generator,
    *,
    degrees: float,
) -> Bool[np.ndarray, "h w"]:
    """A real mask on a part, near where it lay on its own.

    Args:
        mask: Of a photograph that shows its part as `room` does, at any size.
        room: Where the part is.
        rng: Source of the move.
        degrees: The mask is turned by up to so many, either way.
    """
    h, w = room.shape
    rows, columns = np.nonzero(room)
    middle = np.array([columns.mean(), rows.mean()])
    scale = np.exp(rng.uniform(-1, 1) * np.log(SCALE_BY))
    turn = np.radians(rng.uniform(-degrees, degrees))
    mirrored = rng.choice([-1, 1])
    across = np.array([columns.max() - columns.min(), rows.max() - rows.min()])
    shift = rng.uniform(-SHIFT_BY, SHIFT_BY, 2) * across
    cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
    matrix = np.array([[cosine * mirrored, -sine], [sine * mirrored, cosine]])
    offset = middle + shift - matrix @ middle
    seen = cv2.resize(mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
    moved = cv2.warpAffine(seen, np.column_stack([matrix, offset]), (w, h))
    return (moved > 0.5) & room
