"""Photographs and annotations as files in the layout of MVTec AD.

Photographs keep their bytes, and go to test/<type>/ for each type that is marked on them, or to
train/good/. Masks have the size and the EXIF orientation of their photographs. Annotations refer to
the photograph as it is shown, by its orientation; if the size that they state is only that of the
stored rows and columns, they refer to those.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.importing.annotations import Annotated, Box, Region
from blemish.data.importing.fields import describing
from blemish.data.names import GOOD
from blemish.data.proposed import Proposed
from blemish.decode import PictureHeader, header
from blemish.errors import DataError
from blemish.levels import upright
from blemish.originals import Original
from blemish.pictures import read_picture

Content = Path | bytes  # the photograph to copy, or what to write
Proposer = Callable[[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]], Bool[np.ndarray, "h w"]]


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedPhotograph:
    """Photograph of a type, with a plain name.

    Attributes:
        annotated: The photograph in the source.
        name: Name of its files, without suffix.
        kinds: Types of the defects that are marked on it, sorted; none for a good part.
    """

    annotated: Annotated
    name: str
    kinds: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the photograph's file."""
        return f"{self.name}{self.annotated.path.suffix.lower()}"


def files_of_good(placed: NamedPhotograph) -> Iterator[tuple[str, Content]]:
    """File of a good part.

    Raises:
        DataError: It can't be read, or has another size than the annotations state.
    """
    _lying(placed.annotated, header(placed.annotated.path))
    yield f"train/{GOOD}/{placed.file}", placed.annotated.path


def files_of_defect(
    placed: NamedPhotograph, types: Mapping[str, str], propose: Proposer | None
) -> Iterator[tuple[str, Content, Proposed | None]]:
    """Files of a photograph with defects: for each type its mask, then the photograph.

    Args:
        placed: The photograph.
        types: Type of each class.
        propose: Marks the defect inside a box; None marks the whole box.

    Raises:
        DataError: The photograph can't be read, or a region does not fit on it.
    """
    found = placed.annotated
    known = header(found.path)
    drawing = _Drawing(found, known, _lying(found, known), propose)
    for kind in placed.kinds:
        regions = [region for region in found.regions if types[region.label] == kind]
        mask = drawing.mask(regions)
        content = Original(levels=_grey(mask), orientation=known.orientation).encoded()
        boxes = [*drawing.boxes(regions)] if propose is not None else []
        path = f"ground_truth/{kind}/{placed.name}_mask.png"
        yield path, content, Proposed.of(content, boxes) if boxes else None
        yield f"test/{kind}/{placed.file}", found.path, None


@dataclass(frozen=True)
class _Drawing:
    """Regions on one photograph.

    Attributes:
        found: The photograph and its annotations.
        known: Its size and orientation.
        turned: Whether the annotations refer to its stored rows and columns.
        propose: Marks the defect inside a box; None marks the whole box.
    """

    found: Annotated
    known: PictureHeader
    turned: bool
    propose: Proposer | None

    def mask(self, regions: Sequence[Region]) -> Bool[np.ndarray, "h w"]:
        """Regions of one type together, upright; what is drawn is not proposed again."""
        mask = np.zeros((self.known.height, self.known.width), bool)
        for region in regions:
            mask |= self._inside(region)
        return mask

    def boxes(self, regions: Sequence[Region]) -> Iterator[tuple[int, int, int, int]]:
        """Left, top, width and height of each box among the regions, upright."""
        for region in regions:
            if isinstance(region.area, Box):
                y, x = np.nonzero(self._drawn(region))
                yield int(x.min()), int(y.min()), int(np.ptp(x)) + 1, int(np.ptp(y)) + 1

    def _inside(self, region: Region) -> Bool[np.ndarray, "h w"]:
        inside = self._drawn(region)
        if self.propose is None or not isinstance(region.area, Box):
            return inside
        return self.propose(self._picture, inside)

    @cached_property
    def _picture(self) -> UInt8[np.ndarray, "h w 3"]:
        return read_picture(self.found.path)

    def _drawn(self, region: Region) -> Bool[np.ndarray, "h w"]:
        area = region.area.area if isinstance(region.area, Box) else region.area
        h, w = self.known.height, self.known.width
        stored = self.turned and self.known.orientation > 4
        with describing(region.where, "the tool"):
            drawn = area.drawn(*((w, h) if stored else (h, w)))
            if not drawn.any():
                raise ValueError("it marks no pixel")
        return upright(drawn, self.known.orientation) if self.turned else drawn


def _lying(found: Annotated, known: PictureHeader) -> bool:
    """Whether annotations refer to the stored rows and columns, not to the upright photograph."""
    upright_size = known.width, known.height
    if found.size in (None, upright_size):
        return False
    if known.orientation > 4 and found.size == upright_size[::-1]:
        return True
    raise DataError(
        got=f"{found.path} of {known.width} × {known.height} pixels, annotated at "
        f"{found.size[0]} × {found.size[1]}",
        expected="the photograph that was annotated, at its own size",
        todo="Put the original photograph there, or export the annotations again.",
    )


def _grey(mask: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    return mask.astype(np.uint8) * np.uint8(255)
