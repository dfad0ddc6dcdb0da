"""What a user asks for: this defect, on this photograph, under this mask."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.masks import silhouette
from blemish.errors import DataError, OptionError
from blemish.files import ensure_writable
from blemish.inversion.invert import read_photograph
from blemish.pictures import read_mask, write_picture
from blemish.synthesis.masks import MaskPlan, OffPart, draw_mask, place_mask, read_real

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


def read_order(
    normal: Path,
    mask: Path,
    kind: str,
    types: tuple[str, ...],
    off_part: OffPart | None = None,
) -> Order:
    """Read and check what a user asks for.

    Args:
        normal: The photograph's file.
        mask: The mask's file.
        kind: Type of the defect.
        types: Those that the bundle knows.
        off_part: What of the mask lies beside the part is cut off, or refused; None takes the mask
            as it is, if at least half of it is on the part.

    Raises:
        DataError: A file can't be read, the photograph is too small, the mask is empty, full, of
            another size, or off the part.
        OptionError: The bundle does not know the type.
    """
    _refuse_unknown(kind, types)
    picture, requested = read_photograph(normal), read_mask(mask)
    _refuse_unfit(mask, requested, picture)
    if off_part is not None:
        requested = place_mask(requested, silhouette(picture), off_part, name=str(mask))
    return Order(normal=normal, mask=mask, kind=kind, picture=picture, requested=requested)


def draw_order(
    normal: Path,
    plan: MaskPlan,
    kind: str,
    types: tuple[str, ...],
    *,
    seed: int,
    folder: Path,
) -> Order:
    """An order whose mask is drawn, and written into a folder under a name of its content.

    Args:
        normal: The photograph's file.
        plan: What mask.
        kind: Type of the defect.
        types: Those that the bundle knows.
        seed: Of the mask.
        folder: For the mask; it is made.

    Raises:
        DataError: The photograph, or a real mask, can't be read, or shows no part.
        OptionError: The bundle does not know the type, or the part has no place for such a mask.
    """
    _refuse_unknown(kind, types)
    picture = read_photograph(normal)
    real = () if plan.folder is None else read_real(plan.folder, kind)
    mask = draw_mask(plan, silhouette(picture), np.random.default_rng(seed), real)
    ensure_writable(folder)
    path = (
        folder / f"{normal.stem.lstrip('.')}_{hashlib.sha256(mask.tobytes()).hexdigest()[:10]}.png"
    )
    write_picture(path, mask)
    return Order(normal=normal, mask=path, kind=kind, picture=picture, requested=mask)


def _refuse_unknown(kind: str, types: tuple[str, ...]) -> None:
    if kind not in types:
        raise OptionError(
            got=f"the defect type '{kind}'",
            expected=f"one that the bundle has learnt: {', '.join(types) or 'it knows none'}",
            todo="Choose one with --defect, or train another bundle.",
        )


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
