r"""A real defect pasted onto a photograph at the photograph's own scale: no bundle, no training.

The defect is laid under the mask (`align`), bent to its outline (`warp`), and resampled once
from its own photograph. The good surface around it is compared in CIELAB: with the target's T and
the source's S, blurred over the ring R about the mask,

    d = \frac{G * (1_R (T - S))}{G * 1_R},   s' = s + a(s) d,

so that the light of the new place reaches into the defect. The share a is 1 for pixels of the
source that look like its good surface and falls off with their distance to it: paint keeps its
colour where the skin around it is paler. The source is blended in by the distance to the rim:
slowly where it shows good surface, within a pixel or two where the defect itself is cut. The defect
ends where it ends on its own photograph, if that is within reach of the mask; what it leaves of the
mask stays as it was.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from blemish.data.colour import lab, luminance, of_lab
from blemish.data.masks import box_around
from blemish.synthesis.composite import Carried, put_on, reach_px
from blemish.synthesis.real.align import scaled_move
from blemish.synthesis.real.cutouts import Cutout, Place, choose_cutout, is_small, pieces
from blemish.synthesis.real.warp import field_onto

RING_SHARE = 1 / 24  # width of the ring of good surface, as a share of the photograph's longer side
LEAST_RING = 0.15  # share of the ring that shows good surface on both photographs
MOST_SHIFT = np.array([18.0, 6.0, 9.0], np.float32)  # in L*, a* and b*
UNEVEN = np.array([10.0, 4.0, 6.0], np.float32)  # deviation at which a shift counts for half
ALIKE = 12.0  # CIELAB distance at which a pixel hardly looks like good surface
KEPT_SHIFT = 0.7  # share of the shift that a defect's own colours take on
SHARP_RIM, SOFT_RIM = 1.6, 5.0  # widths in pixels at a longer side of 512
FRINGE = 6.0  # of the source's surroundings, in the same pixels
MOST_RESCALED = 1.6

Affine = Float[np.ndarray, "2 3"]
Picture = UInt8[np.ndarray, "h w 3"]
Mask = Bool[np.ndarray, "h w"]
Cover = Float[np.ndarray, "h w"]
Window = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Patch:
    """What is pasted, in a window of the photograph.

    Attributes:
        window: Rows and columns.
        picture: The defect in the photograph's colours.
        cover: Its share of each pixel, in [0, 1].
    """

    window: Window
    picture: Picture
    cover: Cover


def paste(
    photograph: Picture,
    mask: Mask,
    part: Mask,
    cutouts: Sequence[Cutout],
    seed: int,
    *,
    strength: float | Cover = 1.0,
    grey: bool = False,
) -> Carried:
    """Real defects under the pieces of a mask.

    Args:
        photograph: Photograph of a good part.
        mask: Place of the defect; not empty.
        part: Silhouette of the part, without its shadow; nothing is pasted beside it.
        cutouts: Real defects; see `cutouts`.
        seed: Chooses among those that fit.
        strength: Share of the change that is put on, in [0, 1], everywhere or at each pixel.
        grey: Change the luminance only, so that a grey photograph stays grey.

    Returns:
        The photograph with its defect, changed within reach of the mask and there alone.
    """
    picture, changed = photograph.copy(), np.zeros(mask.shape, bool)
    strength = np.broadcast_to(np.float32(strength), mask.shape)
    for number, piece in enumerate(pieces(mask)):
        place = Place(photograph, piece, part)
        patch = patch_under(place, *choose_cutout(place.outline, cutouts, _rng(seed, number)))
        near = patch.window
        put = _put(picture[near], patch, _allowed(mask, near), strength[near], grey=grey)
        picture[near] = put.picture
        changed[near] |= put.changed
    changed &= (picture != photograph).any(axis=2)  # one piece may undo what another did
    return Carried(picture=picture, changed=changed)


def _rng(seed: int, number: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(number,)))


def _allowed(mask: Mask, window: Window) -> Bool[np.ndarray, "_ _"]:
    """What of a window is within reach of the mask; what lies beyond it is farther away."""
    return _outside(mask[window]) <= reach_px(*mask.shape)


def _put(near: Picture, patch: Patch, allowed: Mask, strength: Cover, *, grey: bool) -> Carried:
    step = patch.picture.astype(np.float32) - near
    if grey:
        step = luminance(step)
    step = np.broadcast_to((strength * patch.cover)[:, :, None] * step, near.shape)
    return put_on(near, step, allowed, whole=patch.cover > 0.5)


def patch_under(place: Place, cutout: Cutout, move: Affine) -> Patch:
    """A real defect, moved and bent under a piece of a mask, its colours matched.

    Args:
        place: The photograph and the piece.
        cutout: The real defect; its photograph may have another size.
        move: Map between the outlines, from `cutouts.choose`.
    """
    window = _window(place.mask)
    near, mask, part = (a[window] for a in (place.photograph, place.mask, place.part))
    side = max(place.mask.shape)
    affine = _affine(cutout, move, side, window)
    if is_small(place.outline):
        affine = _refined(affine, cutout.mask, mask)
    moved, shape, known, others = _resampled(cutout, affine, mask)
    surface = part & known & ~others
    ring = _outside(mask | shape)
    ring = (ring > 1.5) & (ring < RING_SHARE * side)
    matched, defective = _matched(near, moved, ring, surface, side)
    cover = _cover(mask, shape & part, defective, side, reach_px(*place.mask.shape) - 2)
    shown = cv2.erode((known & ~others).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return Patch(window, matched, cover * _soft(part & shown))


def _window(mask: Mask) -> Window:
    """The mask's box with the ring around it, clipped to the photograph."""
    return box_around(mask, reach_px(*mask.shape) + round(RING_SHARE * max(mask.shape)) + 2)


