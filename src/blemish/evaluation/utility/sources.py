"""Sources of training defects: real ones, and those of a folder of synthetic ones.

A source knows some types, and draws an image of one of them with its mask. Synthetic sets may be
large, so their files are read when they are drawn, and only a limited number of small squares is
kept.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from blemish.errors import DataError
from blemish.evaluation.synthesis.items import LabelledDefect
from blemish.evaluation.utility.protocol import Labelled
from blemish.pictures import fit_mask, fit_square

CACHE_BYTES = 2**28
Pair = tuple[UInt8[np.ndarray, "s s 3"], UInt8[np.ndarray, "s s"]]


class DefectSource(ABC):
    """Source of defects."""

    @property
    @abstractmethod
    def kinds(self) -> tuple[str, ...]:
        """Its types, sorted."""

    @abstractmethod
    def draw(self, kind: str, rng: np.random.Generator) -> Pair:
        """Random image with a defect of a type, and its mask of 0 and 1."""


class Real(DefectSource):
    """Real defects, unchanged."""

    def __init__(self, photographs: Labelled) -> None:
        self.photographs = photographs

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted({*self.photographs.kinds}))

    def draw(self, kind: str, rng: np.random.Generator) -> Pair:
        index = rng.choice(self.photographs.of(kind))
        return self.photographs.pictures[index], self.photographs.masks[index]


class SyntheticSource(DefectSource):
    """Synthetic defects, from their files.

    Args:
        items: Items by type; none is empty.
        size: Side of the squares to which they are resized.

    Raises:
        DataError: A file is missing.
    """

    def __init__(self, items: dict[str, list[LabelledDefect]], size: int) -> None:
        self.items, self.size = items, size
        for path in self.files():
            _refuse_missing(path)
        self._read = lru_cache(maxsize=CACHE_BYTES // (4 * size**2))(self._fitted)

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(sorted(self.items))

    def draw(self, kind: str, rng: np.random.Generator) -> Pair:
        """Same as for every source; an unreadable file raises a DataError."""
        return self._read(kind, int(rng.integers(len(self.items[kind]))))

    def files(self) -> Iterator[Path]:
        """Files of all items, images and masks."""
        for item in (item for found in self.items.values() for item in found):
            yield from (item.image, item.mask)

    def _fitted(self, kind: str, index: int) -> Pair:
        picture, mask = self.items[kind][index].read()
        return fit_square(picture, self.size), fit_mask(mask, self.size).astype(np.uint8)


def _refuse_missing(path: Path) -> None:
    if not path.is_file():
        raise DataError(
            got=f"{path}, which does not exist",
            expected="the files that the manifest names",
            todo="Restore them, or make the set again.",
        )
