"""Folder of photographs and masks in the layout of MVTec AD.

root/train/good/*.png
root/test/good/*.png                      good photographs, held out for tests
root/test/<type>/<name>.png               defective photographs; also read from `train/<type>/`
root/ground_truth/<type>/<name>_mask.png  their masks; also read from `<name>.png`

Any suffix of `pictures.SUFFIXES` is accepted, in upper or lower case; hidden files are ignored.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from blemish.errors import DataError
from blemish.pictures import (
    SUFFIXES,
    fit,
    fit_mask,
    mask_to_tensor,
    read_mask,
    read_picture,
    to_tensor,
)
from blemish.types import Sample

Split = Literal["train", "test"]
Track = Callable[[Sequence["Photograph"]], Iterable["Photograph"]]
GOOD = "good"


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """Photograph of the folder, not yet read.

    Attributes:
        kind: "good", or the type of its defect.
        mask_path: File of the mask; None for a good part, and if the mask is missing.
    """

    path: Path
    kind: str
    split: Split
    mask_path: Path | None = None


class DefectFolder:
    """User's data set: photographs of good parts, and of defects with their masks.

    Args:
        root: Folder in the layout of MVTec AD.

    Attributes:
        photographs: All photographs, sorted by path.
        types: Defect types, sorted, without "good".

    Raises:
        DataError: The folder is missing, or has no photograph in this layout.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        _refuse_missing(self.root)
        found = [*_photographs(self.root, "train"), *_photographs(self.root, "test")]
        self.photographs = tuple(sorted(found, key=lambda photograph: photograph.path))
        self.types = tuple(sorted({photograph.kind for photograph in found} - {GOOD}))
        if not found:
            raise _no_photographs(self.root)

    def good(self, split: Split | None = None) -> tuple[Photograph, ...]:
        """Photographs of good parts, of one split or of both."""
        good = (photograph for photograph in self.photographs if photograph.kind == GOOD)
        return tuple(photograph for photograph in good if split in (None, photograph.split))

    def good_to_learn(self, *, everything: bool) -> tuple[Photograph, ...]:
        """Photographs of good parts for a training: of train, or of both splits.

        Raises:
            DataError: There are none.
        """
        good = self.good() if everything else self.good("train")
        if not good:
            raise DataError(
                got=f"{self.root}, with no photograph of a good part to train on",
                expected="train/good/ with some dozens of them",
                todo="Add some, or check the folder with 'blemish data check'.",
            )
        return good

    def defects(self, kind: str | None = None) -> tuple[Photograph, ...]:
        """Photographs of defects, of one type or of all."""
        defects = (photograph for photograph in self.photographs if photograph.kind != GOOD)
        return tuple(photograph for photograph in defects if kind in (None, photograph.kind))

    def thirds(self, kind: str) -> tuple[tuple[Photograph, ...], tuple[Photograph, ...]]:
        """First third of a type by name, at least one, and the rest.

        In the field's few-shot protocol the first third is for training and the rest for tests.
        """
        photographs = self.defects(kind)
        cut = max(1, len(photographs) // 3)
        return photographs[:cut], photographs[cut:]

    def defects_to_learn(self, kind: str, *, first_third: bool) -> tuple[Photograph, ...]:
        """Training photographs of a type: its first third, or all."""
        return self.thirds(kind)[0] if first_third else self.defects(kind)

    def __repr__(self) -> str:
        return f"DefectFolder({str(self.root)!r}, {len(self.photographs)} photographs)"


def load(
    photographs: Sequence[Photograph], resolution: int, *, track: Track = iter
) -> tuple[UInt8[np.ndarray, "n r r 3"], UInt8[np.ndarray, "n r r"]]:
    """Read photographs and their masks into memory, keeping only the resized ones.

    Args:
        photographs: Photographs of `DefectFolder.photographs`, in the order of the result.
        resolution: Side of the squares to which they are resized.
        track: Wrapper of an iterable that shows progress, such as `rich.progress.track`.

    Returns:
        The images, and their masks as 0 and 1; that of a good part is empty.

    Raises:
        DataError: A file can't be read, a defect has no mask, or a mask is of another size.
    """
    pictures = np.zeros((len(photographs), resolution, resolution, 3), np.uint8)
    masks = np.zeros((len(photographs), resolution, resolution), np.uint8)
    for index, photograph in enumerate(track(photographs)):
        pictures[index], masks[index] = _load_one(photograph, resolution)
    return pictures, masks


def as_sample(pictures: UInt8[np.ndarray, "n h w 3"], masks: UInt8[np.ndarray, "n h w"]) -> Sample:
    """Result of `load`, as tensors."""
    return Sample(image=to_tensor(pictures), mask=mask_to_tensor(masks))


def pictures_in(folder: Path) -> list[Path]:
    """Image files of a folder by name, without hidden ones; empty if the folder is missing."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if _is_picture(path)]


def folders_in(folder: Path) -> list[Path]:
    """Folders in a folder by name, without hidden ones; empty if the folder is missing."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."]