def _affine(cutout: Cutout, move: Affine, side: int, window: Window) -> Affine:
    """From the cutout's pixels to the window's."""
    affine = scaled_move(move, side, cutout.side)
    affine[:, 2] += affine[:, :2] @ cutout.corner - (window[1].start, window[0].start)
    return affine


def _refined(affine: Affine, source: Bool[np.ndarray, "_ _"], target: Mask) -> Affine:
    """The same turn, with the centre and the area of both masks made to agree."""
    h, w = target.shape
    moved = cv2.warpAffine(source.astype(np.float32), affine, (w, h))
    if moved.sum() < 1:
        return affine
    scale = np.clip((target.sum() / moved.sum()) ** 0.5, 1 / MOST_RESCALED, MOST_RESCALED)
    matrix = affine[:, :2] * scale
    return np.column_stack([matrix, _middle(target) - matrix @ _middle(source)])


def _middle(mask: Mask) -> Float[np.ndarray, "2"]:
    rows, columns = np.nonzero(mask)
    return np.array([columns.mean(), rows.mean()])


def _resampled(cutout: Cutout, affine: Affine, target: Mask) -> tuple[Picture, Mask, Mask, Mask]:
    """The source moved and bent in one step, and where then its defect is, its part, the rest."""
    h, w = target.shape
    field = field_onto(cv2.warpAffine(cutout.mask.astype(np.float32), affine, (w, h)) > 0.5, target)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    if field is not None:
        x, y = x + field[:, :, 0], y + field[:, :, 1]
    back = cv2.invertAffineTransform(affine).astype(np.float32)
    u = back[0, 0] * x + back[0, 1] * y + back[0, 2]
    v = back[1, 0] * x + back[1, 1] * y + back[1, 2]
    source = _softened(cutout.picture, float(abs(np.linalg.det(back[:, :2])) ** 0.5))
    moved = cv2.remap(source, u, v, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    shape, known, others = (
        cv2.remap(m.astype(np.float32), u, v, cv2.INTER_LINEAR) > 0.5
        for m in (cutout.mask, cutout.part, cutout.others)
    )
    return moved, shape, known, others


def _softened(picture: Picture, step: float) -> Picture:
    """A picture about to be sampled every so many pixels, without what would alias."""
    if step <= 1.15:
        return picture
    return cv2.GaussianBlur(picture, (0, 0), 0.5 * (step**2 - 1) ** 0.5)


def _matched(
    near: Picture, moved: Picture, ring: Mask, surface: Mask, side: int
) -> tuple[Picture, Cover]:
    """The source in the light of the photograph, and how little each pixel is good surface."""
    good = ring & surface
    if good.sum() < max(30, LEAST_RING * ring.sum()):
        return moved, np.ones(ring.shape, np.float32)
    source, target = lab(moved), lab(near)
    weight = good.astype(np.float32)
    own = _smooth(source, weight, RING_SHARE * side)
    shift = _smooth(target, weight, RING_SHARE * side) - own
    shift = _trusted(shift, (target - source)[good], source, own)
    spread = source[good].std(axis=0)
    far = np.linalg.norm((source - own) / np.maximum(1, spread / 4), axis=2)
    defective = (1 - np.exp(-((far / ALIKE) ** 2))).astype(np.float32)
    share = 1 - (1 - KEPT_SHIFT) * defective
    return of_lab(source + share[:, :, None] * shift), defective


def _trusted(
    shift: Float[np.ndarray, "h w 3"],
    apart: Float[np.ndarray, "n 3"],
    source: Float[np.ndarray, "h w 3"],
    own: Float[np.ndarray, "h w 3"],
) -> Float[np.ndarray, "h w 3"]:
    """A shift that gives no pixel a hue of its own.

    It counts for less where the surfaces differ in pattern rather than in tone, and changes the
    colour of dark pixels in proportion to their lightness.
    """
    shift = shift / (1 + (apart.std(axis=0) / UNEVEN) ** 2)
    shift = np.clip(shift, -MOST_SHIFT, MOST_SHIFT)
    light = np.clip(source[:, :, :1] / np.maximum(own[:, :, :1], 1), 0, 1)
    return shift * np.concatenate([np.ones_like(light), light, light], axis=2)


def _smooth(
    values: Float[np.ndarray, "h w 3"], weight: Cover, sigma: float
) -> Float[np.ndarray, "h w 3"]:
    """The weighted mean nearby, and the mean of all where nothing is near."""
    overall = np.average(values.reshape(-1, 3), axis=0, weights=weight.ravel())
    little = np.float32(0.02)
    total = cv2.GaussianBlur(weight, (0, 0), sigma)[:, :, None] + little
    summed = cv2.GaussianBlur(values * weight[:, :, None], (0, 0), sigma)
    return (summed + little * overall.astype(np.float32)) / total


def _cover(mask: Mask, shape: Mask, defective: Cover, side: int, reach: int) -> Cover:
    """The defect and a fringe of its surroundings, within reach of the mask."""
    k = max(1.0, side / 512)
    width = k * (SHARP_RIM + (SOFT_RIM - SHARP_RIM) * (1 - defective))
    from_mask = _signed(mask)  # negative inside
    from_shape = _signed(shape)
    near_mask = _step((reach - from_mask) / width)
    fringe = _step(1 - from_shape / (k * FRINGE))
    return near_mask * fringe


def _signed(mask: Mask) -> Cover:
    """The distance to the outline in pixels, negative inside."""
    from scipy.ndimage import distance_transform_edt  # slow to import

    inside = np.asarray(distance_transform_edt(mask))
    return (_outside(mask) - inside + np.where(mask, 0.5, -0.5)).astype(np.float32)


def _outside(mask: Mask) -> Cover:
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _soft(mask: Mask) -> Cover:
    """A mask with its edge softened by a pixel, nothing outside."""
    blurred = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 0.8)
    return np.where(mask, (2 * blurred - 1).clip(0, 1), 0).astype(np.float32)


def _step(x: Cover) -> Cover:
    """Smoothly from 0 to 1."""
    x = x.clip(0, 1)
    return x * x * (3 - 2 * x)
