"""An export that is under way, marked in its folder, so that the same command can go on.

Without the mark a folder with files is somebody's and is refused; with it, it is an export that was
broken off. Every file is then written again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blemish.errors import OutputError
from blemish.files import ensure_writable, write_atomically

MARK = ".unfinished-export"


@contextmanager
def marked(out: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """Mark the folder until the export is whole.

    Args:
        out: A new or empty folder, or one in which the same export was broken off.
        asked: All that the files depend on, as JSON holds it.

    Raises:
        OutputError: The folder holds something else, or can't be written.
    """
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    refuse_full(out, digest)
    ensure_writable(out)
    write_atomically(out / MARK, digest.encode())
    yield
    (out / MARK).unlink(missing_ok=True)


def refuse_full(out: Path, digest: str | None = None) -> None:
    """Check that a folder is free.

    Args:
        out: The folder.
        digest: The export that may have been broken off there; None takes any.

    Raises:
        OutputError: It holds something already, or is no folder.
    """
    inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if MARK in inside and digest is not None and (out / MARK).read_bytes() != digest.encode():
        raise _full(out, "a folder in which another export was broken off")
    if out.is_dir() and (MARK in inside or not inside):
        return
    if out.exists() or out.is_symlink():
        raise _full(out, "a folder that is not empty" if out.is_dir() else "which is no folder")


def _full(out: Path, what: str) -> OutputError:
    return OutputError(
        got=f"{out}, {what}",
        expected="a new or an empty folder",
        todo="Choose another one with --out, or remove it.",
    )
