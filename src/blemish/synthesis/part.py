"""Photograph of a good part: read and checked once, with the silhouette of the part."""

from functools import cached_property
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.masks import silhouette
from blemish.data.shadow import unshadowed_silhouette
from blemish.originals import Original, read_original
from blemish.pictures import note_oblong, refuse_small


class GoodPart:
    """Photograph of a good part; the silhouette is computed once for each size.

    A note is logged if the model sees the photograph squeezed.

    Args:
        path: File of the photograph, or a name for one in memory.
        original: Photograph.

    Raises:
        DataError: The photograph is too small.
    """

    def __init__(self, path: Path, original: Original) -> None:
        refuse_small(path, original.picture)
        note_oblong(path, original.header.width, original.header.height)
        self.path, self.original = path, original
        self._silhouettes: dict[tuple[int, int], Bool[np.ndarray, "_ _"]] = {}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the photograph.

        Raises:
            DataError: The file can't be read, or the photograph is too small.
        """
        return cls(path, read_original(path))

    @property
    def picture(self) -> UInt8[np.ndarray, "h w 3"]:
        """Photograph, upright."""
        return self.original.picture

    @property
    def mask(self) -> Bool[np.ndarray, "h w"]:
        """Silhouette at the photograph's size."""
        h, w = self.picture.shape[:2]
        return self.at((w, h))

    @cached_property
    def unshadowed(self) -> Bool[np.ndarray, "h w"]:
        """Silhouette without the part's shadow."""
        return unshadowed_silhouette(self.picture)

    def at(self, size: tuple[int, int]) -> Bool[np.ndarray, "p q"]:
        """Silhouette at another size.

        Args:
            size: Width and height.
        """
        if size not in self._silhouettes:
            small = cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA)
            self._silhouettes[size] = silhouette(small)
        return self._silhouettes[size]
