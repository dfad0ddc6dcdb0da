"""Photographs and masks as people have them in Python: files, Pillow images, arrays, tensors."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from PIL import Image, ImageOps
from torch import Tensor

from blemish.data.mask_levels import marks_of
from blemish.data.pairs import read_mask_for
from blemish.decode import DARK, Decoded, in_file
from blemish.errors import DataError
from blemish.levels import Levels
from blemish.originals import Original, read_original

Photo = str | Path | Image.Image | np.ndarray | Tensor
MEMORY = Path("picture in memory")
MASK_IN_MEMORY = Path("mask in memory")
_MODES = ("L", "LA", "RGB", "RGBA", "I;16")


def original_of(photo: Photo) -> Original:
    """A photograph with its own levels.

    Args:
        photo: A file; a Pillow image; an array `h w` or `h w c` of uint8, uint16, or floats in
            [0, 1]; or a tensor `c h w` of the same.

    Raises:
        DataError: The file can't be read, or the array has another shape, type or range.
    """
    if isinstance(photo, str | Path):
        return read_original(Path(photo))
    levels = _levels(photo, MEMORY)
    if levels.dtype == np.uint16 and 0 < levels.max() <= DARK:
        raise DataError(
            got=f"a photograph of 16 bits with levels up to {levels.max()} only, nearly black",
            expected="levels up to 65535",
            todo="Scale the levels, so that white is 65535.",
        )
    return Original(levels=levels, white=int(np.iinfo(levels.dtype).max))


def mask_of(mask: Photo, photo: Original, kind: str) -> Bool[np.ndarray, "h w"]:
    """A mask, upright as its photograph.

    Args:
        mask: A file, a Pillow image, an array or a tensor of two levels, the brighter on the
            defect.
        photo: The photograph.
        kind: Type of the defect, for masks with classes of several types.

    Raises:
        DataError: It can't be read, has another size than the photograph, or several levels.
    """
    if isinstance(mask, str | Path):
        return read_mask_for(photo.header, Path(mask), kind)
    if isinstance(mask, np.ndarray | Tensor) and mask.dtype in (np.bool_, torch.bool):
        mask = np.asarray(mask).astype(np.uint8) * np.uint8(255)
    with in_file(MASK_IN_MEMORY):
        found = marks_of(Decoded(levels=_levels(mask, MASK_IN_MEMORY)), kind).mask
    if found.shape != photo.levels.shape[:2]:
        h, w = photo.levels.shape[:2]
        raise DataError(
            got=f"a mask of {found.shape[1]} × {found.shape[0]} pixels",
            expected=f"the photograph's {w} × {h}",
            todo="Draw the mask on this photograph.",
        )
    return found


def _levels(photo: Any, name: Path) -> Levels:
    if isinstance(photo, Image.Image):
        upright = ImageOps.exif_transpose(photo)
        assert upright is not None
        mode = upright.mode if upright.mode in _MODES else "RGB"
        photo = np.asarray(upright.convert(mode))
    if isinstance(photo, Tensor):
        photo = photo.detach().cpu().numpy()
        photo = np.moveaxis(photo, 0, -1) if photo.ndim == 3 else photo
    if not isinstance(photo, np.ndarray):
        raise _unfit(name, f"a {type(photo).__name__}")
    photo = photo[:, :, 0] if photo.ndim == 3 and photo.shape[2] == 1 else photo
    if (
        photo.ndim not in (2, 3)
        or 0 in photo.shape
        or photo.shape[2:] not in ((), (2,), (3,), (4,))
    ):
        raise _unfit(name, f"of shape {photo.shape}")
    if photo.dtype in (np.uint8, np.uint16):
        return np.ascontiguousarray(photo)
    if not np.issubdtype(photo.dtype, np.floating):
        raise _unfit(name, f"of type {photo.dtype}")
    if not (np.isfinite(photo).all() and photo.min() >= 0 and photo.max() <= 1):
        raise _unfit(name, f"of floats from {photo.min():g} to {photo.max():g}")
    return np.rint(np.ascontiguousarray(photo) * 255).astype(np.uint8)


def _unfit(name: Path, what: str) -> DataError:
    return DataError(
        got=f"a {name} {what}",
        expected="a file, a Pillow image, an array h w or h w c of uint8, uint16 or floats in "
        "[0, 1], or a tensor c h w of the same",
        todo="Convert it.",
    )
