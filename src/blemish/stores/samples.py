"""Samples of a volume: an item's files under one key, or a photograph that several items share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

ITEM_KINDS = ("image", "mask", "requested", "classes", "codes")
TWIN_KINDS = ("twin",)
SUFFIXES = {"codes": ".safetensors"}
PICTURE = ".png"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredItem:
    """What a volume holds under one key.

    Attributes:
        key: Name without a dot, different for each sample of a data set.
        files: Files to copy, by kind: some of `ITEM_KINDS`, or those of `TWIN_KINDS`.
        row: Row of the manifest; empty for a photograph.
    """

    key: str
    files: Mapping[str, Path]
    row: Mapping[str, Any] = field(default_factory=dict)


def key_of(name: str) -> str:
    """Key of a name: WebDataset ends a key at the first dot."""
    return name.replace(".", "_")


def member(key: str, kind: str) -> str:
    """Name of a sample's file inside a volume."""
    return f"{key}.{kind}{SUFFIXES.get(kind, PICTURE)}"


def split_member(path: str) -> tuple[PurePosixPath, str, str]:
    """Volume, key and kind in the path of a file inside a volume; the kind may be empty."""
    whole = PurePosixPath(path)
    key, _, rest = whole.name.partition(".")
    return whole.parent, key, rest.partition(".")[0]
