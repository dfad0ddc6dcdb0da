"""Regions of a picture at the generator's resolution: boxes and masks."""

from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from blemish.data.pairs import read_mask
from blemish.errors import DataError, OptionError
from blemish.pictures import fit_mask

ROUNDING = 1e-6  # of the sum of two fractions


def box_region(text: str, side: int) -> Bool[Tensor, "h w"]:
    """Region of a box.

    Args:
        text: x,y,width,height as fractions of the picture.
        side: Side of the picture, in pixels.

    Raises:
        OptionError: They are not four fractions inside the picture, or less than a pixel.
    """
    region = torch.zeros(side, side, dtype=torch.bool)
    x, y, width, height = _fractions(text)
    rows = slice(round(y * side), round((y + height) * side))
    columns = slice(round(x * side), round((x + width) * side))
    region[rows, columns] = True
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
    inside = len(found) == 4 and all(0 <= at <= 1 for at in found)
    if not inside or max(found[0] + found[2], found[1] + found[3]) > 1 + ROUNDING:
        raise _no_box(text)
    return found


def _no_box(text: str) -> OptionError:
    return OptionError(
        got=f"the box '{text}'",
        expected="x,y,width,height as fractions of the picture, such as 0.2,0.2,0.4,0.3",
        todo="Correct the box.",
    )
