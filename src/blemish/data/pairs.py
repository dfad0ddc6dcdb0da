"""A photograph and its mask: how the one lies on the other, by one rule.

A mask with an orientation tag of its own is turned as the tag says. One without, for a photograph
that has a tag, may have been drawn on the photograph as it is looked at, or in a program that
passes the tag over, on the stored rows and columns. Where only one of the two has the photograph's
size, it is that; where both have it and they differ, nobody can tell, and that is an error.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool

from blemish.data.listing import pictures_in
from blemish.data.mask_levels import Marks, kinds_in, marks_of
from blemish.decode import PictureHeader, decode, header, in_file
from blemish.errors import DataError
from blemish.levels import upright


def read_mask(path: Path) -> Bool[np.ndarray, "h w"]:
    """Read a mask for itself, upright as its own EXIF orientation.

    Raises:
        DataError: As in `decode.decode`; or it has more levels than two.
    """
    with in_file(path):
        return marks_of(decode(path)).mask


def read_mask_for(
    photograph: Path | PictureHeader, mask: Path, kind: str | None = None
) -> Bool[np.ndarray, "h w"]:
    """Read the mask of a photograph, upright as the photograph is.

    Args:
        photograph: Its file, or what is known of it.
        mask: A file, or a folder whose pictures mark a defect together, as in MVTec LOCO.
        kind: Type of the defect, for masks with classes of several types.

    Raises:
        DataError: A file can't be read, has more levels than can be told apart, or is of another
            size; or the mask could lie in two ways.
    """
    return read_marks_for(photograph, mask, kind).mask


def read_marks_for(photograph: Path | PictureHeader, mask: Path, kind: str | None = None) -> Marks:
    """Read a mask like `read_mask_for`, with notes about what was decided."""
    known = photograph if isinstance(photograph, PictureHeader) else header(photograph)
    found = [_read_one(known, file, kind) for file in files_of(mask)]
    notes = dict.fromkeys(note for marks in found for note in marks.notes)
    return Marks(mask=np.any([marks.mask for marks in found], axis=0), notes=tuple(notes))


def read_kinds(mask: Path) -> tuple[str, ...]:
    """The types of the classes that occur in a mask; see `mask_levels.kinds_in`."""
    found: set[str] = set()
    for file in files_of(mask):
        with in_file(file):
            decoded = decode(file)
            found.update(kinds_in(decoded))
    return tuple(sorted(found))


def files_of(mask: Path) -> list[Path]:
    """The files of a mask: itself, or the pictures in a folder by name."""
    return pictures_in(mask) or [mask]


def _read_one(photograph: PictureHeader, path: Path, kind: str | None) -> Marks:
    found = decode(path)
    with in_file(path):
        marks = marks_of(found, kind)
    mask = _lying(photograph, path, marks.mask, found.orientation)
    _refuse_size(photograph, path, mask)
    return Marks(mask=mask, notes=marks.notes)


def _lying(
    photograph: PictureHeader, path: Path, mask: Bool[np.ndarray, "_ _"], orientation: int
) -> Bool[np.ndarray, "_ _"]:
    if orientation != 1 or photograph.orientation == 1:
        return mask
    turned, size = upright(mask, photograph.orientation), (photograph.height, photograph.width)
    if mask.shape != turned.shape:
        return turned if turned.shape == size else mask
    if mask.shape == size and not np.array_equal(mask, turned):
        raise _ambiguous(photograph, path)
    return mask


def _refuse_size(photograph: PictureHeader, path: Path, mask: Bool[np.ndarray, "_ _"]) -> None:
    if mask.shape != (photograph.height, photograph.width):
        size = f"{mask.shape[1]} × {mask.shape[0]}"
        raise DataError(
            got=f"{path}, a mask of {size} pixels for a photograph of "
            f"{photograph.width} × {photograph.height}",
            expected="a mask of the photograph's own size",
            todo="Draw the mask over the photograph, or export it at the photograph's size.",
        )


def _ambiguous(photograph: PictureHeader, path: Path) -> DataError:
    return DataError(
        got=f"{path}, a mask without an EXIF orientation for a photograph with orientation "
        f"{photograph.orientation}, which fits both as it is and turned",
        expected="a mask that can lie in one way only",
        todo="Save the photograph upright, without the tag, and draw the mask on that.",
    )
