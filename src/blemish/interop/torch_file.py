"""Files of torch.save, read without torch.load.

There are two layouts. Since 2020 it is an uncompressed zip archive: `data.pkl`, and `data/<key>`
for each storage. Before that, and still for a single storage inside a plain pickle: five
consecutive pickles (a magic number, a version, facts of the machine, the value, the keys of its
storages), then for each key the number of elements (int64) and their bytes.
"""

import struct
import zipfile
from collections.abc import Iterator
from functools import partial
from io import BytesIO
from typing import Any

from blemish.interop.refusal import RefusedFile
from blemish.interop.storage import Storage, storage_of
from blemish.interop.unpickle import Budget, Language, plain_key, unpickle

MAGIC = 0x1950A86A20F9469CFC6C
MOST_ENTRIES = 20_000
PLAIN = Language()
_LOCAL_HEADER = 30
_DAMAGE = (
    zipfile.BadZipFile,
    ValueError,
    IndexError,
    OverflowError,
    NotImplementedError,
    EOFError,
    OSError,
    struct.error,
)


def read_legacy(stream: BytesIO, whole: memoryview, language: Language, budget: Budget) -> Any:
    """Read five pickles and the storages after them.

    Args:
        stream: Stream at the magic number.
        whole: All bytes of `stream`.
        language: Language of the value.
        budget: Budget shared by all pickles of the file.
    """
    magic, _version, machine = (unpickle(stream, PLAIN, budget) for _ in range(3))
    if magic != MAGIC or not isinstance(machine, dict) or not machine.get("little_endian", True):
        raise RefusedFile("is not a torch file of this machine's byte order")
    storages: dict[str, Storage] = {}
    value = unpickle(stream, language, budget, partial(storage_of, storages))
    keys = unpickle(stream, PLAIN, budget)
    if not isinstance(keys, list) or sorted(storages) != sorted(map(str, map(plain_key, keys))):
        raise RefusedFile("has other storages than its tensors refer to")
    for key, data in _stretches(keys, storages, whole, stream.tell()):
        storages[key].fill(data)
    return value


def read_zip(whole: memoryview, language: Language, budget: Budget) -> Any:
    """Read a zip archive written by torch."""
    stored = _entries(whole)
    pickles = [name for name in stored if name.endswith("/data.pkl") and name.count("/") == 1]
    if len(pickles) != 1:
        raise RefusedFile("is a zip archive that torch did not write")
    root = pickles[0].removesuffix("data.pkl")
    if bytes(stored.get(f"{root}byteorder", b"little")) != b"little":
        raise RefusedFile("holds numbers of the other byte order")
    storages: dict[str, Storage] = {}
    stream = BytesIO(stored[pickles[0]])
    value = unpickle(stream, language, budget, partial(storage_of, storages))
    for key, storage in storages.items():
        storage.fill(stored.get(f"{root}data/{key}", memoryview(b"")))
    return value


def _stretches(
    keys: list[Any], storages: dict[str, Storage], whole: memoryview, at: int
) -> Iterator[tuple[str, memoryview]]:
    for key in keys:
        if at + 8 > len(whole):
            raise RefusedFile("ends before its last tensor")
        (numel,) = struct.unpack("<q", whole[at : at + 8])
        end = at + 8 + storages[key].numel * storages[key].dtype.itemsize
        if numel != storages[key].numel or end > len(whole):
            raise RefusedFile("declares tensors larger or smaller than the bytes it has for them")
        yield key, whole[at + 8 : end]
        at = end


def _entries(whole: memoryview) -> dict[str, memoryview]:
    """Bytes of each entry at its place in the file; the file is never unpacked."""
    try:
        with zipfile.ZipFile(BytesIO(whole)) as archive:
            entries = archive.infolist()
    except _DAMAGE as error:
        raise RefusedFile(f"is a damaged zip archive ({str(error)[:80]})") from error
    if len(entries) > MOST_ENTRIES:
        raise RefusedFile(f"is a zip archive of more than {MOST_ENTRIES:,} entries")
    return {entry.filename: _bytes_of(entry, whole) for entry in entries}


def _bytes_of(entry: zipfile.ZipInfo, whole: memoryview) -> memoryview:
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise RefusedFile("is a zip archive with compressed or locked entries, unlike torch's")
    header = whole[entry.header_offset : entry.header_offset + _LOCAL_HEADER]
    if len(header) < _LOCAL_HEADER:
        raise RefusedFile("is a damaged zip archive (an entry begins beyond its end)")
    name_length, extra_length = struct.unpack("<HH", header[26:30])
    first = entry.header_offset + _LOCAL_HEADER + name_length + extra_length
    found = whole[first : first + entry.file_size]
    if len(found) != entry.file_size:
        raise RefusedFile("is a damaged zip archive (an entry reaches beyond its end)")
    return found
