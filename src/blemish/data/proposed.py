"""Record of masks that nobody drew: they were proposed inside boxes, and should be looked at.

`proposed.json` lies in the root of a folder in the layout of MVTec AD. A mask that was changed
since, so that its bytes are others, counts as drawn.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from blemish.documents import dataclass_from, read_json
from blemish.errors import DataError
from blemish.files import check_path

RECORD = "proposed.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed:
    """A mask that was proposed.

    Attributes:
        sha256: Digest of its file.
        boxes: Left, top, width and height of each box, in pixels of the upright photograph.
    """

    sha256: str
    boxes: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, content: bytes, boxes: list[tuple[int, int, int, int]]) -> Self:
        """Record of a file."""
        return cls(sha256=hashlib.sha256(content).hexdigest(), boxes=(*boxes,))


def record(masks: Mapping[str, Proposed], by: str) -> bytes:
    """Content of the record.

    Args:
        masks: Masks by their path in the folder.
        by: How they were proposed.
    """
    entries = {k: {"sha256": v.sha256, "boxes": v.boxes} for k, v in sorted(masks.items())}
    document = {"proposed_by": by, "masks": entries}
    return (json.dumps(document, indent=2, ensure_ascii=False) + "\n").encode()


def proposed_in(root: Path) -> Iterator[Path]:
    """Masks in a folder that are still as they were proposed; none without a record.

    Raises:
        DataError: The record can't be read.
    """
    path = root / RECORD
    if not path.exists():
        return
    document = read_json(path, "a record of proposed masks")
    try:
        entries = {k: dataclass_from(Proposed, v, k) for k, v in _masks(document).items()}
    except ValueError as problem:
        raise DataError(
            got=f"{path}, which can't be read ({problem})",
            expected="the record that 'blemish data import' wrote",
            todo="Restore it, or remove it if all masks were looked at.",
        ) from problem
    for name, entry in entries.items():
        mask = root / check_path(name, f"the mask in {path}")
        if mask.is_file() and _digest(mask) == entry.sha256:
            yield mask


def _masks(document: object) -> dict[str, object]:
    masks = document.get("masks") if isinstance(document, dict) else None
    if not isinstance(masks, dict):
        raise ValueError("it has no 'masks'")
    return masks


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
