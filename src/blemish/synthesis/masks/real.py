"""Masks of real defects, to be drawn on other parts."""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from blemish.data.folder import DefectFolder, Photograph
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
