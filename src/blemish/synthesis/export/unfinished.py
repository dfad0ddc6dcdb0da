"""Mark of an unfinished export in its folder, so that the same command can resume it.

A folder with files but without the mark is refused; with the mark, it is an interrupted export.
Every file is then written again.
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
    """Mark the folder until the export is complete.

    Args:
        out: New or empty folder, or one with an interrupted export of the same kind.
        asked: Everything that the files depend on, as JSON values.

    Raises:
        OutputError: The folder has other contents, or can't be written to.
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
        out: Folder of the export.
        digest: Digest of the export that may have been interrupted there; None accepts any.

    Raises:
        OutputError: The folder is not empty, or is not a folder.
    """
    inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if MARK in inside and digest is not None and (out / MARK).read_bytes() != digest.encode():
        raise _full(out, "a folder with another interrupted export")
    if out.is_dir() and (MARK in inside or not inside):
        return
    if out.exists() or out.is_symlink():
        raise _full(out, "a folder that is not empty" if out.is_dir() else "which is not a folder")


def _full(out: Path, what: str) -> OutputError:
    return OutputError(
        got=f"{out}, {what}",
        expected="a new or empty folder",
        todo="Choose another folder with --out, or remove this one.",
    )
