"""Masks for a part: drawn by kind, size and place, or given by the user and checked."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool

from blemish.data.folder import DefectFolder, Photograph
from blemish.data.masks import components
from blemish.errors import DataError, OptionError
from blemish.names import MaskKind, OffPart
from blemish.synthesis.masks.learned import MaskModel
from blemish.synthesis.masks.place import (
    candidates_of,
    cut_to,
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
ENOUGH_KEPT = 0.7
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
    target = _target(plan, part, room, rng)
    shape = _shape(plan, real, rng)
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


def learned_mask(
    model: MaskModel,
    part: Bool[np.ndarray, "h w"],
    kind: str,
    seed: int,
    off_part: OffPart | None = None,
    region: Bool[np.ndarray, "h w"] | None = None,
) -> Bool[np.ndarray, "h w"]:
    """Draw a mask by a mask generator, in its own size and place.

    It may lie beyond the part by the margin of real masks unless `off_part` says otherwise.

    Args:
        model: Mask generator.
        part: Silhouette of the part without its shadow, as in training.
        kind: Type of the defect.
        seed: Random seed.
        off_part: Cut off what is beside the part, or refuse a mask that leaves it; see
            `place.cut_to`.
        region: Pixels in which the mask may lie; of several masks the first is taken that lies
            there mostly, or the one that does most.

    Raises:
        BundleError: The generator has not learnt the type.
        DataError: No mask is found on the part.
        OptionError: No mask lies in the region.
    """
    rng = torch.Generator().manual_seed(seed)
    mask = model.draw(part, kind, rng)
    if region is not None:
        mask = _in_region(model, part, kind, rng, region, mask)
    return mask if off_part is None else cut_to(part, mask, off_part, name="a learned mask")


def _in_region(
    model: MaskModel,
    part: Bool[np.ndarray, "h w"],
    kind: str,
    rng: torch.Generator,
    region: Bool[np.ndarray, "h w"],
    mask: Bool[np.ndarray, "h w"],
) -> Bool[np.ndarray, "h w"]:
    """The part in the region of the first mask, or of a later one that lies there mostly."""
    best, most = mask & region, -1.0
    for _ in range(TRIES):
        share = float((mask & region).sum() / mask.sum())
        best, most = (mask & region, share) if share > most else (best, most)
        if most >= ENOUGH_KEPT:
            break
        mask = model.draw(part, kind, rng)
    if best.sum() < LEAST_PIXELS:
        raise OptionError(
            got=f"a region of {int(region.sum())} pixels, in which no learnt mask of {kind} lies",
            expected="a region where such defects can be",
            todo="Change the region, or draw masks of another kind.",
        )
    return best


def read_real_masks(
    folder: Path, defect: str, *, first_third: bool = False
) -> list[Bool[np.ndarray, "_ _"]]:
    """Masks of a type of defect in a folder of photographs, without empty ones.

    Args:
        folder: Folder in the layout of MVTec AD.
        defect: Type of the defects.
        first_third: Read only the first third by name.

    Raises:
        DataError: The folder or a mask can't be read, or it has no mask of this type.
    """
    found = _real_ones(folder, defect, first_third)
    masks = [mask for photograph in found if (mask := photograph.read_mask()).any()]
    if not masks:
        raise _no_real(folder, defect)
    return masks


def choose_real(
    folder: Path, defect: str, rng: np.random.Generator, *, first_third: bool = False
) -> Bool[np.ndarray, "_ _"]:
    """One random mask of `read_real_masks`; only masks tried on the way are read.

    Raises:
        DataError: Same as in `read_real_masks`, for the masks that are read.
    """
    found = _real_ones(folder, defect, first_third)
    for k in rng.permutation(len(found)):
        if (mask := found[k].read_mask()).any():
            return mask
    raise _no_real(folder, defect)


def _real_ones(folder: Path, defect: str, first_third: bool) -> list[Photograph]:
    found = DefectFolder(folder).defects_to_learn(defect, first_third=first_third)
    return [photograph for photograph in found if photograph.mask_path is not None]


def _no_real(folder: Path, defect: str) -> DataError:
    return DataError(
        got=f"{folder}, which has no mask of a '{defect}'",
        expected=f"masks under ground_truth/{defect}/ beside photographs under test/{defect}/",
        todo="Use a folder that has some, or draw masks of another kind.",
    )


def _shape(
    plan: MaskOptions, real: Sequence[Bool[np.ndarray, "_ _"]], rng: np.random.Generator
) -> Shape:
    if plan.mask_kind in SHAPES:
        return SHAPES[plan.mask_kind](rng)
    chosen = _one_of(plan, real, rng)
    return shape_of_mask(chosen[:, ::-1] if rng.random() < 0.5 else chosen)


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


def _target(
    plan: MaskOptions,
    part: Bool[np.ndarray, "h w"],
    room: Bool[np.ndarray, "h w"],
    rng: np.random.Generator,
) -> float:
    """Area in pixels, if there is room for it."""
    target = float(rng.uniform(*plan.areas) * part.sum())
    if target < LEAST_PIXELS:
        raise _no_place(plan, f"a part of {part.sum()} pixels, which gives {target:.1f}")
    if target > MOST_OF_ROOM * room.sum():
        raise _no_place(
            plan, f"{room.sum()} pixels of the part in the box or region, which is too few"
        )
    return target


def _no_place(plan: MaskOptions, where: str) -> OptionError:
    least, most = plan.areas
    share = f"{least:.2%}" if least == most else f"{least:.2%} to {most:.2%}"
    return OptionError(
        got=f"a mask ({plan.mask_kind}) of {share} of the part, and {where}",
        expected=f"a place on the part for it, and {LEAST_PIXELS} pixels or more",
        todo="Choose another area or place, or use a larger photograph.",
    )