def _load_one(
    photograph: Photograph, resolution: int
) -> tuple[UInt8[np.ndarray, "r r 3"], UInt8[np.ndarray, "r r"]]:
    picture = read_picture(photograph.path)
    fitted = fit(picture, resolution)
    if photograph.kind == GOOD:
        return fitted, np.zeros(fitted.shape[:2], np.uint8)
    if photograph.mask_path is None:
        raise _no_mask(photograph)
    mask = read_mask(photograph.mask_path)
    if mask.shape != picture.shape[:2]:
        raise _other_size(photograph, mask, picture)
    return fitted, fit_mask(mask, resolution).astype(np.uint8)


def _photographs(root: Path, split: Split) -> list[Photograph]:
    kinds = folders_in(root / split)
    return [found for kind in kinds for found in _photographs_of(root, split, kind)]


def _photographs_of(root: Path, split: Split, folder: Path) -> list[Photograph]:
    kind = folder.name
    masks = {path.stem: path for path in pictures_in(root / "ground_truth" / kind)}
    if kind == GOOD:
        masks.clear()
    return [
        Photograph(path=path, kind=kind, split=split, mask_path=_mask_of(path, masks))
        for path in pictures_in(folder)
    ]


def _mask_of(path: Path, masks: dict[str, Path]) -> Path | None:
    return masks.get(f"{path.stem}_mask", masks.get(path.stem))


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _refuse_missing(root: Path) -> None:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise _layout_error(f"{root}, which {what}", "Give the folder that contains train/.")


def _no_photographs(root: Path) -> DataError:
    inner = [path.name for path in folders_in(root) if (path / "train").is_dir()]
    todo = f"Did you mean {root / inner[0]}?" if inner else "Move the photographs there."
    return _layout_error(f"{root}, without photographs in train/ or test/", todo)


def _layout_error(got: str, todo: str) -> DataError:
    layout = "a folder with train/good/*, test/<type>/* and ground_truth/<type>/<name>_mask.png"
    return DataError(got=got, expected=layout, todo=todo)


def _no_mask(photograph: Photograph) -> DataError:
    name = f"ground_truth/{photograph.kind}/{photograph.path.stem}_mask.png"
    return DataError(
        got=f"{photograph.path} without a mask",
        expected=f"one in {name}",
        todo="Draw it, or move the photograph away; `blemish data check` lists all such files.",
    )


def _other_size(photograph: Photograph, mask: np.ndarray, picture: np.ndarray) -> DataError:
    (height, width), (high, wide) = mask.shape, picture.shape[:2]
    return DataError(
        got=f"{photograph.mask_path} of {width} × {height} pixels",
        expected=f"{wide} × {high} as in {photograph.path}",
        todo="Export the mask at the photograph's size.",
    )
