"""CVAT: annotations.xml of "CVAT for images 1.1", with the photographs below it.

Polygons, masks and ellipses mark areas, polylines have the width that the command gives, boxes are
boxes. Tags and points name classes without a place.
"""

from collections.abc import Iterator
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np

from blemish.data.importing.annotations import Annotated, Box, Region
from blemish.data.importing.areas import Area, Points, PolygonArea, Runs, Stroke, corners, ellipse
from blemish.data.importing.fields import describing, finite_number, points, whole_number
from blemish.data.importing.sources import LARGEST_FILE, AnnotatedFolder
from blemish.documents import parse_xml, read_text

TOOL = "CVAT for images 1.1"
_PLACELESS = ("tag", "points", "skeleton", "cuboid")


def read_cvat(source: AnnotatedFolder, line_width: int) -> Iterator[Annotated]:
    """Photographs of every CVAT file in the source; other XML files are passed over."""
    for path in source.files(".xml"):
        root = read_xml(path)
        if is_cvat(root):
            for image in root.iter("image"):
                yield _annotated(source, path, image, line_width)


def read_xml(path: Path) -> Element:
    """Root of an XML file.

    Raises:
        DataError: It can't be read, or has a document type.
    """
    text = read_text(path, "annotations in XML", most_bytes=LARGEST_FILE)
    with describing(str(path), TOOL):
        return parse_xml(text)


def is_cvat(root: Element) -> bool:
    """Whether an XML document holds annotations of CVAT."""
    return root.tag == "annotations"


def _annotated(source: AnnotatedFolder, path: Path, image: Element, line_width: int) -> Annotated:
    picture = source.picture(image.get("name"), path)
    name = source.name(picture)
    regions, unplaced = [], []
    for index, shape in enumerate(image, 1):
        where = f"{path}, {shape.tag} {index} of {name}"
        with describing(where, TOOL):
            label = _text(shape, "label")
            if shape.tag in _PLACELESS:
                unplaced.append(label)
            else:
                regions.append(Region(label, _area(shape, line_width), where))
    with describing(f"{path}, image {name}", TOOL):
        size = whole_number(_text(image, "width")), whole_number(_text(image, "height"))
    return Annotated(
        path=picture, name=name, regions=tuple(regions), size=size, unplaced=tuple(unplaced)
    )


def _area(shape: Element, line_width: int) -> Area | Box:
    if shape.tag == "polygon":
        return PolygonArea((_points(shape, 3),))
    if shape.tag == "polyline":
        return Stroke(_points(shape, 2), line_width)
    if shape.tag == "mask":
        return _runs(shape)
    turn = finite_number(shape.get("rotation", "0"))
    if shape.tag == "ellipse":
        x, y, across, down = _numbers(shape, "cx", "cy", "rx", "ry")
        return ellipse(x, y, across, down, turn)
    if shape.tag == "box":
        left, top, right, bottom = _numbers(shape, "xtl", "ytl", "xbr", "ybr")
        return Box(corners(left, top, right - left, bottom - top, turn))
    raise ValueError("its shape is not known")


def _runs(shape: Element) -> Runs:
    counts = np.array([whole_number(count) for count in _text(shape, "rle").split(",")], np.int64)
    left, top, width, height = (int(n) for n in _numbers(shape, "left", "top", "width", "height"))
    return Runs(counts, (height, width), (left, top))


def _points(shape: Element, least: int) -> Points:
    pairs = [pair.split(",") for pair in _text(shape, "points").split(";")]
    return points(pairs, least)


def _numbers(shape: Element, *names: str) -> list[float]:
    return [finite_number(shape.get(name)) for name in names]


def _text(shape: Element, name: str) -> str:
    text = shape.get(name)
    if not text:
        raise ValueError(f"'{name}' is missing")
    return text
