r"""Local strength of a defect, varying as dirt and light do.

An object in a bottle is visible where light falls on it and fades elsewhere, but people label all
of it. Let n be a field of independent normal numbers, blurred and scaled to a deviation of 1; then

    f(p) = 1 - u (1 - s(p) / max_{q \in M} s(q)),     s = \sigma(g (n + o)),

which is 1 where the defect under the mask M is strongest and never below 1 - u inside. The gain g
makes transitions soft or steep, the offset o controls how much is faint, and the blur is a fraction
of the mask's size; all three are sampled for each defect.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float

SIDE = 128  # longer side in pixels at which fields are sampled
WAVE = (0.15, 0.5)  # deviation of the blur, as a fraction of the root of the mask's area
GAIN = (1.0, 4.0)
OFFSET = (-0.5, 1.2)


def faded(
    mask: Bool[np.ndarray, "h w"], most: float, rng: np.random.Generator
) -> Float[np.ndarray, "h w"]:
    """Fraction of the full strength at each place of a defect.

    Args:
        mask: Mask of the defect; it must not be empty.
        most: Fraction of the strength that is lost where the defect is weakest, in [0, 1].
        rng: Random generator of the field, which is nearly the same for an image of any size.
    """
    if not most:  # the usual case, which needs no random numbers
        return np.ones(mask.shape, np.float32)
    h, w = mask.shape
    scale = SIDE / max(h, w)
    noise = rng.standard_normal((max(1, round(h * scale)), max(1, round(w * scale))))
    wave, gain, offset = (rng.uniform(*bounds) for bounds in (WAVE, GAIN, OFFSET))
    sigma = max(1.0, wave * scale * float(mask.sum()) ** 0.5)
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), sigma)
    seen = 1 / (1 + np.exp(-gain * (smooth / max(float(smooth.std()), 1e-6) + offset)))
    seen = cv2.resize(seen.astype(np.float32), (w, h))
    return 1 - most * (1 - np.minimum(seen / seen[mask].max(), 1))
