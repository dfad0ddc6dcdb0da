"""Items that were kept, in folders as `blemish synthesize` writes them."""

import hashlib
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool

from blemish.checkpoint import Bundle
from blemish.data.pairs import read_mask
from blemish.errors import DataError
from blemish.files import alone, ensure_writable, write_atomically
from blemish.manifest import Row, file_of, read_rows, to_line
from blemish.originals import Original
from blemish.pictures import read_picture
from blemish.studio.drafts import Draft
from blemish.studio.photographs import Opened
from blemish.studio.placing import DraftPlacer, command_of
from blemish.studio.views import PREVIEW_SIDE, THUMBNAIL, jpeg, preview_around, reduced
from blemish.synthesis.dataset import Dataset
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.synthesize import add_item

KEPT, DISCARDED = "kept", "discarded"
KEPT_SMALL = 1024


class Collection:
    """Sets of items: those that were kept, those that were discarded, and the runs'.

    Args:
        out: Folder of the studio.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.small = OrderedDict[tuple[str, str, str], bytes]()

    def sets(self) -> list[dict[str, Any]]:
        """Names of the sets, with their numbers of items and of those that are kept."""
        runs = sorted(path.parent.name for path in self.out.glob("runs/*/manifest.jsonl"))
        names = [KEPT, *(f"runs/{name}" for name in runs)]
        return [self._counted(name) for name in names]

    def _counted(self, name: str) -> dict[str, Any]:
        rows = self.rows(name)
        kept = sum(row["outcome"] == "kept" for row in rows)
        return {"name": name, "items": len(rows), "kept": kept}

    def folder(self, name: str) -> Path:
        """Folder of a set.

        Raises:
            DataError: There is no such set.
        """
        if name in (KEPT, DISCARDED):
            return self.out / name
        runs = {f"runs/{path.name}": path for path in self.out.glob("runs/*")}
        if name not in runs:
            raise _unknown("set", name)
        return runs[name]

    def rows(self, name: str) -> list[Row]:
        """Rows of a set, oldest first; the last of several with one name counts."""
        found = {row["name"]: row for row in read_rows(self.folder(name) / "manifest.jsonl")}
        return [*found.values()]

    def keep(self, placer: DraftPlacer, opened: Opened, draft: Draft) -> Row:
        """Make an item and add it to those that are kept, with the files of its masks.

        Raises:
            UserError: As in `DraftPlacer.order`, or the folder can't be written to.
        """
        folder = self.folder(KEPT)
        drawn = [one.mask.mask(*opened.size) for one in draft.defects]
        masks = [write_mask(folder / "drawn", opened, mask) for mask in drawn]
        made = placer.make(opened, draft, masks)
        with alone(folder):
            dataset = Dataset(folder)
            known = {row["name"]: row for row in dataset.rows()}
            return known[made.name] if made.name in known else add_item(dataset, made)

    def move(self, item: str, source: str, target: str) -> None:
        """Move an item's files and its row to another set: discard it, or take it back.

        Raises:
            DataError: There is no such item.
        """
        start, end = self.folder(source), self.folder(target)
        row = self.row(source, item)
        ensure_writable(end)
        with alone(start), alone(end):
            for name in filter(lambda name: (start / name).is_file(), row["files"].values()):
                ensure_writable((end / name).parent)
                (start / name).replace(end / name)
            Dataset(end).append(row)
            left = [one for one in self.rows(source) if one["name"] != item]
            lines = "".join(f"{to_line(one)}\n" for one in left)
            write_atomically(start / "manifest.jsonl", lines.encode())

    def row(self, name: str, item: str) -> Row:
        """Row of an item.

        Raises:
            DataError: There is no such item.
        """
        found = next((row for row in self.rows(name) if row["name"] == item), None)
        if found is None:
            raise _unknown("item", item)
        return found

    def page(
        self, name: str, first: int, count: int, bundles: dict[str, Bundle]
    ) -> list[dict[str, Any]]:
        """What a gallery shows of items, the newest first."""
        rows = self.rows(name)[::-1][first : first + count]
        return [self._about(name, row, bundles) for row in rows]

    def picture(self, name: str, item: str, kind: str) -> bytes:
        """A picture of an item as a JPEG.

        Args:
            name: Set.
            item: Item.
            kind: closeup, or image, mask, twin or requested at the size of a preview.

        Raises:
            DataError: There is no such picture.
        """
        key = name, item, kind
        if key not in self.small:
            self.small[key] = self._picture(name, self.row(name, item), kind)
        while len(self.small) > KEPT_SMALL:
            self.small.popitem(last=False)
        return self.small[key]

    def _picture(self, name: str, row: Row, kind: str) -> bytes:
        manifest = self.folder(name) / "manifest.jsonl"
        if kind != "closeup":
            return jpeg(reduced(read_picture(file_of(manifest, row, kind)), PREVIEW_SIDE))
        picture = read_picture(file_of(manifest, row, "image"))
        mask = read_mask(file_of(manifest, row, "mask"))
        return jpeg(reduced(preview_around(picture, mask), 2 * THUMBNAIL), 88)

    def _about(self, name: str, row: Row, bundles: dict[str, Bundle]) -> dict[str, Any]:
        known = ("name", "type", "outcome", "reasons", "seed", "strength", "scores")
        about = {key: row[key] for key in known if key in row}
        shown = "image" in row["files"]
        command = command_of(row, self.folder(name), bundles) if name == KEPT else None
        return {**about, "photograph": Path(row["normal"]).name, "shown": shown, "command": command}


def write_mask(folder: Path, opened: Opened, mask: Bool[np.ndarray, "h w"]) -> Path:
    """File of a painted mask in a folder, named by its content."""
    levels = mask.astype(np.uint8) * np.uint8(255)
    data = Original(levels=levels, orientation=opened.original.orientation).encoded()
    digest = hashlib.sha256(data).hexdigest()[:10]
    file = folder / f"{plain_stem(opened.path, None)}_{digest}.png"
    if not file.is_file():
        ensure_writable(folder)
        write_atomically(file, data)
    return file


def _unknown(what: str, name: str) -> DataError:
    return DataError(
        got=f"the {what} '{name[:80]}'", expected="one that exists", todo="Reload the page."
    )
