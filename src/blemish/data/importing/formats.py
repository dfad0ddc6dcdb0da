"""Formats of annotations, and which one a source has."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from blemish.data.importing.annotations import Annotated, merged
from blemish.data.importing.coco import is_coco, read_coco
from blemish.data.importing.cvat import is_cvat, read_cvat, read_xml
from blemish.data.importing.labelme import is_labelme, read_labelme
from blemish.data.importing.sources import LARGEST_FILE, AnnotatedFolder
from blemish.data.importing.yolo import class_files, read_yolo
from blemish.documents import read_json
from blemish.errors import DataError
from blemish.names import AnnotationFormat


@dataclass(frozen=True, slots=True)
class Reader:
    """How a format is read.

    Attributes:
        read: Photographs of a source; its second argument is the width of lines in pixels.
        words: What a source of this format has, for messages.
    """

    read: Callable[[AnnotatedFolder, int], Iterator[Annotated]]
    words: str


READERS: dict[AnnotationFormat, Reader] = {
    "coco": Reader(lambda source, _: read_coco(source), "a JSON list of instances"),
    "labelme": Reader(read_labelme, "a JSON file for each photograph"),
    "cvat": Reader(read_cvat, "annotations.xml of 'CVAT for images 1.1'"),
    "yolo": Reader(lambda source, _: read_yolo(source), "data.yaml or classes.txt, and labels"),
}


def read_annotations(
    source: AnnotatedFolder, format: AnnotationFormat, line_width: int
) -> list[Annotated]:
    """Photographs with their annotations, each once, sorted by name.

    Raises:
        DataError: There are none in this format, or something in them is broken.
    """
    reader = READERS[format]
    found = merged(reader.read(source, line_width))
    if not found:
        raise _nothing(source, f"without annotations in the format {format}", reader.words)
    return found


def detect(source: AnnotatedFolder) -> AnnotationFormat:
    """The format of a source.

    Raises:
        DataError: There are no annotations, or those of several formats.
    """
    found: list[AnnotationFormat] = [*dict.fromkeys(_formats(source))]
    if len(found) != 1:
        what = f"with annotations of {' and '.join(found)}" if found else "without annotations"
        expected = "; ".join(f"{name}: {reader.words}" for name, reader in READERS.items())
        raise _nothing(source, what, f"those of one tool ({expected})")
    return found[0]


def _formats(source: AnnotatedFolder) -> Iterator[AnnotationFormat]:
    if any(is_cvat(read_xml(path)) for path in source.files(".xml")):
        yield "cvat"
    if class_files(source):
        yield "yolo"
    for path in source.files(".json"):
        document = read_json(path, "annotations in JSON", most_bytes=LARGEST_FILE)
        if is_coco(document) or is_labelme(document):
            yield "coco" if is_coco(document) else "labelme"
            return  # a set may have thousands of files, and a mixture shows when they are read


def _nothing(source: AnnotatedFolder, what: str, expected: str) -> DataError:
    return DataError(
        got=f"{source.only or source.root}, {what}",
        expected=expected,
        todo="Check the folder, or say with --format what to read.",
    )
