r"""Shapes bent by a smooth displacement: at random, or until one has the outline of another.

At random (Simard et al., 2003): a field of independent normal numbers is blurred and scaled, and
says for every pixel p from where p + u(p) the bent mask is taken.

Until one has the outline of another (demons; Thirion, 1998): with the signed distances s and t to
the outlines of both, negative inside,

    u \leftarrow G_\sigma * (u - e^{-(t / w)^2} (d / (|\nabla t|^2 + d^2 / 4)) \nabla t),
    d(p) = s(p + u(p)) - t(p),

so that near the target's outline the field pulls one onto the other, and the blur G carries this
smoothly to all that is around it. An outline that can't be met without a fold is met in part.
"""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

SIDE = 128  # of the longer side, at which fields are found
STEPS = 60
MOST = 2.0  # pixels that a step may move
SMOOTH = 3.0  # the deviation σ of the blur, in pixels
NEAR = 8.0  # the band w about the outline that pulls, in pixels
WAVE = 0.07  # the deviation of the blur of a random field, as a share of the longer side

Field = Float[np.ndarray, "h w 2"]


def bent_at_random(
    mask: Bool[np.ndarray, "h w"], share: float, rng: np.random.Generator
) -> Bool[np.ndarray, "h w"]:
    """A mask under a random displacement.

    Args:
        mask: To bend.
        share: The deviation of the displacement, along each axis, as a share of the longer side.
        rng: Source of the field, which is the same for a picture of any size.
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
    """A picture with something of one shape, bent so that it has nearly that of a target.

    Args:
        picture: That shows it.
        shape: Where it is, not far from the target.
        target: Where it shall be.

    Returns:
        The picture, and where it now is. Both as they were where one of the masks marks nothing
        that is seen at `SIDE` pixels.
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
    """The displacement under which one signed distance is near the other about its zero."""
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
    """The distance in pixels to the outline, which lies between pixels; negative inside."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    outside, inside = (np.asarray(distance_transform_edt(m)) for m in (~mask, mask))
    return (outside - inside + np.where(mask, 0.5, -0.5)).astype(np.float32)


def _pulled(values: np.ndarray, field: Field) -> np.ndarray:
    """What each pixel finds where the field sends it."""
    y, x = np.mgrid[: field.shape[0], : field.shape[1]].astype(np.float32)
    where = x + field[:, :, 0], y + field[:, :, 1]
    return cv2.remap(values, *where, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
