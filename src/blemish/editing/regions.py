"""Regions of a picture at the generator's resolution: boxes and masks."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from blemish.data.pairs import read_mask
from blemish.errors import DataError, OptionError
from blemish.pictures import fit_mask


def box_region(text: str, side: int) -> Bool[Tensor, "h w"]:
    """Region of a box.

    Args:
        text: Left, top, right and bottom as fractions of the picture.
        side: Side of the picture, in pixels.

    Raises:
        OptionError: They are not four fractions in order, or less than a pixel.
    """
    region = torch.zeros(side, side, dtype=torch.bool)
    left, top, right, bottom = (round(at * side) for at in _fractions(text))
    region[top:bottom, left:right] = True
    if not region.any():
        raise _no_box(text)
    return region


def mask_region(path: Path, side: int) -> Bool[Tensor, "h w"]:
    """Region of a mask's file of any size.

    Raises:
        DataError: It can't be read, or marks nothing.
    """
    region = torch.from_numpy(fit_mask(read_mask(path), side))
    if not region.any():
        raise DataError(
            got=f"{path}, a mask without a marked pixel",
            expected="a mask that is brighter on the region",
            todo="Mark the region.",
        )
    return region


def _fractions(text: str) -> list[float]:
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        raise _no_box(text) from None
    if len(found) != 4 or not all(0 <= at <= 1 for at in found):
        raise _no_box(text)
    return found


def _no_box(text: str) -> OptionError:
    return OptionError(
        got=f"the box '{text}'",
        expected="left,top,right,bottom as fractions from 0 to 1, such as 0.2,0.2,0.6,0.5",
        todo="Correct the box.",
    )
