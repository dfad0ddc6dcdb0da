"""From a folder that `blemish synthesize` wrote to one that others' tools read.

Pictures are copied byte for byte, but for those that carry an EXIF orientation: many readers pass
it over and would see boxes elsewhere, so these are written upright, without it. What lists pictures
comes last, so that an export that was broken off is no data set. The same items give the same
bytes, but for the date on the card.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Protocol

from blemish.files import ensure_writable, write_atomically
from blemish.manifest import MANIFEST
from blemish.names import ExportFormat
from blemish.originals import read_original
from blemish.synthesis.export.card import card, origins
from blemish.synthesis.export.classes import numbered
from blemish.synthesis.export.coco import coco
from blemish.synthesis.export.imagefolder import imagefolder
from blemish.synthesis.export.items import Content, Items, hold_out, read_items
from blemish.synthesis.export.mvtec import mvtec
from blemish.synthesis.export.unfinished import marked, refuse_full
from blemish.synthesis.export.yolo import yolo


class Layout(Protocol):
    """A format: the files of an export, in the order in which they are written."""

    def __call__(self, items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]: ...


FORMATS: dict[ExportFormat, tuple[Layout, str]] = {
    "mvtec": (
        mvtec,
        "folders as in MVTec AD; test has all items, on photographs of train/good too",
    ),
    "coco": (coco, "COCO, a run-length mask for each connected piece"),
    "yolo": (yolo, "YOLO segmentation, a polygon for each connected piece"),
    "hf-imagefolder": (imagefolder, "the image folder of Hugging Face's datasets"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What was written.

    Attributes:
        items: With the split that each went to.
        files: All files, relative to the folder, in the order in which they were written.
        by_name: Whether classes are numbered by name, since no bundle was at hand to say otherwise.
    """

    items: Items
    files: tuple[str, ...]
    by_name: bool = False


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
    tell: Callable[[float], None] = lambda _: None,
) -> Exported:
    """Write a data set in a format of others, with its card.

    Args:
        root: Folder that `blemish synthesize` wrote; it is read only.
        out: A new or empty folder.
        format: Of the data set.
        pairs: Add the untouched photograph of each item.
        share: Of the photographs, in [0, 1), to hold out with all items on them.
        bundle: That made the items, for what its card says; else it is looked for by its name.
        classes: The types in the order in which they are numbered; None takes the order of the
            bundle, or that of their names if it is not at hand.
        doubtful: Export what curation refused too, as far as its pictures were kept.
        today: The date on the card.
        tell: Called with the share of the work that is done.

    Raises:
        DataError: The folder is none of ours, or has no item that can be exported.
        OptionError: The share is out of range, one photograph can't be split, or `classes` lacks a
            type.
        BundleError: `bundle` is missing or made none of the items.
        OutputError: `out` holds something already or can't be written.
    """
    refuse_full(out)
    items = read_items(root, doubtful=doubtful, tell=lambda done: tell(done / 2))
    made_by = origins(items, bundle)
    known = [kind for origin in made_by for kind in origin.types]
    items = hold_out(numbered(items, classes, known), share)
    layout, words = FORMATS[format]
    text = card(
        out.resolve().name,
        items,
        made_by,
        layout=words,
        pairs=pairs,
        today=today or date.today(),
    )
    files = [("README.md", text.encode()), *layout(items, pairs=pairs)]
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
            tell(0.5 + index / len(files) / 2)
    by_name = classes is None and not known
    return Exported(items=items, files=tuple(path for path, _ in files), by_name=by_name)


def _write(path: Path, content: Content, turned: frozenset[Path]) -> None:
    ensure_writable(path.parent)
    if isinstance(content, bytes):
        write_atomically(path, content)
    elif content in turned:
        replace(read_original(content), orientation=1).write(path)
    else:
        write_atomically(path, content.read_bytes())
