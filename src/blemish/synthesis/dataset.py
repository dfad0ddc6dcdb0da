"""A folder of made items in MVTec AD layout, that can be added to and carried on.

test/<type>/<name>.png                 the part with its defect
ground_truth/<type>/<name>_mask.png    the exact mask of what changed
twin/<name>.png                        the same photograph without it
requested/<name>.png                   the mask that was asked for
codes/<name>.safetensors               what the generator was driven by
manifest.jsonl                         a line for each item, written behind its files
contact_sheet.png                      the last items at a glance

Pictures and masks lie in their files as the photograph does in its own, at its depth and in its
mode. A line's outcome is "kept", "refused" or "failed", with the reasons; lines of older releases
have none and were kept. An item in which nothing changed is refused, and has twin and codes, but no
picture and no mask: they would teach a detector that a good part is a bad one. What failed has a
line alone.
"""

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.checkpoint import save_codes
from blemish.errors import DataError
from blemish.files import check_name, ensure_writable
from blemish.manifest import MANIFEST, NOTHING_CHANGED, Row, append_row, file_of, read_rows
from blemish.originals import Original
from blemish.pictures import grid, read_picture, write_picture
from blemish.types import Codes

SHEET_ROWS = 12
SHEET_SIDE = 192

_TEMPORARY = re.compile(r"\.\d+\..+")  # as `files.replacing` names it


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """One made item.

    Attributes:
        name: Of its files.
        kind: Type of the defect.
        picture: The part with its defect.
        changed: Exactly the pixels in which `picture` and `twin` differ, upright.
        twin: The untouched photograph.
        requested: The mask that was asked for, upright.
        codes: Codes of this one item; None if it was made without a generator.
        facts: What the manifest says of it: seed, origin, options, scores.
        reasons: Why it should not be trained on; empty where nothing speaks against it.
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


class Dataset:
    """The folder; items are known by name.

    To go through it is to go through the rows of its manifest, oldest first, as they are read.

    Raises:
        DataError: It holds a manifest that is not of ours.
        OutputError: It can't be written into.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / MANIFEST
        deque(self, maxlen=0)  # whatever is not of ours is told now
        ensure_writable(root)

    def __iter__(self) -> Iterator[Row]:
        return read_rows(self.manifest)

    def rows(self) -> list[Row]:
        """The manifest, an item a row, oldest first.

        Raises:
            DataError: A line of it is not of ours.
        """
        return [*self]

    def paths(self, kind: str, name: str) -> dict[str, Path]:
        """Where the files of an item are, relative to the folder.

        Raises:
            DataError: The type or the name can't be a part of a path.
        """
        check_name(kind, "the defect type"), check_name(name, "the item's name")
        return {
            "image": Path("test") / kind / f"{name}.png",
            "mask": Path("ground_truth") / kind / f"{name}_mask.png",
            "twin": Path("twin") / f"{name}.png",
            "requested": Path("requested") / f"{name}.png",
            "codes": Path("codes") / f"{name}.safetensors",
        }

    def add(self, item: Synthetic, *, keep_all: bool = True) -> dict[str, Any]:
        """Write an item's files, then its line: an item with a line is whole.

        Args:
            item: What was made.
            keep_all: Write the picture and the mask of a refused item too, if anything changed.
        """
        row = self.write(item, keep_all=keep_all)
        self.append(row)
        return row

    def write(self, item: Synthetic, *, keep_all: bool = True) -> dict[str, Any]:
        """Write an item's files, the picture last; several processes may do so at once.

        Returns:
            The item's line, for `append`.
        """
        unchanged = () if item.changed.any() else (NOTHING_CHANGED,)
        reasons = (*item.reasons, *unchanged)
        writers = _writers(item)
        paths = {k: v for k, v in self.paths(item.kind, item.name).items() if k in writers}
        if unchanged or (reasons and not keep_all):
            for kind in ("image", "mask"):  # an earlier run may have kept them
                (self.root / paths.pop(kind)).unlink(missing_ok=True)
        paths = {kind: path for kind, path in paths.items() if kind in writers}
        for kind in (kind for kind in writers if kind in paths):
            ensure_writable((self.root / paths[kind]).parent)
            writers[kind](self.root / paths[kind])
        files = {kind: path.as_posix() for kind, path in paths.items()}
        outcome = "refused" if reasons else "kept"
        return _line(item.name, item.kind, outcome, reasons, files) | {**item.facts}

    def fail(self, name: str, kind: str, facts: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """Add a line that says why an item could not be made; it has no files."""
        row = _line(name, kind, "failed", (reason,), {}) | {**facts}
        self.append(row)
        return row

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line behind its files; only one process may."""
        append_row(self.manifest, row)

    def sweep(self) -> None:
        """Remove the half-written files of a run that was killed; none other may be writing now."""
        for path in self.root.rglob(".*"):
            if _TEMPORARY.fullmatch(path.name) and path.is_file():
                with suppress(OSError):  # one that may not be removed is in nobody's way
                    path.unlink(missing_ok=True)

    def contact_sheet(self) -> Path:
        """Draw the last items: good, asked for, made, changed; dark where a file is gone."""
        path = self.root / "contact_sheet.png"
        last = deque((row for row in self if row["files"]), maxlen=SHEET_ROWS)
        cells = [cell for row in last or [{"name": "", "files": {}}] for cell in self._cells(row)]
        write_picture(path, grid(cells, 8 if len(cells) > 16 else 4))
        return path

    def _cells(self, row: Row) -> list[UInt8[np.ndarray, "s s 3"]]:
        kinds = ("twin", "requested", "image", "mask")
        return [self._cell(row, kind) for kind in kinds]

    def _cell(self, row: Row, kind: str) -> UInt8[np.ndarray, "s s 3"]:
        try:
            path = file_of(self.manifest, row, kind)
        except DataError:
            return np.zeros((SHEET_SIDE, SHEET_SIDE, 3), np.uint8)
        picture = read_picture(path)
        return cv2.resize(picture, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA)


def _writers(item: Synthetic) -> dict[str, Callable[[Path], None]]:
    """In the order in which files are written."""
    codes = {} if item.codes is None else {"codes": partial(save_codes, codes=item.codes)}
    return {
        **codes,
        "twin": item.twin.write,
        "requested": partial(item.twin.write_mask, mask=item.requested),
        "mask": partial(item.twin.write_mask, mask=item.changed),
        "image": item.picture.write,
    }


def _line(
    name: str, kind: str, outcome: str, reasons: Sequence[str], files: Mapping[str, str]
) -> dict[str, Any]:
    about = {"name": name, "type": kind, "outcome": outcome, "reasons": [*reasons]}
    return {**about, "files": {**files}}
