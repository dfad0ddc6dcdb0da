"""What a user asks for: this defect, on this photograph, under this mask."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.masks import silhouette
from blemish.errors import DataError, OptionError
from blemish.inversion.invert import read_photograph
from blemish.pictures import read_mask

LEAST_ON_PART = 0.5


@dataclass(frozen=True, kw_only=True)
class Order:
    """A photograph of a good part, and where which defect shall be.

    Attributes:
        normal: The photograph's file.
        mask: The mask's file.
        kind: Type of the defect.
        picture: The photograph.
        requested: The mask.
    """

    normal: Path
    mask: Path
    kind: str
    picture: UInt8[np.ndarray, "h w 3"]
    requested: Bool[np.ndarray, "h w"]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of what was asked for, by content and not by file name."""
        total = hashlib.sha256(f"{self.kind} {self.picture.shape}".encode())
        total.update(self.picture.tobytes())
        total.update(self.requested.tobytes())
        return total.hexdigest()


def read_order(normal: Path, mask: Path, kind: str, types: tuple[str, ...]) -> Order:
    """Read and check what a user asks for.

    Raises:
        DataError: A file can't be read, the photograph is too small, the mask is empty, full, of
            another size, or off the part.
        OptionError: The bundle does not know the type.
    """
    if kind not in types:
        raise OptionError(
            got=f"the defect type '{kind}'",
            expected=f"one that the bundle has learnt: {', '.join(types) or 'it knows none'}",
            todo="Choose one with --defect, or train another bundle.",
        )
    picture, requested = read_photograph(normal), read_mask(mask)
    _refuse_unfit(mask, requested, picture)
    return Order(normal=normal, mask=mask, kind=kind, picture=picture, requested=requested)


def _refuse_unfit(
    path: Path, requested: Bool[np.ndarray, "h w"], picture: UInt8[np.ndarray, "height width 3"]
) -> None:
    (h, w), (height, width) = requested.shape, picture.shape[:2]
    if (h, w) != (height, width):
        raise DataError(
            got=f"{path}, a mask of {w} × {h} pixels for a photograph of {width} × {height}",
            expected="a mask of the photograph's own size",
            todo="Draw the mask over the photograph, pixel for pixel.",
        )
    if not requested.any() or requested.all():
        raise DataError(
            got=f"{path}, a mask with {'every' if requested.all() else 'no'} pixel marked",
            expected="a mask that is bright (at least half) where the defect shall be",
            todo="Paint the place of the defect white, all else black.",
        )
    on_part = (requested & silhouette(picture)).sum() / requested.sum()
    if on_part < LEAST_ON_PART:
        raise DataError(
            got=f"{path}, a mask with {on_part:.0%} of its area on the part",
            expected=f"at least {LEAST_ON_PART:.0%}",
            todo="Move the mask onto the part; a defect in the background is none.",
        )
