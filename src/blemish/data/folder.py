"""Folder of photographs and masks in the layout of MVTec AD.

root/train/good/*.png
root/test/good/*.png                      good photographs, held out for tests; `ok` is read too
root/test/<type>/<name>.png               defective photographs; also read from `train/<type>/`
root/ground_truth/<type>/<name>_mask.png  their masks; `names` lists other names that are read

`listing` says which files are images; hidden files are ignored.
`leftovers` finds the images that are not read.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.listing import folders_in, pictures_in
from blemish.data.names import GOOD, Masks, kind_of, normal
from blemish.data.pairs import read_kinds, read_mask_for
from blemish.errors import DataError, OptionError
from blemish.notes import note
from blemish.pictures import (
    OBLONG,
    fit_mask,
    fit_square,
    is_oblong,
    mask_to_tensor,
    read_picture,
    to_tensor,
)
from blemish.reading import current
from blemish.types import Sample

Split = Literal["train", "test"]
Track = Callable[[Sequence["Photograph"]], Iterable["Photograph"]]
LEAST_MARKED = 3  # pixels of a mask at the model's resolution that are still a defect


@dataclass(frozen=True, slots=True, kw_only=True)
class Photograph:
    """Photograph of the folder, not yet read.

    Attributes:
        kind: "good", or the type of its defect.
        mask_path: File of the mask, or a folder whose images mark the defect together; None for a
            good part, and if the mask is missing.
    """

    path: Path
    kind: str
    split: Split
    mask_path: Path | None = None

    def read_mask(self) -> Bool[np.ndarray, "h w"]:
        """The mask of its type of defect, upright as the photograph is.

        Raises:
            DataError: It is missing, can't be read, or does not fit the photograph.
        """
        if self.mask_path is None:
            raise _no_mask(self)
        return read_mask_for(self.path, self.mask_path, self.kind)


class DefectFolder:
    """User's data set: photographs of good parts, and of defects with their masks.

    Args:
        root: Folder in the layout of MVTec AD.

    Attributes:
        photographs: All photographs, sorted by path. Where `Reading.classes` gives levels
            of masks their types, a photograph is there once for each type in its mask.
        types: Defect types, sorted, without "good".

    Raises:
        DataError: The folder is missing, or has no photograph in this layout.
    """

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        _refuse_missing(self.root)
        listed = [*_photographs(self.root, "train"), *_photographs(self.root, "test")]
        if not listed:
            raise _no_photographs(self.root)
        found = [one for photograph in listed for one in _by_class(photograph)]
        self.photographs = tuple(sorted(found, key=lambda found: (found.path, found.kind)))
        self.types = tuple(sorted({photograph.kind for photograph in found} - {GOOD}))

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
        wanted = None if kind is None else normal(kind)
        return tuple(photograph for photograph in defects if wanted in (None, photograph.kind))

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


def load_pictures(
    photographs: Sequence[Photograph], resolution: int, *, track: Track = iter
) -> tuple[UInt8[np.ndarray, "n r r 3"], UInt8[np.ndarray, "n r r"]]:
    """Read photographs and their masks into memory, keeping only the resized ones.

    Args:
        photographs: Some of `DefectFolder.photographs`, in the order of the result.
        resolution: Side of the squares to which they are resized.
        track: Wrapper of an iterable that shows progress, such as `rich.progress.track`.

    Returns:
        The images, and their masks as 0 and 1; that of a good part is empty.

    Raises:
        DataError: A file can't be read, a defect has no mask, or a mask is of another size.
    """
    pictures = np.zeros((len(photographs), resolution, resolution, 3), np.uint8)
    masks = np.zeros((len(photographs), resolution, resolution), np.uint8)
    oblong = []
    for index, photograph in enumerate(track(photographs)):
        picture, mask = load_native(photograph)
        pictures[index], masks[index] = fit_square(picture, resolution), fit_mask(mask, resolution)
        oblong += [photograph.path] if is_oblong(*picture.shape[:2]) else []
    _note_squeezed(oblong, len(photographs))
    _note_vanishing(photographs, masks)
    return pictures, masks


def refuse_unmarked(photographs: Sequence[Photograph], masks: UInt8[np.ndarray, "n h w"]) -> None:
    """Raise a DataError for the first defect whose mask marks nothing, or everything.

    Args:
        photographs: Photographs in the order in which they were loaded.
        masks: Their masks, as 0 and 1.
    """
    for photograph, mask in zip(photographs, masks, strict=True):
        if photograph.kind != GOOD and (not mask.any() or mask.all()):
            raise _unmarked(photograph, "every" if mask.any() else "no")


def refuse_lacking(
    folder: DefectFolder, types: Sequence[str], found: Iterable[int], what: str
) -> None:
    """Raise a DataError unless each type has something to learn from.

    Args:
        folder: Data.
        types: Types of defects.
        found: Indices of the types of which something was found.
        what: What is learnt from, with its article.
    """
    missing = [kind for k, kind in enumerate(types) if k not in {*found}]
    if missing or not types:
        raise DataError(
            got=f"{folder.root}, without {what} of type {', '.join(missing) or 'any'}",
            expected="test/<type>/ with photographs and ground_truth/<type>/ with their masks",
            todo="Add some, or check the folder with 'blemish data check'.",
        )


def as_sample(pictures: UInt8[np.ndarray, "n h w 3"], masks: UInt8[np.ndarray, "n h w"]) -> Sample:
    """Result of `load_pictures`, as tensors."""
    return Sample(image=to_tensor(pictures), mask=mask_to_tensor(masks))


def load_native(
    photograph: Photograph,
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Read one photograph and its mask at their own size; the mask of a good part is empty.

    Raises:
        DataError: A file can't be read, a defect has no mask, or the mask is of another size.
    """
    picture = read_picture(photograph.path)
    if photograph.kind == GOOD:
        return picture, np.zeros(picture.shape[:2], bool)
    return picture, photograph.read_mask()


