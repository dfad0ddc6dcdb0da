r"""Shapes warped by a smooth displacement: randomly, or to the outline of another shape.

Random warp (Simard et al., 2003): a field u of independent normal numbers is blurred and scaled;
pixel p of the warped mask is sampled at p + u(p).

Warp to an outline (demons; Thirion, 1998): with the signed distances s and t to both outlines,
negative inside,

    u \leftarrow G_\sigma * (u - e^{-(t / w)^2} (d / (|\nabla t|^2 + d^2 / 4)) \nabla t),
    d(p) = s(p + u(p)) - t(p),

so the field near the target's outline pulls one onto the other, and the blur G spreads this
smoothly. An outline that can't be reached without a fold is reached in part.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

SIDE = 128  # longer side in pixels at which fields are computed
STEPS = 60
MOST = 2.0  # maximum displacement of a step, in pixels
SMOOTH = 3.0  # standard deviation σ of the blur, in pixels
NEAR = 8.0  # width w of the band around the outline that pulls, in pixels
WAVE = 0.07  # standard deviation of a random field's blur, as a fraction of the longer side

Field = Float[np.ndarray, "h w 2"]


def bent_at_random(
    mask: Bool[np.ndarray, "h w"], share: float, rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    """Warp a mask by a random displacement.

    Args:
        mask: Mask to warp.
        share: Standard deviation of the displacement along each axis, as a fraction of the longer
            side.
        rng: Random generator of the field; the field is the same for an image of any size.
    """
    h, w = mask.shape
    noise = rng.standard_normal((SIDE, SIDE, 2)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), WAVE * SIDE)
    field = cv2.resize(smooth / smooth.std() * share * max(h, w), (w, h))
    return _pulled(mask.astype(np.float32), field) > 0.5


def bent_onto(
    picture: UInt8[np.ndarray, "h w 3"],
    shape: Bool[np.ndarray, "h w"],
    target: Bool[np.ndarray, "h w"],
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Warp an image so that a shape in it nearly gets the outline of a target.

    Args:
        picture: Image that contains the shape.
        shape: Mask of the shape, close to the target.
        target: Desired mask.

    Returns:
        The warped image and the warped mask. Both are unchanged if one of the masks marks nothing
        visible at `SIDE` pixels.
    """
    field = field_onto(shape, target)
    if field is None:
        return picture, shape
    return _pulled(picture, field), _pulled(shape.astype(np.float32), field) > 0.5


def field_onto(shape: Bool[np.ndarray, "h w"], target: Bool[np.ndarray, "h w"]) -> Field | None:
    """The displacement in pixels, x and y, that bends one shape nearly onto another.

    None where one of the masks marks nothing that is seen at `SIDE` pixels.
    """
    h, w = target.shape
    scale = max(h, w) / SIDE
    size = max(1, round(w / scale)), max(1, round(h / scale))
    small, wanted = (
        cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.5
        for mask in (shape, target)
    )
    if not small.any() or not wanted.any():
        return None
    return cv2.resize(_field(_signed(small), _signed(wanted)), (w, h)) * np.float32(scale)


def _field(source: Float[np.ndarray, "h w"], target: Float[np.ndarray, "h w"]) -> Field:
    """Displacement that aligns one signed distance with the other near zero."""
    down, right = np.gradient(target)
    slope = np.stack([right, down], axis=-1)
    steep, near = (slope**2).sum(axis=-1), np.exp(-((target / NEAR) ** 2))
    field = np.zeros((*target.shape, 2), np.float32)
    for _ in range(STEPS):
        apart = _pulled(source, field) - target
        pull = apart / (steep + apart**2 / 4 + 1e-6) * near
        step = np.clip(pull[:, :, None] * slope, -MOST, MOST)
        field = cv2.GaussianBlur((field - step).astype(np.float32), (0, 0), SMOOTH)
    return field


def _signed(mask: Bool[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """Distance in pixels to the outline, which lies between pixels; negative inside."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    outside, inside = (np.asarray(distance_transform_edt(m)) for m in (~mask, mask))
    return (outside - inside + np.where(mask, 0.5, -0.5)).astype(np.float32)


def _pulled(values: np.ndarray, field: Field) -> np.ndarray:
    """Values that each pixel samples through the field."""
    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float32)
    where = x + field[:, :, 0], y + field[:, :, 1]
    return cv2.remap(values, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
