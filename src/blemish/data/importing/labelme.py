"""LabelMe: one JSON file a photograph, which lies beside it or is embedded.

Polygons, circles and masks mark areas, lines have the width that the command gives, rectangles are
boxes. A photograph without a file has no annotations. Flags that are on name classes without a
place.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from blemish.data.importing.annotations import Annotated, Box, Region
from blemish.data.importing.areas import Area, Points, PolygonArea, Stroke, circle, corners, runs_of
from blemish.data.importing.fields import describing, field, points, whole_number
from blemish.data.importing.sources import LARGEST_FILE, AnnotatedFolder
from blemish.decode import decode
from blemish.documents import read_json
from blemish.errors import DataError
from blemish.files import check_name

TOOL = "LabelMe"
_POINTS = {"polygon": 3, "rectangle": 2, "circle": 2, "line": 2, "linestrip": 2, "mask": 2}
_PLACELESS = ("point", "points")
_SUFFIXES = {b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"BM": ".bmp", b"RIFF": ".webp"}


def is_labelme(document: object) -> bool:
    """Whether a JSON document holds the shapes of one photograph."""
    return isinstance(document, Mapping) and {"shapes", "imagePath"} <= {*document}


def read_labelme(source: AnnotatedFolder, line_width: int) -> Iterator[Annotated]:
    """Photographs of every LabelMe file in the source, then those without one."""
    seen = set()
    for path in source.files(".json"):
        document = read_json(path, "annotations in JSON", most_bytes=LARGEST_FILE)
        if is_labelme(document):
            found = _annotated(source, path, document, line_width)
            seen.add(found.path)
            yield found
    if source.only is None:
        for path in source.pictures:
            if path not in seen:
                yield Annotated(path=source.inside(path), name=source.name(path))


def _annotated(
    source: AnnotatedFolder, path: Path, document: Mapping[str, Any], line_width: int
) -> Annotated:
    picture, name = _picture(source, path, document)
    regions, unplaced = [], []
    with describing(str(path), TOOL):
        shapes, flags = field(document, "shapes", list), field(document, "flags", dict, {})
        sides = [
            whole_number(field(document, f"image{side}", object, 0)) for side in ("Width", "Height")
        ]
    for number, shape in enumerate(shapes, 1):
        where = f"{path}, shape {number}"
        with describing(where, TOOL):
            label, kind = field(shape, "label", str), field(shape, "shape_type", str, "polygon")
            if kind in _PLACELESS:
                unplaced.append(label)
            else:
                regions.append(Region(label, _area(shape, kind, line_width, source.scratch), where))
    return Annotated(
        path=picture,
        name=name,
        regions=tuple(regions),
        size=(sides[0], sides[1]) if all(sides) else None,
        unplaced=(*unplaced, *(str(flag) for flag, on in flags.items() if on is True)),
    )


def _picture(source: AnnotatedFolder, path: Path, document: Mapping[str, Any]) -> tuple[Path, str]:
    """File of the photograph and its name; without a file, one of what is embedded."""
    embedded = document.get("imageData")
    try:
        picture = source.picture(document.get("imagePath"), path)
        return picture, source.name(picture)
    except DataError:
        if not isinstance(embedded, str):
            raise
    with describing(str(path), TOOL):
        content = _from_base64(embedded)
        suffix = next((s for begin, s in _SUFFIXES.items() if content.startswith(begin)), None)
        if suffix is None:
            raise ValueError("its embedded photograph is no PNG, JPEG, BMP or WebP")
    stem = PureWindowsPath(str(document.get("imagePath"))).stem
    check_name(stem, f"{path}, which names the photograph")
    name = (path.parent / f"{stem}{suffix}").relative_to(source.root).as_posix()
    return _unpacked(source.scratch, content, suffix), name


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("what it embeds is not base64") from None


def _unpacked(scratch: Path, content: bytes, suffix: str) -> Path:
    path = scratch / f"{hashlib.sha256(content).hexdigest()}{suffix}"
    path.write_bytes(content)
    return path


def _area(shape: Mapping[str, Any], kind: str, line_width: int, scratch: Path) -> Area | Box:
    if kind not in _POINTS:
        raise ValueError(f"its shape is {kind[:40]!r}")
    at = points(field(shape, "points", list), _POINTS[kind])
    if kind == "polygon":
        return PolygonArea((at,))
    if kind == "circle":
        return circle(at[:1], at[1:2])
    if kind == "mask":
        return _stamp(field(shape, "mask", str), at, scratch)
    if kind == "rectangle":
        (left, top), (width, height) = at.min(axis=0), np.ptp(at, axis=0)
        return Box(corners(float(left), float(top), float(width), float(height)))
    return Stroke(at, line_width)


def _stamp(text: str, at: Points, scratch: Path) -> Area:
    """A mask in a picture of its own, whose upper left pixel the first point names."""
    try:
        colours = decode(_unpacked(scratch, _from_base64(text), ".mask")).colours
    except DataError:
        raise ValueError("its mask is not an image") from None
    left, top = (int(n) for n in np.rint(at[0]))
    return runs_of(colours.max(axis=2) > 0, left, top)
