"""How items are looked at: whole, by the surroundings of their defect, and by its inside alone.

Whole pictures are dominated by what all photographs share. So a square of one and a half times the
defect's extent is looked at too, and the same square with its outside painted over by the mean
colour of the inside, where only the defect is left to compare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.evaluation.eyes import Eyes
from blemish.pictures import fit, fit_mask, to_tensor

WIDER = 1.5
LEAST_SHARE = 1 / 16  # of the picture's side that a square has
BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Of one defect, `s` pixels wide and high.

    Attributes:
        whole: The picture.
        around: The defect's surroundings.
        inside: The same with its outside in the mean colour of the inside.
    """

    whole: UInt8[np.ndarray, "s s 3"]
    around: UInt8[np.ndarray, "s s 3"]
    inside: UInt8[np.ndarray, "s s 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Features of a set of defects, a row for each.

    Attributes:
        whole: Of whole pictures.
        around: Of the surroundings.
        inside: Of the insides.
        shown: The surroundings themselves.
    """

    whole: Float[Tensor, "n d"]
    around: Float[Tensor, "n d"]
    inside: Float[Tensor, "n d"]
    shown: UInt8[np.ndarray, "n s s 3"]

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: slice) -> "Views":
        return Views(
            whole=self.whole[index],
            around=self.around[index],
            inside=self.inside[index],
            shown=self.shown[index],
        )


def view(picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], side: int) -> View:
    """Look at a defect whose mask is not empty."""
    top, left, extent = _square(mask)
    around = _cut(picture, top, left, extent)
    marked = _cut(mask.astype(np.uint8), top, left, extent).astype(bool)
    small, inside = fit(around, side), fit_mask(marked, side)
    painted = np.where(inside[:, :, None], small, small[inside].mean(axis=0).round())
    return View(whole=fit(picture, side), around=small, inside=painted.astype(np.uint8))


def look(eyes: Eyes, views: Iterable[View], side: int) -> Views:
    """Features of views, a batch at a time: of the pictures only the small squares are held."""
    rows: dict[str, list[Tensor]] = {"whole": [], "around": [], "inside": []}
    shown: list[np.ndarray] = []
    batch: list[View] = []
    for one in views:
        batch.append(one)
        shown.append(one.around)
        if len(batch) == BATCH:
            _add(eyes, batch, rows)
            batch = []
    _add(eyes, batch, rows)
    if not shown:
        empty = torch.zeros(0, 1)
        none = np.zeros((0, side, side, 3), np.uint8)
        return Views(whole=empty, around=empty, inside=empty, shown=none)
    return Views(**{name: torch.cat(found) for name, found in rows.items()}, shown=np.stack(shown))


def turned(views: UInt8[np.ndarray, "n s s 3"]) -> list[UInt8[np.ndarray, "n s s 3"]]:
    """Squares in all eight positions."""
    return [
        np.rot90(flipped, quarter, axes=(1, 2))
        for flipped in (views, views[:, :, ::-1])
        for quarter in range(4)
    ]


def _add(eyes: Eyes, batch: list[View], rows: dict[str, list[Tensor]]) -> None:
    for name, found in rows.items() if batch else ():
        found.append(eyes.pooled(to_tensor(np.stack([getattr(one, name) for one in batch]))))


def _square(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int]:
    """Top, left and side of the square around a mask, which may reach beyond the picture."""
    y, x = np.nonzero(mask)
    longest = int(max(np.ptp(y), np.ptp(x))) + 1
    extent = int(max(WIDER * longest, LEAST_SHARE * max(mask.shape), 4))
    extent += (extent - longest) % 2  # in the middle, so that mirrored it is the same square
    top, left = (int(along.min() + along.max() + 1 - extent) // 2 for along in (y, x))
    return top, left, extent


def _cut(array: np.ndarray, top: int, left: int, extent: int) -> np.ndarray:
    """A square, its pixels beyond the picture those of the border."""
    rows = np.clip(np.arange(top, top + extent), 0, array.shape[0] - 1)
    columns = np.clip(np.arange(left, left + extent), 0, array.shape[1] - 1)
    return array[rows[:, None], columns]
