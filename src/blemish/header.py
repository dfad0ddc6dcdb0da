"""The header of a safetensors file, checked before anything trusts it, and in a fixed order.

A file begins with the length of its header (8 bytes, little-endian), the header as JSON, then the
numbers. For each tensor the header says its kind of number, its shape and where its bytes begin and
end. All of that comes from a stranger: a shape of a million axes takes minutes to allocate.
"""

import json
import math
import stat
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.documents import parse_json

MAX_HEADER = 8 * 2**20
MAX_AXES = 8
_ITEM_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


@dataclass(frozen=True, slots=True)
class Header:
    """What a safetensors file holds.

    Attributes:
        shapes: The shape of each tensor, by name.
        metadata: Texts that were written with the tensors.
    """

    shapes: dict[str, tuple[int, ...]]
    metadata: dict[str, str]


def read_header(path: Path) -> Header:
    """Read and check a header.

    Raises:
        OSError: The file can't be read.
        ValueError: It is not a regular file, or its header is not one of a whole file.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise ValueError("it is not a regular file")
    entries, room = _entries(path)
    metadata = entries.pop("__metadata__", {})
    if not _is_texts(metadata):
        raise ValueError("its metadata are not texts by name")
    shapes = {name: _shape(name, entry, room) for name, entry in entries.items()}
    return Header(shapes, metadata)


def sort_metadata(data: bytes) -> bytes:
    """A safetensors file with its metadata sorted: the library writes them in random order."""
    length = struct.unpack("<Q", data[:8])[0]
    entries = json.loads(data[8 : 8 + length])
    metadata = entries.pop("__metadata__", {})
    ordered = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    text = json.dumps({**ordered, **entries}, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # numbers begin at a multiple of eight bytes
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _entries(path: Path) -> tuple[dict[str, Any], int]:
    """The header's entries, and how many bytes follow it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise ValueError("its header is torn, or too long")
        text = file.read(length)
    try:
        entries = parse_json(text.decode())
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError("its header is no JSON") from error
    if not isinstance(entries, dict):
        raise ValueError("its header is no JSON object")
    return entries, size - 8 - length


def _shape(name: str, entry: Any, room: int) -> tuple[int, ...]:
    """The shape of a tensor, if its bytes are in the file."""
    if not (name.isprintable() and len(name) <= 500):
        raise ValueError(f"a tensor is called {name[:40]!r}")
    item = _ITEM_BYTES.get(_field(entry, "dtype", str))
    shape, place = _field(entry, "shape", list), _field(entry, "data_offsets", list)
    if item is None:
        raise ValueError(f"'{name}' holds numbers of a kind that is not known")
    if len(shape) > MAX_AXES or len(place) != 2 or not all(map(_is_count, (*shape, *place))):
        raise ValueError(f"the shape or the place of '{name}' makes no sense")
    if place[1] > room or place[1] - place[0] != item * math.prod(shape):
        raise ValueError(f"'{name}' has more or fewer bytes than its shape needs")
    return tuple(shape)


def _field(entry: Any, name: str, kind: type) -> Any:
    value = entry.get(name) if isinstance(entry, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f"an entry of its header has no {name}")
    return value


def _is_count(number: object) -> bool:
    return type(number) is int and 0 <= number < 2**48


def _is_texts(metadata: object) -> bool:
    return isinstance(metadata, dict) and all(isinstance(v, str) for v in metadata.values())
