"""Mark of an unfinished export or import in its folder, so that the same command can resume it.

A folder with files but without the mark is refused; with the mark, it is an interrupted one. Every
file is then written again.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from blemish.errors import OutputError
from blemish.files import ensure_writable, sweep, write_atomically

MARK = ".unfinished-{}"


@contextmanager
def marked(out: Path, asked: Mapping[str, Any], what: str = "export") -> Iterator[None]:
    """Mark the folder until it is complete.

    Args:
        out: New or empty folder, or one that the same command left unfinished.
        asked: Everything that the files depend on, as JSON values.
        what: Name of the work: "export" or "import".

    Raises:
        OutputError: The folder has other contents, or can't be written to.
    """
    digest = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
    refuse_full(out, digest, what)
    ensure_writable(out)
    mark = out / MARK.format(what)
    write_atomically(mark, digest.encode())
    yield
    mark.unlink(missing_ok=True)


def refuse_full(out: Path, digest: str | None = None, what: str = "export") -> None:
    """Check that a folder is free.

    Args:
        out: Folder of the export or import.
        digest: Digest of the one that may have been interrupted there; None accepts any.
        what: Name of the work, as in `marked`.

    Raises:
        OutputError: The folder is not empty, or is not a folder.
    """
    sweep(out)  # a writer that was killed before it left the mark
    inside = {path.name for path in out.iterdir()} if out.is_dir() else set()
    mark = MARK.format(what)
    if mark in inside and digest is not None and (out / mark).read_bytes() != digest.encode():
        raise _full(out, f"a folder with another interrupted {what}")
    if out.is_dir() and (mark in inside or not inside):
        return
    if out.exists() or out.is_symlink():
        raise _full(out, "a folder that is not empty" if out.is_dir() else "which is not a folder")


def _full(out: Path, what: str) -> OutputError:
    return OutputError(
        got=f"{out}, {what}",
        expected="a new or empty folder",
        todo="Choose another folder with --out, or remove this one.",
    )
