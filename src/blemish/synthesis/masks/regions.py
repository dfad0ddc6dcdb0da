"""Region of a part in which defects may lie, and anchor points, on one photograph."""

from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.pairs import read_mask
from blemish.data.shadow import unshadowed_silhouette
from blemish.errors import DataError
from blemish.pictures import read_picture
from blemish.synthesis.masks.place import inside_box, ruled
from blemish.synthesis.masks.pose import PosedPart, carrying
from blemish.synthesis.masks.shapes import Point
from blemish.synthesis.options import RegionOptions

KNOWN = 4  # photographs whose parts are remembered

Region = Bool[np.ndarray, "h w"]


def allowed_on(
    options: RegionOptions, picture: UInt8[np.ndarray, "h w 3"], part: Region
) -> Region | None:
    """Pixels in which a mask may lie; None if there is no limit.

    Args:
        options: The region.
        picture: Photograph of the good part.
        part: Silhouette of the part, without its shadow.

    Raises:
        DataError: The map or its photograph can't be read, the map has another size than its
            photograph, or none of the region is on the part.
    """
    if options.region is None:
        return None
    if isinstance(options.region, str):
        return ruled(part, options.region)
    allowed = _marked(options, picture, part)
    if not (allowed & part).any():
        raise DataError(
            got=f"the region {options.region}, which has no pixel of the part",
            expected="a region on the part",
            todo="Correct it; region_of names the photograph on which it was marked.",
        )
    return allowed


def anchors_on(
    options: RegionOptions, picture: UInt8[np.ndarray, "h w 3"], part: Region
) -> list[Point]:
    """Anchor points, in pixels.

    Raises:
        DataError: The photograph on which they were marked can't be read.
    """
    if not options.anchor:
        return []
    source = picture if options.region_of is None else _part_of(options.region_of).picture
    h, w = source.shape[:2]
    points = [(x * w, y * h) for x, y in options.anchor]
    if options.region_of is None:
        return points
    matrix = carrying(_part_of(options.region_of), PosedPart(picture, part))
    moved = [matrix @ (x - 0.5, y - 0.5, 1) + 0.5 for x, y in points]
    return [(float(x), float(y)) for x, y in moved]


def _marked(options: RegionOptions, picture: UInt8[np.ndarray, "h w 3"], part: Region) -> Region:
    """Box or map on this photograph."""
    if options.region_of is None:
        return _on(options, part)
    source = _part_of(options.region_of)
    matrix = carrying(source, PosedPart(picture, part))
    levels = _on(options, source.part).astype(np.float32)
    return cv2.warpAffine(levels, matrix, part.shape[::-1]) > 0.5


def _on(options: RegionOptions, part: Region) -> Region:
    """Box or map on the photograph on which it was marked."""
    if isinstance(options.region, tuple):
        return inside_box(np.ones_like(part), options.region)
    assert isinstance(options.region, Path)
    marked = read_mask(options.region)
    if marked.shape != part.shape:
        (h, w), (height, width) = marked.shape, part.shape
        raise DataError(
            got=f"{options.region}, a map of {w} × {h} pixels",
            expected=f"{width} × {height}, as its photograph",
            todo="Name the photograph on which it was marked with region_of.",
        )
    return marked


def _part_of(photograph: Path) -> PosedPart:
    try:
        found = photograph.stat()
    except OSError:
        return _read(photograph, 0, 0)  # says what is wrong
    return _read(photograph, found.st_mtime_ns, found.st_size)


@lru_cache(KNOWN)
def _read(photograph: Path, _changed: int, _size: int) -> PosedPart:
    picture = read_picture(photograph)
    return PosedPart(picture, unshadowed_silhouette(picture))
