"""A folder of made items in MVTec AD layout, that can be added to and carried on.

test/<type>/<name>.png                 the part with its defect
ground_truth/<type>/<name>_mask.png    the exact mask of what changed
twin/<name>.png                        the same photograph without it
codes/<name>.safetensors               what the generator was driven by
manifest.jsonl                         a line for each item, written behind its files
contact_sheet.png                      the last items at a glance
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from blemish.checkpoint import save_tensors
from blemish.files import append_line, ensure_writable, read_lines
from blemish.pictures import grid, read_mask, read_picture, write_picture
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
        OutputError: The folder can't be written into.
    """

    def __init__(self, root: Path) -> None:
        ensure_writable(root)
        self.root = root
        self.manifest = root / "manifest.jsonl"

    def rows(self) -> list[dict[str, Any]]:
        """The manifest, an item a row, oldest first."""
        return [json.loads(line) for line in read_lines(self.manifest)]

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
        """Write an item's files, then its line: an item with a line is whole."""
        paths = self.paths(item.kind, item.name)
        for path in paths.values():
            ensure_writable((self.root / path).parent)
        write_picture(self.root / paths["image"], item.picture)
        write_picture(self.root / paths["mask"], item.changed)
        write_picture(self.root / paths["twin"], item.twin)
        write_picture(self.root / paths["requested"], item.requested)
        save_tensors(self.root / paths["codes"], _tensors(item.codes))
        files = {kind: path.as_posix() for kind, path in paths.items()}
        row = {"name": item.name, "type": item.kind, "files": files, **item.facts}
        append_line(self.manifest, json.dumps(row, ensure_ascii=False))
        return row

    def contact_sheet(self) -> Path:
        """Draw the last items: good, asked for, made, changed."""
        path = self.root / "contact_sheet.png"
        cells = [cell for row in self.rows()[-SHEET_ROWS:] for cell in self._cells(row)]
        write_picture(path, grid(cells, 8 if len(cells) > 16 else 4))
        return path

    def _cells(self, row: Mapping[str, Any]) -> list[UInt8[np.ndarray, "s s 3"]]:
        files = {kind: self.root / path for kind, path in row["files"].items()}
        pictures = [
            read_picture(files["twin"]),
            _grey(read_mask(files["requested"])),
            read_picture(files["image"]),
            _grey(read_mask(files["mask"])),
        ]
        side = (SHEET_SIDE, SHEET_SIDE)
        return [cv2.resize(p, side, interpolation=cv2.INTER_AREA) for p in pictures]


def _grey(mask: Bool[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    return np.repeat(mask[:, :, None].astype(np.uint8) * 255, 3, axis=2)


def _tensors(codes: Codes) -> dict[str, Any]:
    noise = {f"noise.{name}": map for name, map in (codes.noise or {}).items()}
    defect = {} if codes.w_defect is None else {"w_defect": codes.w_defect}
    return {"w": codes.w, **defect, **noise}
