"""Views of an item: the whole image, the surroundings of its defect, and its inside alone.

Whole images are dominated by what all photographs share. So a square of one and a half times the
defect's extent is measured, too, and the same square with its outside in the mean colour of the
inside, in which only the defect is left to compare.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from blemish.data.closeup import bare, close_up
from blemish.evaluation.eyes import FeatureExtractor
from blemish.pictures import fit_square, to_tensor

BATCH = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DefectView:
    """Views of one defect, `s` pixels wide and high.

    Attributes:
        whole: Whole image.
        around: Surroundings of the defect.
        inside: The same with its outside in the mean colour of the inside.
    """

    whole: UInt8[np.ndarray, "s s 3"]
    around: UInt8[np.ndarray, "s s 3"]
    inside: UInt8[np.ndarray, "s s 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """Features of a set of defects, a row for each.

    Attributes:
        whole: Features of whole images.
        around: Features of the surroundings.
        inside: Features of the insides.
        shown: The surroundings themselves.
        painted: The insides themselves.
    """

    whole: Float[Tensor, "n d"]
    around: Float[Tensor, "n d"]
    inside: Float[Tensor, "n d"]
    shown: UInt8[np.ndarray, "n s s 3"]
    painted: UInt8[np.ndarray, "n s s 3"]

    def __len__(self) -> int:
        return len(self.whole)

    def __getitem__(self, index: slice) -> "Views":
        return Views(
            whole=self.whole[index],
            around=self.around[index],
            inside=self.inside[index],
            shown=self.shown[index],
            painted=self.painted[index],
        )


def view(
    picture: UInt8[np.ndarray, "h w 3"], mask: Bool[np.ndarray, "h w"], side: int
) -> DefectView:
    """Views of a defect with a non-empty mask."""
    around, marked = close_up(picture, mask, side)
    return DefectView(whole=fit_square(picture, side), around=around, inside=bare(around, marked))


def view_features(eyes: FeatureExtractor, views: Iterable[DefectView], side: int) -> Views:
    """Features of views, in batches; only the small squares of the images are kept."""
    rows: dict[str, list[Tensor]] = {"whole": [], "around": [], "inside": []}
    shown: list[np.ndarray] = []
    painted: list[np.ndarray] = []
    batch: list[DefectView] = []
    for one in views:
        batch.append(one)
        shown.append(one.around)
        painted.append(one.inside)
        if len(batch) == BATCH:
            _add(eyes, batch, rows)
            batch = []
    _add(eyes, batch, rows)
    if not shown:
        empty = torch.zeros(0, 1)
        none = np.zeros((0, side, side, 3), np.uint8)
        return Views(whole=empty, around=empty, inside=empty, shown=none, painted=none)
    features = {name: torch.cat(found) for name, found in rows.items()}
    return Views(**features, shown=np.stack(shown), painted=np.stack(painted))


def turned(views: UInt8[np.ndarray, "n s s 3"]) -> list[UInt8[np.ndarray, "n s s 3"]]:
    """Squares in all eight positions."""
    return [
        np.rot90(flipped, quarter, axes=(1, 2))
        for flipped in (views, views[:, :, ::-1])
        for quarter in range(4)
    ]


def _add(eyes: FeatureExtractor, batch: list[DefectView], rows: dict[str, list[Tensor]]) -> None:
    for name, found in rows.items() if batch else ():
        found.append(eyes.pooled(to_tensor(np.stack([getattr(one, name) for one in batch]))))
