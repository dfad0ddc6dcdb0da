"""Export from a folder of `blemish synthesize` to other tools' formats.

Images are copied byte for byte, except those with an EXIF orientation: many readers ignore it and
would see boxes elsewhere, so these are written upright, without the tag. Lists of images are
written last, so that an interrupted export is not a data set. The same items give the same bytes,
except for the date on the card and in croissant.json.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Protocol

from blemish.data.unfinished import marked, refuse_full
from blemish.files import ensure_writable, write_atomically
from blemish.manifest import MANIFEST
from blemish.marks import mark_of
from blemish.names import ExportFormat
from blemish.originals import read_original
from blemish.synthesis.export.card import card, origins
from blemish.synthesis.export.classes import numbered
from blemish.synthesis.export.classmaps import classmaps
from blemish.synthesis.export.coco import coco
from blemish.synthesis.export.croissant import FILE, croissant
from blemish.synthesis.export.imagefolder import LIST, imagefolder
from blemish.synthesis.export.items import Content, Items, hold_out, read_items
from blemish.synthesis.export.labelstudio import labelstudio
from blemish.synthesis.export.mvtec import mvtec
from blemish.synthesis.export.yolo import yolo


class Layout(Protocol):
    """Format: the files of an export, in writing order."""

    def __call__(self, items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]: ...


FORMATS: dict[ExportFormat, tuple[Layout, str]] = {
    "mvtec": (
        mvtec,
        "folders as in MVTec AD; test has all items, also those on photographs of train/good",
    ),
    "coco": (coco, "COCO, a run-length mask for each connected piece"),
    "yolo": (yolo, "YOLO segmentation, a polygon for each connected piece"),
    "hf-imagefolder": (imagefolder, "the image folder of Hugging Face's datasets"),
    "label-studio": (labelstudio, "tasks for Label Studio, a polygon for each connected piece"),
    "class-maps": (classmaps, "a map of class numbers for each item"),
}

LEFT_OUT = {
    "unchanged": "nothing changed in them",
    "refused": "they were refused",
    "failed": "they failed",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """Result of an export.

    Attributes:
        items: Items with their split.
        files: All files, relative to the folder, in writing order.
        by_name: Whether classes are numbered by name, because no bundle was available.
    """

    items: Items
    files: tuple[str, ...]
    by_name: bool = False

    def summary(self) -> dict[str, Any]:
        """Numbers of items by type and split, and of those left out, as JSON values."""
        items = self.items.items
        return {
            "items": len(items),
            "types": dict(sorted(Counter(item.kind for item in items).items())),
            "photographs": len({item.photograph for item in items}),
            "held_out": sum(item.split == "val" for item in items),
            **{outcome: getattr(self.items, outcome) for outcome in LEFT_OUT},
            "unfit": dict(self.items.unfit),
            "classes": list(self.items.classes),
        }


def export(
    root: Path,
    out: Path,
    format: ExportFormat,
    *,
    pairs: bool = False,
    share: float = 0,
    bundle: str | Path | None = None,
    classes: Sequence[str] | None = None,
    doubtful: bool = False,
    today: date | None = None,
    on_progress: Callable[[float], None] = lambda _: None,
) -> Exported:
    """Write a data set in another tool's format, with its card.

    Args:
        root: Folder of `blemish synthesize`; it is only read.
        out: A new or empty folder.
        format: Format of the data set.
        pairs: Add the untouched photograph of each item.
        share: Fraction of the photographs, in [0, 1), to hold out with all items on them.
        bundle: Bundle that made the items, for its card; by default it is found by its name.
        classes: Types in their order of numbers; None uses the order of the bundle, or the order of
            names if it is not available.
        doubtful: Export items that curation refused, too, if their images were kept.
        today: Date on the card.
        on_progress: Callback, called with the finished fraction of the work.

    Raises:
        DataError: The folder was not written by Blemish, or has no item that can be exported.
        OptionError: The fraction is out of range, there is only one photograph to split, or
            `classes` lacks a type.
        BundleError: `bundle` is missing or made none of the items.
        OutputError: `out` is not empty or can't be written to.
    """
    refuse_full(out)
    items = read_items(root, doubtful=doubtful, on_progress=lambda done: on_progress(done / 2))
    made_by = origins(items, bundle)
    known = [kind for origin in made_by for kind in origin.types]
    items = hold_out(numbered(items, classes, known), share)
    layout, words = FORMATS[format]
    title, today = out.resolve().name, today or date.today()
    text = card(title, items, made_by, layout=words, pairs=pairs, today=today)
    files = [("README.md", text.encode()), *layout(items, pairs=pairs)]
    if format == "hf-imagefolder":
        files.append((FILE, croissant(title, items, _lists(files), today)))
    turned = frozenset().union(*(item.turned for item in items.items))
    asked = {
        "manifest": hashlib.sha256((root / MANIFEST).read_bytes()).hexdigest(),
        "format": format,
        "files": [path for path, _ in files],
        "classes": items.classes,
    }
    with marked(out, asked):
        for index, (path, content) in enumerate(files, 1):
            _write(out / path, content, turned)
            on_progress(0.5 + index / len(files) / 2)
    by_name = classes is None and not known
    return Exported(items=items, files=tuple(path for path, _ in files), by_name=by_name)


def _lists(files: Sequence[tuple[str, Content]]) -> dict[str, bytes]:
    """Content of the list of each split, by the split's folder."""
    found = {Path(path): content for path, content in files if isinstance(content, bytes)}
    return {path.parent.name: content for path, content in found.items() if path.name == LIST}


def _write(path: Path, content: Content, turned: frozenset[Path]) -> None:
    ensure_writable(path.parent)
    if isinstance(content, bytes):
        write_atomically(path, content)
    elif content in turned:
        mark = mark_of(content.read_bytes())
        replace(read_original(content), orientation=1, mark=mark).write(path)
    else:
        write_atomically(path, content.read_bytes())
