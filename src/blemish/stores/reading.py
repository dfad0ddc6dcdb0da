"""Files of an item, wherever its data set keeps them.

Readers of pictures open files. A file inside a volume is written to a temporary folder first, once,
when it is asked for; that folder is removed when the process ends.
"""

import atexit
import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from blemish.errors import DataError
from blemish.files import check_name, write_atomically
from blemish.manifest import file_of as in_folder
from blemish.stores.samples import split_member
from blemish.stores.store import Store, store_of


def stored_file(manifest: Path, row: Mapping[str, Any], kind: str) -> Path:
    """File of an item, from a folder or from a volume in it.

    Args:
        manifest: Manifest of the row.
        row: Row of `manifest.read_rows`.
        kind: image, mask, twin, requested, codes or classes.

    Returns:
        The file, which must not be changed.

    Raises:
        DataError: The row names no such file, it is missing or damaged, or a link leads out of the
            manifest's folder.
        OptionError: A package that reads the volume is not installed.
        OutputError: The temporary folder can't be written to.
    """
    named = str(row["files"].get(kind, ""))
    volume = manifest.parent / split_member(named)[0]
    store = store_of(volume) if volume.is_file() else None
    if store is None:
        return in_folder(manifest, row, kind)
    if not volume.resolve().is_relative_to(manifest.parent.resolve()):
        raise _lost(volume, named, "lies outside the folder of its manifest")
    return _unpacked(manifest.parent, volume, named, store)


def _unpacked(root: Path, volume: Path, named: str, store: Store) -> Path:
    name = check_name(named.rpartition("/")[2], f"{volume}, in which a file has the name")
    changed = f"{root.resolve()} {volume.stat().st_mtime_ns}"
    place = _scratch() / hashlib.sha256(changed.encode()).hexdigest()[:12]
    path = place / volume.relative_to(root) / name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, _content(volume, named, store))
    return path


def _content(volume: Path, named: str, store: Store) -> bytes:
    _, key, kind = split_member(named)
    try:
        content = store.read(volume, key, kind)
    except Exception as error:  # of a damaged volume: each format has its own
        raise _lost(volume, named, f"can't be read ({type(error).__name__}: {error})") from error
    if content is None:
        raise _lost(volume, named, "is gone")
    return content


@cache
def _scratch() -> Path:
    place = Path(tempfile.mkdtemp(prefix="blemish-"))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    return place


def _lost(volume: Path, named: str, how: str) -> DataError:
    return DataError(
        got=f"{volume}, where {named.rpartition('/')[2]!r} {how}",
        expected="every file that manifest.jsonl names, in its volume",
        todo="Restore the volume, or remove the item's line from manifest.jsonl.",
    )
