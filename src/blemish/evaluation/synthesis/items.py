"""What is compared: made items, and real defects that are held against them.

Both are read from folders as their users get them, in the layout of MVTec AD; where Blemish made
the items, its manifest says which were kept and where their good twins are. A manifest may come
from a stranger: types become names of files, so they must be plain, and no file outside the folder
is read.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.folder import DefectFolder
from blemish.errors import DataError
from blemish.manifest import MANIFEST, Row, file_of, read_rows
from blemish.pictures import read_mask, read_picture

KEPT = "kept"
MORE = ("twin", "requested")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A defect with its mask.

    Attributes:
        kind: Its type.
        image: Its picture's file.
        mask: Its mask's file.
        twin: The file of the same part without it; None where there is none.
        requested: The file of the mask that was asked for; None where nobody asked.
        reach_px: How far beyond that a pixel may change; None where nobody knows.
    """

    kind: str
    image: Path
    mask: Path
    twin: Path | None = None
    requested: Path | None = None
    reach_px: int | None = None

    def read(self) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
        """Picture and mask.

        Raises:
            DataError: One can't be read, they differ in size, or nothing is marked.
        """
        picture, mask = read_picture(self.image), read_mask(self.mask)
        if picture.shape[:2] != mask.shape or not mask.any():
            size = f"{mask.shape[1]} × {mask.shape[0]}"
            raise DataError(
                got=f"{self.mask}, a mask of {size} pixels with {mask.sum()} of them marked",
                expected=f"some marked, and the size of {self.image}",
                todo="Correct the mask, or leave the item out.",
            )
        return picture, mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What a folder holds.

    Attributes:
        items: Those that were kept, by type.
        outcomes: How many of each type were kept, refused, or failed; empty without a manifest.
        reasons: Why, how often, over all types.
    """

    items: dict[str, list[Item]]
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)


def read_made(root: Path) -> Made:
    """The made items of a folder.

    Of two lines under one name in its manifest the later counts, as for `blemish synthesize`.

    Raises:
        DataError: It holds none, or its manifest can't be understood.
    """
    manifest = root / MANIFEST
    made = _by_manifest(manifest) if manifest.is_file() else Made(items=_items(root))
    if not any(made.items.values()):
        why = "".join(f"; {reason}: {count}" for reason, count in made.reasons.items())
        raise DataError(
            got=f"{root}, in which no item was kept{why}",
            expected="a folder as 'blemish synthesize' or 'blemish batch' leaves it",
            todo="Name another folder, or make some items.",
        )
    return made


def read_real(root: Path, kinds: Sequence[str]) -> dict[str, list[Item]]:
    """Real defects of the same types, in the order of their names.

    Raises:
        DataError: The folder has none of these types, or a photograph of one has no mask.
    """
    _refuse_maskless(root, kinds)
    items = {kind: found for kind, found in _items(root).items() if kind in kinds}
    if not items:
        raise DataError(
            got=f"{root}, without any {' or '.join(kinds)}",
            expected="real defects of the types that were made",
            todo="Name a folder that has some.",
        )
    return items


def _refuse_maskless(root: Path, kinds: Sequence[str]) -> None:
    """Left out, it would move the others from one third into the next."""
    for p in DefectFolder(root).defects():
        if p.kind in kinds and p.mask_path is None:
            raise DataError(
                got=f"{p.path} without a mask",
                expected=f"one in ground_truth/{p.kind}/{p.path.stem}_mask.png",
                todo="Draw it, or move the photograph away.",
            )


def _items(root: Path) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for p in DefectFolder(root).defects():
        if p.mask_path is not None:
            item = Item(kind=p.kind, image=p.path, mask=p.mask_path)
            found.setdefault(p.kind, []).append(item)
    return found


def _by_manifest(manifest: Path) -> Made:
    items: dict[str, list[Item]] = {}
    outcomes: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for row in {row["name"]: row for row in read_rows(manifest)}.values():
        kind, outcome = row["type"], row["outcome"]
        outcomes.setdefault(kind, Counter())[outcome] += 1
        reasons.update(reason.split(":")[0] for reason in row["reasons"])
        if outcome == KEPT:
            items.setdefault(kind, []).append(_item(manifest, row))
    plain = {kind: dict(counts) for kind, counts in outcomes.items()}
    return Made(items=items, outcomes=plain, reasons=dict(reasons.most_common()))


def _item(manifest: Path, row: Row) -> Item:
    more = {kind: file_of(manifest, row, kind) for kind in MORE if kind in row["files"]}
    return Item(
        kind=row["type"],
        image=file_of(manifest, row, "image"),
        mask=file_of(manifest, row, "mask"),
        reach_px=row.get("scores", {}).get("reach_px"),
        **more,
    )
