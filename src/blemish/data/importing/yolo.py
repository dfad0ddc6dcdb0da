"""YOLO: a file of classes, and beside each photograph a text file of labels.

The classes are in data.yaml (any YAML file with names), classes.txt or obj.names. The labels of
images/…/<name>.png are in labels/…/<name>.txt, or beside the photograph. A line is a class and the
corners of a polygon as fractions of width and height, or a class and a box. A photograph without
labels has no annotations. Where data.yaml says that the photographs are is not looked at.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from blemish.data.importing.annotations import Annotated, Box, Region
from blemish.data.importing.areas import PolygonArea, corners
from blemish.data.importing.fields import describing, finite_number, points, whole_number
from blemish.data.importing.sources import LARGEST_FILE, AnnotatedFolder
from blemish.decode import header
from blemish.documents import parse_yaml, read_text
from blemish.errors import DataError

TOOL = "YOLO"
LISTS = ("classes.txt", "obj.names", "_darknet.labels")
LARGEST_YAML = 2**20  # bytes


def read_yolo(source: AnnotatedFolder) -> Iterator[Annotated]:
    """Every photograph of the source."""
    labels, used = _labels(source), set()
    for path in source.pictures:
        file = _label_file(source, path)
        used.add(file)
        regions = () if file is None else _regions(source.inside(file), path, labels)
        yield Annotated(path=source.inside(path), name=source.name(path), regions=regions)
    for path in source.below(".txt"):
        if path not in used and "labels" in path.relative_to(source.root).parts[:-1]:
            raise _no_photograph(path)


def class_files(source: AnnotatedFolder) -> list[Path]:
    """Files that name classes: YAML files with names, or else a list."""
    given = [path for path in source.files(".yaml", ".yml") if "names" in _yaml(path)]
    return given or [path for path in source.files(".txt", ".names", ".labels") if _is_list(path)]


def _is_list(path: Path) -> bool:
    return path.name.lower() in LISTS


def _yaml(path: Path) -> dict[Any, Any]:
    text = read_text(path, "classes in YAML", most_bytes=LARGEST_YAML)
    with describing(str(path), TOOL):
        found = parse_yaml(text)
    return found if isinstance(found, dict) else {}


def _labels(source: AnnotatedFolder) -> dict[int, str]:
    """Names of classes by number."""
    files = class_files(source)
    found = [_names(path) for path in files]
    if not found or any(names != found[0] for names in found):
        raise DataError(
            got=f"{source.root}, with {len(files)} files that name classes",
            expected="one data.yaml or classes.txt, or several that agree",
            todo="Add one, or give the one that is meant as SOURCE.",
        )
    return found[0]


def _names(path: Path) -> dict[int, str]:
    if _is_list(path):
        lines = read_text(path, "one class a line", most_bytes=LARGEST_YAML).splitlines()
        return {k: line.strip() for k, line in enumerate(lines) if line.strip()}
    names = _yaml(path)["names"]
    with describing(str(path), TOOL):
        pairs = names.items() if isinstance(names, dict) else enumerate(_as_list(names))
        return {whole_number(k): str(name) for k, name in pairs}


def _as_list(names: object) -> list[Any]:
    if not isinstance(names, list):
        raise ValueError("'names' is neither a list nor a mapping")
    return names


def _label_file(source: AnnotatedFolder, picture: Path) -> Path | None:
    """Labels of a photograph; None without any."""
    parts = [*picture.relative_to(source.root).parts[:-1]]
    name = f"{picture.stem}.txt"
    last = next((k for k in reversed(range(len(parts))) if parts[k] == "images"), None)
    swapped = parts if last is None else [*parts[:last], "labels", *parts[last + 1 :]]
    places = (source.root.joinpath(*folders, name) for folders in (swapped, parts))
    return next((path for path in places if path.is_file() and not _is_list(path)), None)


def _regions(path: Path, picture: Path, labels: dict[int, str]) -> tuple[Region, ...]:
    text = read_text(path, "labels of YOLO", most_bytes=LARGEST_FILE)
    rows = [(k, line.split()) for k, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not rows:
        return ()
    known = header(picture)
    scale = known.width, known.height
    return tuple(_region(row, f"{path}, line {k}", labels, scale) for k, row in rows)


def _region(
    row: Sequence[str], where: str, labels: dict[int, str], scale: tuple[int, int]
) -> Region:
    with describing(where, TOOL):
        label = labels.get(whole_number(row[0]))
        if label is None:
            raise ValueError(f"there is no class {row[0][:20]}")
        return Region(label, _area(row[1:], scale), where)


def _area(values: Sequence[str], scale: tuple[int, int]) -> PolygonArea | Box:
    if len(values) == 4:
        x, y, w, h = np.array([finite_number(value) for value in values]) * (*scale, *scale)
        return Box(corners(x - w / 2, y - h / 2, w, h))
    return PolygonArea((points([*values], 3) * scale,))


def _no_photograph(path: Path) -> DataError:
    return DataError(
        got=f"{path}, labels without a photograph",
        expected=f"a photograph named {path.stem} in the folder images that belongs to it",
        todo="Put the photograph there, or remove the labels.",
    )
