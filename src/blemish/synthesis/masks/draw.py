"""Masks drawn on a part by kind, size and place."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import numpy as np
from jaxtyping import Bool

from blemish.data.masks import components
from blemish.errors import OptionError
from blemish.names import MaskKind
from blemish.synthesis.masks.place import (
    ENOUGH_KEPT,
    candidates_of,
    inside_box,
    share_kept,
    sized,
)
from blemish.synthesis.masks.reposition import repositioned
from blemish.synthesis.masks.shapes import Point, Shape, blob, scratch, shape_of_mask, spots
from blemish.synthesis.options import MaskOptions
from blemish.synthesis.real.warp import bent_at_random

LEAST_PIXELS = 8
MOST_OF_ROOM = 0.9
AREA_TOLERANCE = 0.2
TRIES = 32
SHAPES: dict[MaskKind | None, Callable[[np.random.Generator], Shape]] = {
    "scratch": scratch,
    "blob": blob,
    "spots": spots,
}


def draw_mask(
    plan: MaskOptions,
    part: Bool[np.ndarray, "h w"],
    rng: np.random.Generator,
    real: Sequence[Bool[np.ndarray, "_ _"]] = (),
    *,
    region: Bool[np.ndarray, "h w"] | None = None,
    anchors: Sequence[Point] = (),
) -> Bool[np.ndarray, "h w"]:
    """Draw a mask on the part, with an area within a fifth of the plan's.

    A real mask whose area the plan leaves open covers as much of the photograph as of its own.

    Of several places, the first one is used where most of the shape is on the part (all of it if
    clipping is refused). At another resolution the same random generator draws the same mask up to
    a pixel or two, unless the first place was a near miss there.

    Args:
        plan: Kind, size and place of the mask.
        part: Silhouette of the part.
        rng: Random generator.
        real: Masks of real defects of any size, for the kind real; see `choose_real`.
        region: Pixels in which the mask may lie; all by default.
        anchors: Points of which one is the centre of the shape, in pixels.

    Raises:
        OptionError: The part or the region has no room for such a mask, or there is no real mask.
    """
    assert plan.mask_kind is not None, "nothing is drawn"
    if plan.where == "there":
        return _repositioned(plan, part, rng, real, region)
    room = inside_box(part, plan.where)
    room = room if region is None else room & region
    target = float(rng.uniform(*plan.areas) * part.sum())
    if plan.mask_kind in SHAPES:
        shape = SHAPES[plan.mask_kind](rng)
    else:
        mask = _one_of(plan, real, rng)
        shape = shape_of_mask(mask[:, ::-1] if rng.random() < 0.5 else mask)
        target = mask.mean() * part.size if plan.area is None else target
    _refuse_no_room(plan, target, part, room)
    guess = (target / shape.area) ** 0.5
    tries = candidates_of(shape, room, plan.where, rng.random((TRIES, 3)), anchors)
    least, canvas = (ENOUGH_KEPT, room) if plan.off_part != "refuse" else (1, np.ones_like(room))
    hardly_cut = (draw for draw in tries if share_kept(draw, room, guess) >= least)
    for draw in chain(hardly_cut, tries if plan.off_part != "refuse" else ()):
        mask = sized(partial(draw, canvas), target, guess)
        if _fits(plan.mask_kind, mask, target) and not (mask & ~room).any():
            return mask
    raise _no_place(plan, f"a part where no place for it was found in {TRIES} tries")


def _repositioned(
    plan: MaskOptions,
    part: Bool[np.ndarray, "h w"],
    rng: np.random.Generator,
    real: Sequence[Bool[np.ndarray, "_ _"]],
    region: Bool[np.ndarray, "h w"] | None,
) -> Bool[np.ndarray, "h w"]:
    """First of several tries with enough of the mask on the part, and in the region."""
    mask = _one_of(plan, real, rng)
    wanted = mask.mean() * part.size
    for _ in range(TRIES):
        moved = repositioned(mask, part, rng, degrees=plan.mask_degrees)
        moved = moved if region is None else moved & region
        if moved.sum() >= max(LEAST_PIXELS, ENOUGH_KEPT * wanted):
            return moved
    raise _no_place(plan, f"a part where no place for it was found in {TRIES} tries")


def _one_of(
    plan: MaskOptions, real: Sequence[Bool[np.ndarray, "_ _"]], rng: np.random.Generator
) -> Bool[np.ndarray, "_ _"]:
    marked = [mask for mask in real if mask.any()]
    if not marked:
        raise OptionError(
            got="the mask kind 'real' without masks of real defects",
            expected="a folder with photographs of such defects and their masks",
            todo="Give one, or choose scratch, blob or spots.",
        )
    chosen = marked[rng.integers(len(marked))]
    bent = bent_at_random(chosen, plan.mask_elastic, rng) if plan.mask_elastic else chosen
    return bent if bent.any() else chosen  # a speck may be pulled apart


def _fits(kind: MaskKind, mask: Bool[np.ndarray, "h w"], target: float) -> bool:
    several = kind != "spots" or len(components(mask, least=1)) > 1
    return bool(abs(mask.sum() - target) <= AREA_TOLERANCE * target) and several


def _refuse_no_room(
    plan: MaskOptions,
    target: float,
    part: Bool[np.ndarray, "h w"],
    room: Bool[np.ndarray, "h w"],
) -> None:
    """Refuse a target area, in pixels, that is tiny or too large."""
    if min(target, part.sum()) < LEAST_PIXELS:
        raise _no_place(plan, f"a part of {part.sum()} pixels, which gives {target:.1f}")
    if target > MOST_OF_ROOM * room.sum():
        few = f"only {room.sum()} pixels of the part in the box or region for {target:.0f}"
        raise _no_place(plan, few)


def _no_place(plan: MaskOptions, where: str) -> OptionError:
    least, most = plan.areas
    size = (f"{least:.2%}" if least == most else f"{least:.2%} to {most:.2%}") + " of the part"
    if plan.mask_kind == "real" and plan.area is None:
        size = "its own size"
    return OptionError(
        got=f"a mask ({plan.mask_kind}) of {size}, and {where}",
        expected=f"a place on the part for it, and {LEAST_PIXELS} pixels or more",
        todo="Choose another area or place, or use a larger photograph.",
    )
