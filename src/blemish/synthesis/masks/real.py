"""Masks of real defects, to be drawn on other parts."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from blemish.data.folder import DefectFolder
from blemish.errors import DataError


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
    return list(_masks_of(folder, defect, first_third))


def choose_real(
    folder: Path, defect: str, rng: np.random.Generator, *, first_third: bool = False
) -> Bool[np.ndarray, "_ _"]:
    """One random mask of `read_real_masks`; only masks tried on the way are read.

    Raises:
        DataError: Same as in `read_real_masks`, for the masks that are read.
    """
    return next(_masks_of(folder, defect, first_third, rng))


def _masks_of(
    folder: Path, defect: str, first_third: bool, rng: np.random.Generator | None = None
) -> Iterator[Bool[np.ndarray, "_ _"]]:
    """At least one mask, none of them empty; in random order if there is a generator for it."""
    found = DefectFolder(folder).defects_to_learn(defect, first_third=first_third)
    marked = [photograph for photograph in found if photograph.mask_path is not None]
    nothing = True
    for k in range(len(marked)) if rng is None else rng.permutation(len(marked)):
        if (mask := marked[k].read_mask()).any():
            nothing = False
            yield mask
    if nothing:
        raise DataError(
            got=f"{folder}, which has no mask of a '{defect}'",
            expected=f"masks under ground_truth/{defect}/ beside photographs under test/{defect}/",
            todo="Use a folder that has some, or draw masks of another kind.",
        )
