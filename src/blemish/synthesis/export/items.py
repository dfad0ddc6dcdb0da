"""Items of `blemish synthesize` for an export: checked, in order, split by photograph.

A folder of items is read and never written to. Its manifest may come from a stranger: names that
become files elsewhere must be plain, and no file outside the folder is read.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from blemish.errors import DataError, OptionError
from blemish.files import read_lines
from blemish.originals import read_original
from blemish.synthesis.dataset import NOTHING_CHANGED

Split = Literal["train", "val"]
Content = Path | bytes  # of an exported file: the image to copy, or the content to write


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
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
        """Name of its image in a folder that all types share."""
        return f"{self.name}.png"


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """Items of a folder, by name.

    Attributes:
        items: Kept items.
        unchanged: Number of items without a change.
        refused: Number of items refused for other reasons.
        failed: Number of failed items.
    """

    items: tuple[Item, ...]
    unchanged: int
    refused: int = 0
    failed: int = 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Defect types, sorted; a type's position is its number in every format."""
        return tuple(sorted({item.kind for item in self.items}))


def read_items(root: Path, *, tell: Callable[[float], None] = lambda _: None) -> Items:
    """Read and check a folder of `blemish synthesize`.

    If two lines have the same name, the later one counts, as for `synthesize`.

    Args:
        root: Folder of the items.
        tell: Callback after each item, called with the finished fraction.

    Raises:
        DataError: The folder or its manifest is missing, has no kept item, or was not written by
            Blemish; or one of its files is missing, broken or of another size than its image.
    """
    rows = {row["name"]: row for row in _rows(root)}
    given = [row for _, row in sorted(rows.items()) if _outcome(row) == "kept"]
    if not given:
        raise _not_made(f"{root}, whose {len(rows)} items were all refused or failed")
    items = []
    for index, row in enumerate(given, 1):
        items.append(_item(root, row))
        tell(index / len(given))
    counts = Counter(map(_outcome, rows.values()))
    failed, unchanged = counts["failed"], counts[NOTHING_CHANGED]
    refused = len(rows) - len(given) - failed - unchanged
    return Items(items=tuple(items), unchanged=unchanged, refused=refused, failed=failed)


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


def photographs(items: Sequence[Item]) -> list[Item]:
    """First item on each photograph."""
    first: dict[str, Item] = {}
    for item in items:
        first.setdefault(item.photograph, item)
    return [*first.values()]


def _rows(root: Path) -> list[dict[str, Any]]:
    lines = read_lines(root / "manifest.jsonl")
    if not lines:
        raise _not_made(f"{root}, which has no manifest.jsonl with items")
    return [_row(root, number, line) for number, line in enumerate(lines, 1)]


def _row(root: Path, number: int, line: str) -> dict[str, Any]:
    with suppress(ValueError, LookupError, TypeError, AttributeError, RecursionError):
        row = json.loads(line)
        if _is_item(row):
            return row
    raise _not_made(f"{root / 'manifest.jsonl'}: line {number} is not a valid item record")


def _outcome(row: Mapping[str, Any]) -> str:
    """Older manifests have no outcome; there, an item without an image did not change."""
    outcome = row.get("outcome", "kept" if "image" in row["files"] else NOTHING_CHANGED)
    return NOTHING_CHANGED if NOTHING_CHANGED in row.get("reasons", ()) else outcome


def _is_item(row: Any) -> bool:
    return _is_line(row) and (_outcome(row) != "kept" or _is_described(row))


def _is_line(row: Any) -> bool:
    words = (row.get("outcome", ""), *row.get("reasons", ()), *row["files"].values())
    return (
        _is_plain(row["name"])
        and _is_plain(row["type"])
        and all(isinstance(word, str) for word in words)
    )


def _is_described(row: Any) -> bool:
    words = (row["normal"], row["bundle"]["name"], row["bundle"]["digest"])
    numbers = (row["seed"], *row["scores"].values())
    return (
        isinstance(row["options"], dict)
        and all(isinstance(word, str) for word in words)
        and all(isinstance(number, int | float) for number in numbers)
    )


def _is_plain(name: object) -> bool:
    """Whether a name is a single visible path component on every system."""
    return (
        isinstance(name, str)
        and name.isprintable()
        and not name.startswith(".")
        and bool(name)
        and not {"/", "\\", ":"} & {*name}
    )


def _item(root: Path, row: Mapping[str, Any]) -> Item:
    paths = {kind: _file(root, row, kind) for kind in ("image", "mask", "twin")}
    originals = {path: read_original(path) for path in paths.values()}
    image, mask, twin = paths.values()
    changed, photograph = originals[mask].mask, originals[twin].picture
    if len({original.levels.shape[:2] for original in originals.values()}) > 1:
        expected, todo = "one size", "Export the folder as 'blemish synthesize' wrote it."
        got = f"{image} with a mask or a twin of another size"
        raise DataError(got=got, expected=expected, todo=todo)
    if not changed.any():
        todo = "Restore the mask, or remove the item's line from manifest.jsonl."
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


def _file(root: Path, row: Mapping[str, Any], kind: str) -> Path:
    named = row["files"].get(kind)
    path = root / str(named)
    if named is None or not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            got=f"{root}, where the {kind} of item '{row['name']}' is missing ({named})",
            expected="every file that manifest.jsonl names",
            todo="Restore it, or remove the item's line from manifest.jsonl.",
        )
    return path


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