def _note_squeezed(oblong: Sequence[Path], total: int) -> None:
    if oblong:
        note(
            f"{len(oblong)} of {total} photographs have sides that differ by more than a factor of "
            f"{OBLONG}, such as {oblong[0]}; the model sees them squeezed to a square."
        )


def _note_vanishing(photographs: Sequence[Photograph], masks: UInt8[np.ndarray, "n r r"]) -> None:
    small = [
        photograph.mask_path
        for photograph, mask in zip(photographs, masks, strict=True)
        if photograph.kind != GOOD and mask.sum() < LEAST_MARKED
    ]
    if small:
        side = masks.shape[1]
        note(
            f"{len(small)} masks have fewer than {LEAST_MARKED} pixels at the model's {side} × "
            f"{side}, such as {small[0]}; the model hardly learns from them."
        )


def _photographs(root: Path, split: Split) -> list[Photograph]:
    kinds = folders_in(root / split)
    return [found for kind in kinds for found in _photographs_of(root, split, kind)]


def _photographs_of(root: Path, split: Split, folder: Path) -> list[Photograph]:
    kind = kind_of(folder)
    masks = Masks([] if kind == GOOD else [*masks_in(root, folder.name)])
    return [
        Photograph(path=path, kind=kind, split=split, mask_path=masks.find(path))
        for path in pictures_in(folder)
    ]


def masks_in(root: Path, kind: str) -> Iterator[Path]:
    """The masks of a type: files, and folders that hold those of one photograph each."""
    for folder in folders_in(root / "ground_truth"):
        if normal(folder.name) == normal(kind):
            yield from pictures_in(folder)
            yield from (inner for inner in folders_in(folder) if pictures_in(inner))


def _by_class(photograph: Photograph) -> list[Photograph]:
    """The photograph once for each type in its mask, where levels have types."""
    if not current().kinds or photograph.mask_path is None:
        return [photograph]
    try:
        kinds = read_kinds(photograph.mask_path)
    except DataError:  # is raised again when the mask is read
        kinds = ()
    return [replace(photograph, kind=kind) for kind in kinds] or [photograph]


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


def _unmarked(photograph: Photograph, which: str) -> DataError:
    return DataError(
        got=f"{photograph.mask_path}, a mask with {which} pixel marked",
        expected="a mask that is brighter where the defect is",
        todo="Draw it again, or move it away with its photograph.",
    )


def known_types(folder: DefectFolder, wanted: Sequence[str] | None) -> tuple[str, ...]:
    """The wanted types of a folder, or all of them.

    Raises:
        OptionError: The folder has no such type.
    """
    if wanted is None:
        return folder.types
    chosen = tuple(dict.fromkeys(normal(name.strip()) for name in wanted))
    unknown = ", ".join(sorted({*chosen} - {*folder.types}))
    if unknown:
        raise OptionError(
            got=f"--types {','.join(wanted)}; {folder.root} has no {unknown}",
            expected=f"some of {', '.join(folder.types) or 'its types (it has none)'}",
            todo="Correct --types, or leave it out to train on all types.",
        )
    return chosen
