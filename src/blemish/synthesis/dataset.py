"""A folder of made items in MVTec AD layout, that can be added to and carried on.

test/<type>/<name>.png                 the part with its defect
ground_truth/<type>/<name>_mask.png    the exact mask of what changed
twin/<name>.png                        the same photograph without it
requested/<name>.png                   the mask that was asked for
codes/<name>.safetensors               what the generator was driven by
manifest.jsonl                         a line for each item, written behind its files
contact_sheet.png                      the last items at a glance

An item in which nothing changed has a line, twin and codes, but no picture and no mask: they would
teach a detector that a good part is a bad one.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.checkpoint import save_codes
from blemish.errors import DataError
from blemish.files import append_line, ensure_writable, read_lines
from blemish.pictures import grid, read_picture, write_picture
from blemish.types import Codes

SHEET_ROWS = 12
SHEET_SIDE = 192


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthetic:
    """One made item.

    Attributes:
        name: Of its files.
        kind: Type of the defect.
        picture: The part with its defect.
        changed: Exactly the pixels in which `picture` and `twin` differ.
        twin: The untouched photograph.
        requested: The mask that was asked for.
        codes: Of this one item.
        facts: What the manifest says of it: seed, origin, options, scores.
    """

    name: str
    kind: str
    picture: UInt8[np.ndarray, "h w 3"]
    changed: Bool[np.ndarray, "h w"]
    twin: UInt8[np.ndarray, "h w 3"]
    requested: Bool[np.ndarray, "h w"]
    codes: Codes
    facts: Mapping[str, Any]


class Dataset:
    """The folder; items are known by name.

    Raises:
        DataError: It holds a manifest that is not of ours.
        OutputError: It can't be written into.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.manifest = root / "manifest.jsonl"
        self.rows()
        ensure_writable(root)

    def rows(self) -> list[dict[str, Any]]:
        """The manifest, an item a row, oldest first.

        Raises:
            DataError: A line of it is not of ours.
        """
        return [self._row(k, line) for k, line in enumerate(read_lines(self.manifest), 1)]

    def paths(self, kind: str, name: str) -> dict[str, Path]:
        """Where the files of an item are, relative to the folder."""
        return {
            "image": Path("test") / kind / f"{name}.png",
            "mask": Path("ground_truth") / kind / f"{name}_mask.png",
            "twin": Path("twin") / f"{name}.png",
            "requested": Path("requested") / f"{name}.png",
            "codes": Path("codes") / f"{name}.safetensors",
        }

    def add(self, item: Synthetic) -> dict[str, Any]:
        """Write an item's files, the picture last, then its line: an item with a line is whole."""
        paths = self.paths(item.kind, item.name)
        pictures = {"twin": item.twin, "requested": item.requested}
        if item.changed.any():
            pictures |= {"mask": item.changed, "image": item.picture}
        paths = {kind: path for kind, path in paths.items() if kind in (*pictures, "codes")}
        for path in paths.values():
            ensure_writable((self.root / path).parent)
        save_codes(self.root / paths["codes"], item.codes)
        for kind, picture in pictures.items():
            write_picture(self.root / paths[kind], picture)
        files = {kind: path.as_posix() for kind, path in paths.items()}
        row = {"name": item.name, "type": item.kind, "files": files, **item.facts}
        append_line(self.manifest, json.dumps(row))
        return row

    def contact_sheet(self) -> Path:
        """Draw the last items: good, asked for, made, changed; dark where a file is gone."""
        path = self.root / "contact_sheet.png"
        cells = [cell for row in self.rows()[-SHEET_ROWS:] for cell in self._cells(row)]
        write_picture(path, grid(cells, 8 if len(cells) > 16 else 4))
        return path

    def _cells(self, row: Mapping[str, Any]) -> list[UInt8[np.ndarray, "s s 3"]]:
        kinds = ("twin", "requested", "image", "mask")
        return [self._cell(row["files"].get(kind)) for kind in kinds]

    def _cell(self, path: str | None) -> UInt8[np.ndarray, "s s 3"]:
        if path is None or not (self.root / path).exists():
            return np.zeros((SHEET_SIDE, SHEET_SIDE, 3), np.uint8)
        picture = read_picture(self.root / path)
        return cv2.resize(picture, (SHEET_SIDE, SHEET_SIDE), interpolation=cv2.INTER_AREA)

    def _row(self, number: int, line: str) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            row = None
        if not isinstance(row, dict) or "name" not in row or "files" not in row:
            raise DataError(
                got=f"{self.manifest}, whose line {number} is no item's",
                expected="a manifest as Blemish wrote it",
                todo="Choose another folder for what is to be made.",
            )
        return row
