"""Items of `blemish synthesize` for an export: checked, in order, split by photograph.

A folder of items is read and never written to. Its manifest may come from a stranger: names that
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

from blemish.data.pairs import read_mask
from blemish.decode import header
from blemish.errors import DataError, OptionError
from blemish.files import check_name
from blemish.manifest import MANIFEST, NOTHING_CHANGED, Row, read_rows
from blemish.originals import read_original
from blemish.pictures import read_picture
from blemish.stores.reading import stored_file

Split = Literal["train", "val"]
DESCRIBED = ("seed", "normal", "options", "scores")
Content = Path | bytes  # of an exported file: the image to copy, or the content to write


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportItem:
    """Kept synthetic item.

    Attributes:
        name: Name of its files.
        kind: Type of the defect.
        image: File of the image.
        mask: File of the mask of changed pixels.
        twin: File of the untouched photograph.
        size: Height and width in pixels, upright.
        turned: Its files with an EXIF orientation.
        photograph: SHA-256 of the twin's pixels; items on one photograph share it.
        facts: Line of the manifest.
        split: Split of the item.
        classes: File of the numbers of its types, if it has several; the manifest names them.
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
    classes: Path | None = None

    @property
    def file(self) -> str:
        """Name of its image in a folder that all types share."""
        return f"{self.name}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of a folder, by name.

    Attributes:
        items: Exported items.
        unchanged: Number of items without a change.
        refused: Number of items refused for other reasons.
        failed: Number of failed items.
        unfit: Items that can't be exported, by name, each with the reason.
        classes: Types in their order of numbers; see `classes`.
    """

    items: tuple[ExportItem, ...]
    unchanged: int
    refused: int = 0
    failed: int = 0
    unfit: Mapping[str, str] = field(default_factory=dict)
    classes: tuple[str, ...] = ()

    @property
    def kinds(self) -> tuple[str, ...]:
        """Types of their defects, sorted."""
        return tuple(sorted({item.kind for item in self.items}))


def read_items(
    root: Path, *, doubtful: bool = False, on_progress: Callable[[float], None] = lambda _: None
) -> Items:
    """Read and check a folder of `blemish synthesize`.

    If two lines have the same name, the later one counts, as for `synthesize`. An item that can't
    be exported is left out: if one of its files is missing, damaged or of another size, its mask is
    empty, or its name is not plain.

    Args:
        root: Folder of the items.
        doubtful: Include items that curation refused, if they have an image.
        on_progress: Callback after each item, called with the finished fraction.

    Raises:
        DataError: The folder or its manifest is missing, a line is damaged, or no item can be
            exported.
    """
    rows = _rows(root)
    given = [row for _, row in sorted(rows.items()) if _is_wanted(row, doubtful)]
    if not given:
        raise _not_made(f"{root}, whose {len(rows)} items were all refused or failed")
    items, unfit = [], {}
    for index, row in enumerate(given, 1):
        try:
            items.append(_item(root, row))
        except DataError as error:
            unfit[row["name"]] = error.got
        on_progress(index / len(given))
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
    """Hold out a fraction of the photographs, with all items on them.

    The choice depends only on their pixels. At least one photograph stays on each side.

    Args:
        items: Items, all in the training split.
        share: Fraction of the photographs, in [0, 1); 0 holds out none.

    Raises:
        OptionError: The fraction is out of range, or there is only one photograph.
    """
    if not 0 <= share < 1:
        expected, todo = "0 or more and less than 1", "Hold out 0.2, for example."
        raise OptionError(got=f"the fraction {share} to hold out", expected=expected, todo=todo)
    if not share:
        return items
    photographs = sorted({item.photograph for item in items.items})
    if len(photographs) == 1:
        raise OptionError(
            got=f"the fraction {share} to hold out of items on one photograph",
            expected="at least two photographs, because a part must not be on both sides",
            todo="Leave --hold-out out, or make items on another photograph.",
        )
    count = min(max(round(share * len(photographs)), 1), len(photographs) - 1)
    apart = {*photographs[:count]}
    split = [replace(k, split="val") if k.photograph in apart else k for k in items.items]
    return replace(items, items=tuple(split))


def photographs(items: Sequence[ExportItem]) -> list[ExportItem]:
    """First item on each photograph."""
    first: dict[str, ExportItem] = {}
    for item in items:
        first.setdefault(item.photograph, item)
    return [*first.values()]


def _rows(root: Path) -> dict[str, Row]:
    """Rows of the manifest by name; of two with the same name the later one counts."""
    rows = {row["name"]: row for row in read_rows(root / MANIFEST)}
    if not rows:
        raise _not_made(f"{root}, which has no manifest.jsonl with items")
    return rows


def _outcome(row: Row) -> str:
    return NOTHING_CHANGED if NOTHING_CHANGED in row["reasons"] else row["outcome"]


def _is_wanted(row: Row, doubtful: bool) -> bool:
    doubted = _outcome(row) == "refused" and {"image", "mask"} <= {*row["files"]}
    return _outcome(row) == "kept" or (doubtful and doubted)


def _refuse_undescribed(row: Row) -> None:
    """Names of an item's exported files, and its entries in card and lists."""
    check_name(row["name"], "the item's name")
    lacking = [key for key in DESCRIBED if key not in row]
    if lacking:
        raise DataError(
            got=f"the item {row['name']!r} whose line has no {' and no '.join(lacking)}",
            expected="a line written by Blemish",
            todo="Restore the line.",
        )


def _item(root: Path, row: Row) -> ExportItem:
    _refuse_undescribed(row)
    paths = {kind: stored_file(root / MANIFEST, row, kind) for kind in ("image", "mask", "twin")}
    image, mask, twin = paths.values()
    classes = stored_file(root / MANIFEST, row, "classes") if "classes" in row["files"] else None
    headers = {path: header(path) for path in paths.values()}
    if len({(found.width, found.height) for found in headers.values()}) > 1:
        expected, todo = "one size", "Export the folder as 'blemish synthesize' wrote it."
        got = f"{image} with a mask or a twin of another size"
        raise DataError(got=got, expected=expected, todo=todo)
    read_picture(image)  # a damaged file is named here
    changed, photograph = read_mask(mask), read_original(twin).picture
    if not changed.any():
        todo = "Restore the mask, or remove the item's line from manifest.jsonl."
        raise DataError(got=f"{mask}, an empty mask", expected="a defect in it", todo=todo)
    return ExportItem(
        name=row["name"],
        kind=row["type"],
        image=image,
        mask=mask,
        twin=twin,
        size=changed.shape,
        turned=frozenset(path for path, found in headers.items() if found.orientation != 1),
        photograph=_digest(photograph),
        facts=row,
        classes=classes,
    )


def _digest(picture: UInt8[np.ndarray, "h w 3"]) -> str:
    total = hashlib.sha256(repr(picture.shape).encode())
    total.update(picture.tobytes())
    return total.hexdigest()


def _not_made(got: str) -> DataError:
    return DataError(
        got=got,
        expected="a folder written by 'blemish synthesize', with defects in it",
        todo="Give that folder, or make some items.",
    )
