"""Folder of synthetic items in MVTec AD layout, which can be extended and resumed.

test/<type>/<name>.png                 the part with its defect
ground_truth/<type>/<name>_mask.png    the exact mask of the changed pixels
twin/<name>.png                        the same photograph without it; a batch has each once
requested/<name>.png                   the requested mask
classes/<name>.png                     the number of each pixel's type, if an item has several types
codes/<name>.safetensors               the generator's codes
manifest.jsonl                         one line per item, written after its files
contact_sheet.png                      an overview of the last items

Images and masks have the photograph's stored orientation, depth and mode. The outcome of a line is
"kept", "refused" or "failed", with reasons; lines of older releases have no outcome and count as
kept. An item in which nothing changed is refused and has a twin and codes, but no image and no
mask: these would teach a detector that a good part is defective. A failed item has only its line.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.checkpoint import save_codes
from blemish.errors import DataError
from blemish.files import check_name, ensure_writable, sweep
from blemish.manifest import MANIFEST, NOTHING_CHANGED, Row, append_row, read_rows
from blemish.originals import Original
from blemish.pictures import grid, read_picture, write_picture
from blemish.stores.reading import stored_file
from blemish.types import Codes

SHEET = "contact_sheet.png"
SHEET_ROWS = 12
SHEET_SIDE = 192

# Beside those of each type; the last two hold masks and parts that a run has drawn.
FOLDERS = ("twin", "requested", "codes", "classes", "drawn", "parts")


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticItem:
    """One synthetic item.

    Attributes:
        name: Name of its files.
        kind: Type of the defect.
        picture: Image of the part with its defect.
        changed: Exact mask of the pixels in which `picture` and `twin` differ, upright.
        twin: The untouched photograph.
        requested: Requested mask, upright.
        codes: Codes of this item; None if it was made without a generator.
        classes: Number of the type at each changed pixel and 0 elsewhere, upright; None if all its
            defects are of one type.
        facts: Manifest entries: seed, origin, options, scores.
        reasons: Reasons against training on it; empty if there are none.
    """

    name: str
    kind: str
    picture: Original
    changed: Bool[np.ndarray, "h w"]
    twin: Original
    requested: Bool[np.ndarray, "h w"]
    codes: Codes | None
    facts: Mapping[str, Any]
    reasons: tuple[str, ...] = ()
    classes: UInt8[np.ndarray, "h w"] | None = None


class Dataset:
    """Folder of items, which are identified by name.

    Iterating over it reads the rows of its manifest, oldest first.

    Raises:
        DataError: The folder contains a manifest of another program.
        OutputError: The folder can't be written to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / MANIFEST
        deque(self, maxlen=0)  # foreign content is reported now
        ensure_writable(root)

    def __iter__(self) -> Iterator[Row]:
        return read_rows(self.manifest)

    def rows(self) -> list[Row]:
        """Rows of the manifest, one per item, oldest first.

        Raises:
            DataError: A line is not a valid item record.
        """
        return [*self]

    def paths(self, kind: str, name: str, twin: str | None = None) -> dict[str, Path]:
        """Paths of an item's files, relative to the folder.

        Args:
            kind: Type of the defect.
            name: Name of the item's files.
            twin: Name of the photograph's file; None for one of the item's own.

        Raises:
            DataError: The type or a name can't be a part of a path.
        """
        check_name(kind, "the defect type")
        check_name(name, "the item's name")
        check_name(twin or name, "the photograph's name")
        return {
            "image": Path("test") / kind / f"{name}.png",
            "mask": Path("ground_truth") / kind / f"{name}_mask.png",
            "twin": Path("twin") / f"{twin or name}.png",
            "requested": Path("requested") / f"{name}.png",
            "codes": Path("codes") / f"{name}.safetensors",
            "classes": Path("classes") / f"{name}.png",
        }

    def add(self, item: SyntheticItem, *, keep_all: bool = True) -> dict[str, Any]:
        """Write an item's files, then its line: an item with a line is complete.

        Args:
            item: Item to write.
            keep_all: Write image and mask of a refused item too, if anything changed.
        """
        row = self.write(item, keep_all=keep_all)
        self.append(row)
        return row

    def write(
        self, item: SyntheticItem, *, keep_all: bool = True, twin: str | None = None
    ) -> dict[str, Any]:
        """Write an item's files, the image last; several processes may write at the same time.

        Args:
            item: Item to write.
            keep_all: Write image and mask of a refused item too, if anything changed.
            twin: Name of the photograph's file, which depends on its content, so that items may
                share it; None for one of the item's own.

        Returns:
            The item's line, for `append`.
        """
        unchanged = () if item.changed.any() else (NOTHING_CHANGED,)
        reasons = (*item.reasons, *unchanged)
        writers = _writers(item)
        known = self.paths(item.kind, item.name, twin)
        paths = {k: v for k, v in known.items() if k in writers}
        if unchanged or (reasons and not keep_all):
            for kind in {"image", "mask", "classes"} & {*paths}:  # files of an earlier run
                (self.root / paths.pop(kind)).unlink(missing_ok=True)
        there = {"twin"} if twin is not None and (self.root / paths["twin"]).exists() else set()
        for kind in (kind for kind in writers if kind in paths and kind not in there):
            ensure_writable((self.root / paths[kind]).parent)
            writers[kind](self.root / paths[kind])
        files = {kind: path.as_posix() for kind, path in paths.items()}
        outcome = "refused" if reasons else "kept"
        return _line(item.name, item.kind, outcome, reasons, files) | {**item.facts}

    def fail(self, name: str, kind: str, facts: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Add a line with the reason why an item failed; it has no files."""
        row = failed_row(name, kind, facts, reason)
        self.append(row)
        return row

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line after its files; only one process may do so."""
        append_row(self.manifest, row)

    def sweep(self) -> None:
        """Remove the half-written files of a run that was killed."""
        sweep_items(self.root)

    def contact_sheet(self) -> Path:
        """Draw the last items: good, requested, synthetic, changed; dark if a file is missing."""
        path = self.root / SHEET
        last = deque((row for row in self if row["files"]), maxlen=SHEET_ROWS)
        cells = [cell for row in last or [{"name": "", "files": {}}] for cell in self._cells(row)]
        write_picture(path, grid(cells, 8 if len(cells) > 16 else 4))
        return path

    def _cells(self, row: Row) -> list[UInt8[np.ndarray, "s s 3"]]:
        kinds = ("twin", "requested", "image", "mask")
        return [self._cell(row, kind) for kind in kinds]

    def _cell(self, row: Row, kind: str) -> UInt8[np.ndarray, "s s 3"]:
        try:
            path = stored_file(self.manifest, row, kind)
        except DataError:
            return np.zeros((SHEET_SIDE, SHEET_SIDE, 3), np.uint8)
        picture = read_picture(path)
        return cv2.resize(picture, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA)


def _writers(item: SyntheticItem) -> dict[str, Callable[[Path], None]]:
    """Writers of the files, in writing order."""
    codes = {} if item.codes is None else {"codes": partial(save_codes, codes=item.codes)}
    classes = {}
    if item.classes is not None:
        classes = {"classes": partial(item.twin.write_classes, classes=item.classes)}
    return {
        **codes,
        **classes,
        "twin": item.twin.write,
        "requested": partial(item.twin.write_mask, mask=item.requested),
        "mask": partial(item.twin.write_mask, mask=item.changed),
        "image": item.picture.write,
    }


def sweep_items(root: Path) -> None:
    """Remove the half-written files of a run that was killed from a folder of items."""
    kinds = [k for split in ("test", "ground_truth") for k in (root / split).glob("*")]
    for folder in (root, *kinds, *(root / name for name in FOLDERS)):
        sweep(folder)


def failed_row(name: str, kind: str, facts: Mapping[str, Any], reason: str) -> dict[str, Any]:
    """Row of an item that failed; it has no files."""
    return _line(name, kind, "failed", (reason,), {}) | {**facts}


def _line(
    name: str, kind: str, outcome: str, reasons: Sequence[str], files: Mapping[str, str]
) -> dict[str, Any]:
    about = {"name": name, "type": kind, "outcome": outcome, "reasons": [*reasons]}
    return {**about, "files": {**files}}
