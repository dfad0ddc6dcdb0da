"""What a detector may learn from and what it is tested on, after the field's few-shot protocol.

Learnt from are train/good and the first third of each type by name; tested on are the other two
thirds of each type and test/good. Whatever is tested on stays out of every arm: a made set that
holds one of these files is refused.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int, UInt8

from blemish.data.folder import GOOD, DefectFolder, Photograph, load
from blemish.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Photographs, as squares of `s` pixels, with their masks.

    Attributes:
        pictures: RGB.
        masks: 0, and 1 on defects.
        kinds: "good", or the type of the defect.
        paths: Of the files.
    """

    pictures: UInt8[np.ndarray, "n s s 3"]
    masks: UInt8[np.ndarray, "n s s"]
    kinds: tuple[str, ...]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.kinds)

    def of(self, kind: str) -> Int[np.ndarray, " k"]:
        """Where those of a kind are."""
        return np.flatnonzero(np.array(self.kinds) == kind)

    @property
    def marked(self) -> Bool[np.ndarray, "n s s"]:
        """The masks as booleans."""
        return self.masks.astype(bool)


@dataclass(frozen=True, slots=True, kw_only=True)
class Protocol:
    """Real photographs, parted.

    Attributes:
        types: Of defects, sorted.
        good: Good ones to learn from.
        learnt: The first third of each type.
        tested: The rest of each type, and good ones that are kept for testing.
    """

    types: tuple[str, ...]
    good: Labelled
    learnt: Labelled
    tested: Labelled


def read_protocol(root: Path, size: int, limit_good: int | None = None) -> Protocol:
    """Read a folder in the layout of MVTec AD.

    Args:
        root: With train/good, test/<type> and ground_truth/<type>.
        size: Of the squares that photographs are resized to.
        limit_good: At most so many of train/good, evenly over all.

    Raises:
        DataError: A file can't be read, a mask is missing or empty, there are no good parts to
            learn from, or no defects to test on.
    """
    folder = DefectFolder(root)
    good = _evenly(folder.good_to_learn(everything=False), limit_good)
    parted = [folder.thirds(kind) for kind in folder.types]
    learnt = [photograph for first, _ in parted for photograph in first]
    held_out = [photograph for _, rest in parted for photograph in rest]
    if not held_out:
        raise DataError(
            got=f"{root}, of whose defects none is left to test on",
            expected="two or more photographs of a type with their masks; a third is learnt from",
            todo="Add some to test/<type>/ and ground_truth/<type>/.",
        )
    return Protocol(
        types=folder.types,
        good=_read(good, size),
        learnt=_with_defects(_read(learnt, size)),
        tested=_testable(_with_defects(_read([*held_out, *folder.good("test")], size))),
    )


def refuse_leaks(files: Iterable[Path], tested: Sequence[Path]) -> None:
    """Refuse to learn from a file that is tested on, under whatever name it lies there.

    Raises:
        DataError: Two files are the same to the byte.
    """
    known: dict[int, dict[bytes, Path]] = {}
    for path in tested:
        known.setdefault(path.stat().st_size, {})[_digest(path)] = path
    for path in files:
        twins = known.get(path.stat().st_size, {})  # most need not be opened
        if twins and _digest(path) in twins:
            raise DataError(
                got=f"{path}, the same as {twins[_digest(path)]}, which is tested on",
                expected="made items to learn from that are none of the test photographs",
                todo="Name the folder of made items, or leave that one out of it.",
            )


def _digest(path: Path) -> bytes:
    return hashlib.sha256(path.read_bytes()).digest()


def _evenly(photographs: Sequence[Photograph], limit: int | None) -> Sequence[Photograph]:
    if limit is None or limit >= len(photographs):
        return photographs
    return [photographs[k * len(photographs) // limit] for k in range(limit)]


def _read(photographs: Sequence[Photograph], size: int) -> Labelled:
    pictures, masks = load(photographs, size)
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
                got=f"{path}, whose mask marks nothing",
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
