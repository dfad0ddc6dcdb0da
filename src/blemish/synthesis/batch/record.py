"""What a folder's items are made from, written beside them: another batch can't carry them on."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from blemish.errors import DataError
from blemish.files import write_atomically
from blemish.manifest import MANIFEST

NAME = "recipe.json"
SHOWN = 3


def keep_record(root: Path, record: dict[str, Any]) -> None:
    """Write the record of a batch, or see that it is that of the batch begun there.

    Args:
        root: Folder of the data set.
        record: All that its items depend on, as JSON holds it.

    Raises:
        DataError: The folder holds items of something else.
    """
    path = root / NAME
    if not path.exists():
        if (root / MANIFEST).exists():
            raise _refusal(root, "that are of no batch")
        write_atomically(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        return
    changes = list(differences(_read(path), record))
    if changes:
        more = f" and {len(changes) - SHOWN} more" if len(changes) > SHOWN else ""
        what = "; ".join(changes[:SHOWN])
        raise _refusal(root, f"of a batch that differs from this one: {what}{more}")


def refuse_batch(root: Path) -> None:
    """Check that a folder is not a batch's, whose manifest takes no other items.

    Raises:
        DataError: It is one.
    """
    if (root / NAME).exists():
        raise DataError(
            got=f"{root}, a folder of 'blemish batch'",
            expected="a folder of 'blemish synthesize', or a new one",
            todo="Choose another folder with --out.",
        )


def differences(old: Any, new: Any, name: str = "") -> Iterator[str]:
    """In words, where two JSON values differ."""
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


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            got=f"{path}, which can't be read as JSON ({error})",
            expected="the record of a batch, as Blemish wrote it",
            todo="Choose another folder for what is to be made.",
        ) from error


def _refusal(root: Path, what: str) -> DataError:
    return DataError(
        got=f"{root} with items {what}",
        expected="a new folder, or one that the same recipe was begun in",
        todo="Choose another folder with --out, or go back to the recipe as it was.",
    )
