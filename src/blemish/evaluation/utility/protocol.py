"""Training and test data of a detector, by the field's few-shot protocol.

Training data are train/good and the first third of each type by name; test data are the other two
thirds of each type and test/good. No arm trains on test data: a synthetic set that contains one of
these files is refused.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8

from blemish.data.folder import GOOD, DefectFolder, Photograph, load_pictures
from blemish.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Photographs, as squares of `s` pixels, with their masks.

    Attributes:
        pictures: RGB images.
        masks: Masks, 0 and 1 on defects.
        kinds: "good", or the type of the defect.
        paths: Paths of the files.
    """

    pictures: UInt8[np.ndarray, "n s s 3"]
    masks: UInt8[np.ndarray, "n s s"]
    kinds: tuple[str, ...]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, kind: str) -> Int[np.ndarray, " k"]:
        """Indices of one kind."""
        return np.flatnonzero(np.array(self.kinds) == kind)

    @property
    def marked(self) -> Bool[np.ndarray, "n s s"]:
        """Masks as booleans."""
        return self.masks.astype(bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Real photographs, split by the protocol.

    Attributes:
        types: Defect types, sorted.
        good: Good ones for training.
        learnt: First third of each type.
        tested: Rest of each type, and held-out good ones.
    """

    types: tuple[str, ...]
    good: Labelled
    learnt: Labelled
    tested: Labelled


def read_protocol(root: Path, size: int, limit_good: int | None = None) -> Protocol:
    """Read a folder in the layout of MVTec AD.

    Args:
        root: Folder with train/good, test/<type> and ground_truth/<type>.
        size: Side of the squares to which photographs are resized.
        limit_good: Maximum number of photographs of train/good, evenly spread.

    Raises:
        DataError: A file can't be read, a mask is missing or empty, there are no good parts for
            training, or no defects for tests.
    """
    folder = DefectFolder(root)
    good = _evenly(folder.good_to_learn(everything=False), limit_good)
    parted = [folder.thirds(kind) for kind in folder.types]
    learnt = [photograph for first, _ in parted for photograph in first]
    held_out = [photograph for _, rest in parted for photograph in rest]
    if not held_out:
        raise DataError(
            got=f"{root}, with no defects left for tests",
            expected="two or more photographs of a type with their masks; a third is for training",
            todo="Add some to test/<type>/ and ground_truth/<type>/.",
        )
    return Protocol(
        types=folder.types,
        good=_read(good, size),
        learnt=_with_defects(_read(learnt, size)),
        tested=_testable(_with_defects(_read([*held_out, *folder.good("test")], size))),
    )


def refuse_leaks(files: Iterable[Path], tested: Sequence[Path]) -> None:
    """Refuse training files that are test files, under whatever name.

    Raises:
        DataError: Two files have the same bytes.
    """
    known: dict[int, dict[bytes, Path]] = {}
    for path in tested:
        known.setdefault(path.stat().st_size, {})[_digest(path)] = path
    for path in files:
        twins = known.get(path.stat().st_size, {})  # most need not be opened
        if twins and _digest(path) in twins:
            raise DataError(
                got=f"{path}, the same as the test file {twins[_digest(path)]}",
                expected="synthetic items for training that are not test photographs",
                todo="Give the folder of synthetic items, or remove this item from it.",
            )


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _evenly(photographs: Sequence[Photograph], limit: int | None) -> Sequence[Photograph]:
    if limit is None or limit >= len(photographs):
        return photographs
    return [photographs[k * len(photographs) // limit] for k in range(limit)]


def _read(photographs: Sequence[Photograph], size: int) -> Labelled:
    pictures, masks = load_pictures(photographs, size)
    return Labelled(
        pictures=pictures,
        masks=masks,
        kinds=tuple(photograph.kind for photograph in photographs),
        paths=tuple(photograph.path for photograph in photographs),
    )


def _with_defects(photographs: Labelled) -> Labelled:
    for path, kind, mask in zip(
        photographs.paths, photographs.kinds, photographs.masks, strict=True
    ):
        if kind != GOOD and not mask.any():
            raise DataError(
                got=f"{path}, an empty mask",
                expected="a mask of its defect",
                todo="Draw it, or move the photograph away; `blemish data check` lists such files.",
            )
    return photographs


def _testable(photographs: Labelled) -> Labelled:
    if photographs.masks.all():
        raise DataError(
            got=f"{photographs.paths[0].parent}, whose masks mark every pixel",
            expected="masks that leave the sound part of a photograph unmarked",
            todo="Draw them around the defects.",
        )
    return photographs
