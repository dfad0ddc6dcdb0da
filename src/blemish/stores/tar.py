"""Tar volumes, named as WebDataset expects: the files of a sample follow each other under one key.

000012_nut.json                  row of the manifest
000012_nut.image.png             files of the item, by kind
000012_nut.mask.png

The same samples give the same bytes: members have no time, no owner and the same permissions.
"""

import json
import tarfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from io import BytesIO
from pathlib import Path

from blemish.files import check_path, replacing, write_scratch
from blemish.stores.samples import StoredItem, member

OPEN = 4  # volumes whose members are known at the same time


class Tar:
    """Volumes as tar archives without compression; the pictures in them are compressed."""

    suffix = ".tar"

    def write(self, path: Path, samples: Iterable[StoredItem], kinds: tuple[str, ...]) -> None:
        """See `Store.write`."""
        with replacing(path) as temporary, tarfile.open(temporary, "w") as archive:
            for sample in samples:
                for name, content in _members(sample, kinds):
                    add_member(archive, name, content)

    def read(self, path: Path, key: str, kind: str) -> bytes | None:
        """See `Store.read`."""
        place = _places(path, path.stat().st_mtime_ns).get(member(key, kind))
        if place is None:
            return None
        start, size = place
        with path.open("rb") as file:
            file.seek(start)
            return file.read(size)


def add_member(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that has a name and a content, and nothing of the machine."""
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), 0o644
    archive.addfile(entry, BytesIO(content))


def extract(archive: Path, folder: Path) -> None:
    """Put the files of an archive into a folder, each under its path there.

    Raises:
        DataError: A path in the archive leaves the folder.
        OutputError: The folder can't be written to.
    """
    with tarfile.open(archive) as found:
        for entry in found:
            content = found.extractfile(entry)
            if content is not None:
                name = check_path(entry.name, f"{archive}, in which a file has the name")
                write_scratch(folder / name, content.read())


def _members(sample: StoredItem, kinds: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    if sample.row:
        yield f"{sample.key}.json", json.dumps(sample.row).encode()
    for kind in kinds:
        if kind in sample.files:
            yield member(sample.key, kind), sample.files[kind].read_bytes()


@lru_cache(maxsize=OPEN)
def _places(path: Path, _changed: int) -> dict[str, tuple[int, int]]:
    """Start and length of each file in a volume."""
    with tarfile.open(path, "r:") as archive:
        return {entry.name: (entry.offset_data, entry.size) for entry in archive if entry.isreg()}
