"""COCO: one list of images, categories and annotations.

An annotation has polygons, run lengths (as numbers, or compressed to text), or a box alone. A crowd
is an annotation like any other.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from blemish.data.importing.annotations import Annotated, Box, Region
from blemish.data.importing.areas import Area, PolygonArea, Runs, corners
from blemish.data.importing.fields import describing, field, finite_number, points, whole_number
from blemish.data.importing.sources import LARGEST_FILE, AnnotatedFolder
from blemish.documents import read_json

TOOL = "COCO"


def is_coco(document: object) -> bool:
    """Whether a JSON document is a list of instances."""
    return isinstance(document, Mapping) and {"images", "annotations", "categories"} <= {*document}


def read_coco(source: AnnotatedFolder) -> Iterator[Annotated]:
    """Photographs of every COCO list in the source; other JSON files are passed over."""
    for path in source.files(".json"):
        document = read_json(path, "annotations in JSON", most_bytes=LARGEST_FILE)
        if is_coco(document):
            yield from _images(source, path, document)


def _images(
    source: AnnotatedFolder, path: Path, document: Mapping[str, Any]
) -> Iterator[Annotated]:
    labels = _labels(path, document)
    regions, seen = _regions(path, document, labels), set()
    for index, image in enumerate(_list(path, document, "images"), 1):
        with describing(f"{path}, image {index}", TOOL):
            file, size = field(image, "file_name", str), _size(image)
            identity = _identity(image, "id")
            if identity in seen:
                raise ValueError(f"another image has its id, {identity}")
            seen.add(identity)
        picture = source.picture(file, path)
        yield Annotated(
            path=picture,
            name=source.name(picture),
            regions=tuple(regions.pop(identity, ())),
            size=size,
        )
    for lost in regions.values():
        with describing(lost[0].where, TOOL):
            raise ValueError("its image is not in the list")


def _labels(path: Path, document: Mapping[str, Any]) -> dict[int | str, str]:
    labels = {}
    for index, category in enumerate(_list(path, document, "categories"), 1):
        with describing(f"{path}, category {index}", TOOL):
            labels[_identity(category, "id")] = field(category, "name", str)
    return labels


def _regions(
    path: Path, document: Mapping[str, Any], labels: Mapping[int | str, str]
) -> defaultdict[int | str, list[Region]]:
    """Annotations by their image."""
    found: defaultdict[int | str, list[Region]] = defaultdict(list)
    for index, entry in enumerate(_list(path, document, "annotations"), 1):
        where = f"{path}, annotation {index}"
        with describing(where, TOOL):
            category = _identity(entry, "category_id")
            if category not in labels:
                raise ValueError(f"category {category} is not in the list")
            region = Region(labels[category], _area(entry), where)
            found[_identity(entry, "image_id")].append(region)
    return found


def _list(path: Path, document: Mapping[str, Any], name: str) -> list[Any]:
    with describing(str(path), TOOL):
        return field(document, name, list)


def _identity(entry: object, name: str) -> int | str:
    """Identity of an entry: a number, or a text in some tools."""
    value = field(entry, name, object)
    if isinstance(value, str):
        return value
    return whole_number(value)


def _size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """Width and height; some tools write 0 where they don't know them."""
    width, height = (whole_number(field(image, name, object, 0)) for name in ("width", "height"))
    return (width, height) if width and height else None


def _area(entry: Mapping[str, Any]) -> Area | Box:
    marked = entry.get("segmentation")
    if isinstance(marked, Mapping):
        return _runs(marked)
    if marked:
        if not isinstance(marked, list):
            raise ValueError("'segmentation' is neither a list nor an object")
        loops = marked if isinstance(marked[0], list) else [marked]
        return PolygonArea(tuple(points(loop, 3) for loop in loops))
    box = [finite_number(value) for value in field(entry, "bbox", list)]
    if len(box) != 4:
        raise ValueError(f"'bbox' has {len(box)} numbers, not 4")
    return Box(corners(*box))


def _runs(marked: Mapping[str, Any]) -> Runs:
    h, w = (whole_number(side) for side in (*field(marked, "size", list), 0, 0)[:2])
    counts = marked.get("counts")
    if isinstance(counts, str):
        return Runs(decompressed(counts), (h, w), down=True)
    lengths = [whole_number(count) for count in field(marked, "counts", list)]
    return Runs(np.array(lengths, np.int64), (h, w), down=True)


def decompressed(text: str) -> Int[np.ndarray, " n"]:
    """Run lengths in pycocotools' text: five bits a letter, differences from the third on.

    The text comes from a stranger, so it is not given to the library's C code.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 40:
            raise ValueError("its compressed run lengths can't be read")
        value |= (bits & 31) << shift
        shift += 5
        if bits < 32:
            value -= (bits & 16) << (shift - 4)
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("its compressed run lengths are cut off")
    return np.array(counts, np.int64)
