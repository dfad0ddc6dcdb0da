"""Records of synthetic items in `manifest.jsonl`, one line of JSON per item.

A line is added after the item's files, so an item with a line is complete; a last line without its
newline was interrupted and is left out. If two lines have the same name, the later one counts. A
manifest may come from a stranger: every value of a line is checked, and each file before it is
read.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from blemish.errors import DataError
from blemish.files import append_line, check_name
from blemish.names import ItemOutcome

MANIFEST = "manifest.jsonl"
NOTHING_CHANGED = "nothing changed"

# Line of a manifest: the keys of `SCHEMA`, and keys of later releases.
Row = dict[str, Any]


def _word(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


def _whole(value: Any) -> bool:
    return isinstance(value, int)


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(map(_word, value))


def _files(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_inside, value.values()))


def _inside(path: Any) -> bool:
    """Whether a path is relative and never leaves its start."""
    steps = path.replace("\\", "/").split("/") if isinstance(path, str) else [""]
    return not {"", ".."} & {*steps} and "\0" not in path and not Path(path).is_absolute()


def _bundle(value: Any) -> bool:
    named = isinstance(value, dict) and _word(value.get("name")) and _word(value.get("digest"))
    return value is None or named


def _scores(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and all(map(_number, value.values()))
        and _whole(value.get("reach_px", 0))
    )


def _defects(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(one, dict) and _word(one.get("type")) and _whole(one.get("seed"))
        for one in value
    )


def _classes(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_word, value.values()))


# Content of each key:
SCHEMA: dict[str, Callable[[Any], bool]] = {
    "name": _word,  # name of the item's files
    "type": _word,  # type of the defect
    "outcome": lambda value: value in get_args(ItemOutcome),
    "reasons": _words,  # reasons why the item is not kept, or is doubtful
    "files": _files,  # image, mask, twin, requested, codes and classes, relative to the folder
    "seed": _whole,
    "strength": _number,
    "normal": _word,  # file of the photograph
    "requested": lambda value: value is None or _word(value),  # file of the mask
    "photograph": _word,  # digest of its pixels
    "fingerprint": _word,  # fingerprint of the change, to find duplicates
    "bundle": _bundle,  # name and digest of the bundle that made the item
    "options": lambda value: isinstance(value, dict),
    "scores": _scores,
    "defects": _defects,  # of an item with several: type, seed and requested mask of each
    "classes": _classes,  # type of each number in the file "classes"
    "index": _whole,  # index among the items of a recipe
    "duplicate_of": _word,
}
REQUIRED = ("name", "type", "files")


def read_rows(manifest: Path) -> Iterator[Row]:
    """Lines of a manifest, oldest first, one in memory at a time; none without a file.

    Lines of older releases have no outcome: their items were kept, except those without an image,
    in which nothing changed.

    Args:
        manifest: File of the manifest.

    Yields:
        Rows that fit `SCHEMA`: name, type, outcome, reasons and files are always there.

    Raises:
        DataError: A line is not a valid record; the message names the file and the line.
    """
    if not manifest.exists():
        return
    with manifest.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n"):
                yield _row(manifest, number, line)


def append_row(manifest: Path, row: Mapping[str, Any]) -> None:
    """Add a line; only one process may do so.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    append_line(manifest, to_line(row))


def to_line(row: Mapping[str, Any]) -> str:
    """A row as a line of a manifest, without its newline; a row that was read gives its line."""
    return json.dumps(row)


def file_of(manifest: Path, row: Mapping[str, Any], kind: str) -> Path:
    """File of an item, which must be in the manifest's folder.

    Args:
        manifest: Manifest of the row.
        row: Row of `read_rows`.
        kind: image, mask, twin, requested, codes or classes.

    Raises:
        DataError: The row names no such file, it is missing, or a link leads out of the folder.
    """
    root, named = manifest.parent, row["files"].get(kind)
    path = root / str(named)
    if named is None or not path.is_file():
        raise _lost(root, row, kind, f"is gone ({named})")
    if not path.resolve().is_relative_to(root.resolve()):
        raise _lost(root, row, kind, f"lies outside it: {named} leads to {path.resolve()}")
    return path


def _row(manifest: Path, number: int, line: bytes) -> Row:
    row = _parsed(line)
    wrong = _complaint(row)
    if wrong is not None:
        raise DataError(
            got=f"{manifest}, whose line {number} is not a valid item record: {wrong}",
            expected="a manifest written by Blemish",
            todo="Restore the line, or choose another folder.",
        )
    check_name(row["type"], f"{manifest}, whose line {number} has the type")
    return row


def _parsed(line: bytes) -> Any:
    try:
        row = json.loads(line, parse_int=_bounded)
        if b"\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError):
        return None
    if isinstance(row, dict) and isinstance(row.get("files"), dict) and "outcome" not in row:
        kept = "image" in row["files"]
        reasons = [] if kept else [NOTHING_CHANGED]
        row = {**row, "outcome": "kept" if kept else "refused", "reasons": reasons}
    return {**row, "reasons": row.get("reasons", [])} if isinstance(row, dict) else row


def _bounded(digits: str) -> int:
    """A whole number of 64 bits; larger ones are none of ours, and can't become floats."""
    value = int(digits)
    if not -(2**63) <= value < 2**64:
        raise ValueError(f"{digits[:20]}… has more than 64 bits")
    return value


def _complaint(row: Any) -> str | None:
    """Problem of a line, or None."""
    if not isinstance(row, dict):
        return "not a JSON object"
    for key, fits in SCHEMA.items():
        if key not in row and key in REQUIRED:
            return f"no {key}"
        if key in row and not fits(row[key]):
            return f"{key} = {str(row[key])[:60]!r}"
    if row["outcome"] == "kept" and not {"image", "mask"} <= {*row["files"]}:
        return "kept without an image and a mask"
    return None


def _lost(root: Path, row: Mapping[str, Any], kind: str, how: str) -> DataError:
    return DataError(
        got=f"{root}, where the {kind} of item {row['name']!r} {how}",
        expected="every file that manifest.jsonl names, in its folder",
        todo="Restore it, or remove the item's line from manifest.jsonl.",
    )
