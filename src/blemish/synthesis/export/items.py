"""What `blemish synthesize` made, as an export takes it: checked, in order, split by photograph.

A folder of made items is read, never written to. Its manifest may come from a stranger: names that
become files elsewhere must be plain, and no file outside the folder is read.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from blemish.errors import DataError, OptionError
from blemish.files import check_name
from blemish.manifest import MANIFEST, NOTHING_CHANGED, Row, file_of, read_rows
from blemish.originals import read_original

Split = Literal["train", "val"]
DESCRIBED = ("seed", "normal", "options", "scores")
Content = Path | bytes  # of a file of an export: the picture to copy, or what to write


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One made item that was kept.

    Attributes:
        name: Of its files.
        kind: Type of the defect.
        image: The picture's file.
        mask: That of what changed.
        twin: That of the untouched photograph.
        size: Height and width in pixels, upright.
        turned: Those of its files that carry an EXIF orientation.
        photograph: SHA-256 of the twin's pixels; items on one photograph share it.
        facts: The manifest's line.
        split: Where it goes.
    """

    name: str
    kind: str
    image: Path
    mask: Path
    twin: Path
    size: tuple[int, int]
    turned: frozenset[Path]
    photograph: str
    facts: Mapping[str, Any]
    split: Split = "train"

    @property
    def file(self) -> str:
        """Name of its picture where all types share a folder."""
        return f"{self.name}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The items of a folder by name.

    Attributes:
        items: Those that are exported.
        unchanged: Number of items that are not, because nothing changed in them.
        refused: Number of items that were refused for other reasons.
        failed: Number of items that could not be made.
        unfit: Items that can't be exported, by name, each with the reason.
        classes: The types in the order in which they are numbered; see `classes`.
    """

    items: tuple[Item, ...]
    unchanged: int
    refused: int = 0
    failed: int = 0
    unfit: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """The types of their defects, sorted."""
        return tuple(sorted({item.kind for item in self.items}))


def read_items(
    root: Path, *, doubtful: bool = False, tell: Callable[[float], None] = lambda _: None
) -> Items:
    """Read and check a folder that `blemish synthesize` wrote.

    Of two lines under one name the later counts, as for `synthesize`. An item that can't be
    exported (a file of it is gone, torn or of another size, its mask is empty, its name is no
    plain one) is left out.

    Args:
        root: The folder.
        doubtful: Take what curation refused too, as far as it has its picture.
        tell: Called behind each item with the share of them that is read.

    Raises:
        DataError: The folder or its manifest is missing, a line of it is damaged, or there is no
            item that can be exported.
    """
    rows = _rows(root)
    given = [row for _, row in sorted(rows.items()) if _is_wanted(row, doubtful)]
    if not given:
        raise _not_made(f"{root}, of whose {len(rows)} items none was kept")
    items, unfit = [], {}
    for index, row in enumerate(given, 1):
        try:
            items.append(_item(root, row))
        except DataError as error:
            unfit[row["name"]] = error.got
        tell(index / len(given))
    if not items:
        first = next(iter(unfit.values()))
        raise _not_made(f"{root}, without an item that can be exported; the first: {first}")
    counts = Counter(map(_outcome, rows.values()))
    failed, unchanged = counts["failed"], counts[NOTHING_CHANGED]
    found = Items(
        items=tuple(items),
        unchanged=unchanged,
        refused=len(rows) - len(given) - failed - unchanged,
        failed=failed,
        unfit=unfit,
    )
    return replace(found, classes=found.kinds)


def hold_out(items: Items, share: float) -> Items:
    """Keep a share of the photographs apart, with all the items on them.

    Which ones depends on their pixels alone. At least one stays on each side.

    Args:
        items: All in the training split.
        share: Of the photographs, in [0, 1); 0 keeps none apart.

    Raises:
        OptionError: The share is out of range, or there is one photograph only.
    """
    if not 0 <= share < 1:
        expected, todo = "0 or more and less than 1", "Hold out 0.2, say."
        raise OptionError(got=f"the share {share} to hold out", expected=expected, todo=todo)
    if not share:
        return items
    photographs = sorted({item.photograph for item in items.items})
    if len(photographs) == 1:
        raise OptionError(
            got=f"the share {share} to hold out of items on one photograph",
            expected="two photographs at least, since a part may not be on both sides",
            todo="Leave --hold-out away, or make items on another photograph.",
        )
    count = min(max(round(share * len(photographs)), 1), len(photographs) - 1)
    apart = {*photographs[:count]}
    split = [replace(k, split="val") if k.photograph in apart else k for k in items.items]
    return replace(items, items=tuple(split))


def photographs(items: Sequence[Item]) -> list[Item]:
    """The first item on each photograph."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.photograph, item)
    return [*first.values()]


def _rows(root: Path) -> dict[str, Row]:
    """The manifest's rows by name; of two under one name the later counts."""
    rows = {row["name"]: row for row in read_rows(root / MANIFEST)}
    if not rows:
        raise _not_made(f"{root}, which holds no manifest.jsonl with items")
    return rows


def _outcome(row: Row) -> str:
    return NOTHING_CHANGED if NOTHING_CHANGED in row["reasons"] else row["outcome"]


def _is_wanted(row: Row, doubtful: bool) -> bool:
    doubted = _outcome(row) == "refused" and {"image", "mask"} <= {*row["files"]}
    return _outcome(row) == "kept" or (doubtful and doubted)


def _refuse_undescribed(row: Row) -> None:
    """The names of its files elsewhere, and what its card and its lists say."""
    check_name(row["name"], "the item's name")
    lacking = [key for key in DESCRIBED if key not in row]
    if lacking:
        raise DataError(
            got=f"the item {row['name']!r} whose line has no {' and no '.join(lacking)}",
            expected="a line as Blemish wrote it",
            todo="Restore the line.",
        )


def _item(root: Path, row: Row) -> Item:
    _refuse_undescribed(row)
    paths = {kind: file_of(root / MANIFEST, row, kind) for kind in ("image", "mask", "twin")}
    originals = {path: read_original(path) for path in paths.values()}
    image, mask, twin = paths.values()
    changed, photograph = originals[mask].mask, originals[twin].picture
    if len({original.levels.shape[:2] for original in originals.values()}) > 1:
        expected, todo = "one size", "Export the folder as 'blemish synthesize' left it."
        got = f"{image} with a mask or a twin of another size"
        raise DataError(got=got, expected=expected, todo=todo)
    if not changed.any():
        todo = "Bring the mask back, or take the item's line out of manifest.jsonl."
        raise DataError(got=f"{mask}, an empty mask", expected="a defect in it", todo=todo)
    return Item(
        name=row["name"],
        kind=row["type"],
        image=image,
        mask=mask,
        twin=twin,
        size=changed.shape,
        turned=frozenset(path for path, found in originals.items() if found.orientation != 1),
        photograph=_digest(photograph),
        facts=row,
    )


def _digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    total = hashlib.sha256(repr(picture.shape).encode())
    total.update(picture.tobytes())
    return total.hexdigest()


def _not_made(got: str) -> DataError:
    return DataError(
        got=got,
        expected="a folder that 'blemish synthesize' wrote, with defects in it",
        todo="Name that folder, or make some items.",
    )
