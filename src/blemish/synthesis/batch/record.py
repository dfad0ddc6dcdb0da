"""Record of what a folder's items are made from; another batch can't resume them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blemish.documents import read_json
from blemish.errors import DataError
from blemish.files import write_atomically
from blemish.manifest import MANIFEST

NAME = "recipe.json"
SHARDS = "shards"  # folder of what shards have made, until it is gathered
MAX_BYTES = 2**30
SHOWN = 3


def keep_record(root: Path, record: dict[str, Any]) -> None:
    """Write the record of a batch, or check that it is the same as the folder's.

    Args:
        root: Folder of the data set.
        record: Everything that the items depend on, as JSON values.

    Raises:
        DataError: The folder contains items of another batch.
    """
    path = root / NAME
    if not path.exists():
        if (root / MANIFEST).exists():
            raise _refusal(root, "that belong to no batch")
        write_atomically(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        return
    refuse_differences(root, read_record(root), record)


def refuse_batch(root: Path) -> None:
    """Refuse the folder of a batch, whose manifest takes no other items.

    Raises:
        DataError: The folder belongs to a batch.
    """
    if (root / NAME).exists() or (root / SHARDS).exists():
        raise DataError(
            got=f"{root}, a folder of 'blemish batch'",
            expected="a folder of 'blemish synthesize', or a new one",
            todo="Choose another folder with --out.",
        )


def refuse_shards(root: Path) -> None:
    """Refuse a folder whose items are made by shards.

    Raises:
        DataError: The folder has shards.
    """
    if (root / SHARDS).exists():
        raise DataError(
            got=f"{root}, whose items are made by shards",
            expected="a folder without shards",
            todo=f"Join them first: blemish gather {root}",
        )


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """Differences between two JSON values, in words."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys([*old, *new]):
            yield from differences(old.get(key), new.get(key), f"{name}.{key}".lstrip("."))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (one, other) in enumerate(zip(old, new, strict=True), 1):
            yield from differences(one, other, f"{name} {place}")
    elif old != new:
        yield f"{name} was {_brief(old)}, is {_brief(new)}"


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return "absent" if value is None else text if len(text) <= 40 else f"{text[:36]}…"


def read_record(root: Path) -> Any:
    """The record of a folder.

    Raises:
        DataError: It is missing or damaged.
    """
    return read_json(
        root / NAME, "the record of a batch, as Blemish wrote it", most_bytes=MAX_BYTES
    )


def refuse_differences(root: Path, old: Any, new: Any) -> None:
    """Refuse a record that differs from that of a folder.

    Raises:
        DataError: The folder contains items of another batch.
    """
    changes = list(differences(old, new))
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        what = "; ".join(changes[:SHOWN])
        raise _refusal(root, f"of a batch that differs from this one: {what}{more}")


def _refusal(root: Path, what: str) -> DataError:
    return DataError(
        got=f"{root} with items {what}",
        expected="a new folder, or one of the same recipe",
        todo="Choose another folder with --out, or restore the recipe.",
    )
