"""Whole files or none.

A file is written under a hidden name beside its place, flushed to the disk, then renamed: readers
see the old file or the new one. Errors of the disk become an `OutputError` here.

A writer that is killed leaves its dotted file. Readers skip dotted names (`visible`), and every
process removes such files from a folder before it first writes there. A living writer holds a lock
on its file, so that nobody removes it, whatever machine or container either runs in.
"""

import errno
import os
import re
import secrets
import sqlite3
import stat
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from filelock import FileLock, Timeout

from blemish.errors import DataError, OutputError, UserError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None

LOCK = "running.lock"
_LEFTOVER = re.compile(r"\.blemish-\d+\..+")  # as `_temporary` names it
_CONTAINER = secrets.randbelow(10**9)  # processes of several containers may share their number
_DAY = 24 * 3600
MAX_NAME = 200  # bytes; of the 255 that file systems allow, the rest is for prefix and suffix

_FORBIDDEN = frozenset('/\\:*?"<>|')
_FORBIDDEN_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, surrogates, line breaks
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)

_REFUSALS = {
    errno.ENOSPC: ("no space is left", "Free some space or choose another folder."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space or choose another folder."),
    errno.EACCES: ("writing is not permitted", "Change its permissions or choose another folder."),
    errno.EPERM: ("writing is not permitted", "Change its permissions or choose another folder."),
    errno.EROFS: ("its disk is read-only", "Choose a folder on another disk."),
    errno.ENOTDIR: ("a file is in a folder's place", "Move that file or choose another folder."),
    errno.EEXIST: ("something else is in its place", "Move that or choose another name."),
    errno.EISDIR: ("a folder is in its place", "Move that folder or choose another name."),
    errno.ENOENT: ("its folder does not exist", "Create the folder first."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter name."),
}


def check_name(name: object, what: str, error: type[UserError] = DataError) -> str:
    """Check a name from a file or an option before it becomes a part of a path.

    Args:
        name: Name without suffix; anything but a string is refused, too.
        what: Description and source of the name, for the message: "the item's name in line 3".
        error: Class of the error to raise.

    Returns:
        The name as it was given.

    Raises:
        UserError: As a part of a path, the name would leave its folder, hide the file, or mean
            something else on another system.
    """
    complaint = _complaint(name)
    if complaint is not None:
        raise error(
            got=f"{what} {str(name)[:80]!r}, which {complaint}",
            expected=f"one plain name of at most {MAX_NAME} bytes",
            todo="Rename it: letters, digits, spaces, '-', '_' and '.' inside are safe.",
        )
    return str(name)


def check_path(path: object, what: str, error: type[UserError] = DataError) -> PurePosixPath:
    """Check a relative path from a file, such as a manifest, before it is used.

    Args:
        path: Names with "/" between them; each must pass `check_name`.
        what: Description and source of the path, for the message.
        error: Class of the error to raise.

    Raises:
        UserError: It is not a path, is absolute, or leaves the folder to which it is relative.
    """
    parts = path.split("/") if isinstance(path, str) else [path]
    return PurePosixPath(*(check_name(part, what, error) for part in parts))


def _complaint(name: object) -> str | None:
    """Problem of a name, as the end of a sentence after "which"."""
    if not isinstance(name, str):
        return f"is a {type(name).__name__}, not a string"
    if not name.strip():
        return "is empty"
    if any(unicodedata.category(c) in _FORBIDDEN_KINDS for c in name):
        return "contains control characters or invalid Unicode"
    found = sorted(_FORBIDDEN.intersection(name))
    if found:
        return f"contains {' '.join(found)}"
    if len(name.encode()) > MAX_NAME:
        return f"is {len(name.encode())} bytes long"
    return _complaint_about_ends(name)


def _complaint_about_ends(name: str) -> str | None:
    if name.startswith("."):
        return "starts with a dot"
    if name.endswith(".") or name != name.strip():
        return "starts or ends with a space, or ends with a dot"
    return "is reserved on Windows" if _RESERVED.fullmatch(name) else None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path to write to, which becomes `path` if nothing is raised.

    Args:
        path: File to create or to replace; its folder must exist.

    Yields:
        A hidden path in the same folder with the same suffix; it is removed on any exception.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    temporary = _temporary(path)
    with _refusals(path, temporary):
        _sweep_once(path.parent)
        try:
            with _claimed(temporary):
                yield temporary
                _sync(temporary)
                temporary.replace(path)
        except BaseException:
            _discard(temporary)
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write the whole of `data`, or leave `path` unchanged.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_scratch(path: Path, data: bytes) -> None:
    """Write a file that an interrupted run writes anew: not flushed to the disk, so much faster.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    with _refusals(path, path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


@contextmanager
def temporary_space(what: str) -> Iterator[None]:
    """Turn errors of SQLite's temporary database into an OutputError.

    Args:
        what: What it holds, for the message.

    Raises:
        OutputError: The folder for temporary files is full or can't be written to.
    """
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OutputError(
            got=f"the folder for temporary files, where {what} can't be kept: {error}",
            expected="some space: half a gigabyte for a million items",
            todo="Free some, or set TMPDIR to another folder.",
        ) from error


def visible(paths: Iterable[Path]) -> list[Path]:
    """Paths in order, without those whose names begin with a dot; globs find these as well."""
    return sorted(path for path in paths if not path.name.startswith("."))


def sweep(folder: Path) -> None:
    """Remove what killed writers left in a folder, but not in the folders inside it.

    Only files that bear our name and that no writer holds are removed; a user's hidden files stay.
    """
    with suppress(OSError), os.scandir(folder) as entries:
        found = [Path(entry.path) for entry in entries if _LEFTOVER.fullmatch(entry.name)]
        for path in found:
            _remove_unclaimed(path)


def ensure_writable(folder: Path) -> None:
    """Create `folder` with its parents and check that a file can be written into it.

    Raises:
        OutputError: The folder is read-only or full, or a file is in its place.
    """
    probe = _temporary(folder / "probe")
    with _refusals(folder, probe, *folder.parents):
        _refuse_read_only(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"blemish")
            _sweep_once(folder)
        finally:
            _discard(probe)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Create a folder and lock it for one run; the system releases it however the run ends.

    Raises:
        OutputError: Another run has locked it, or it can't be written to.
    """
    ensure_writable(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OutputError(
            got=f"{folder}, which another run is using",
            expected="a folder that no other run writes to",
            todo="Wait for that run, stop it, or choose another folder.",
        ) from error
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def append_line(path: Path, text: str) -> None:
    """Append one line in a single write and flush it to the disk.

    An incomplete line of an interrupted run is removed first, so that it does not damage the next.

    Args:
        path: Text file, created if it is missing; only one process writes to it.
        text: Line without its newline.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    assert "\n" not in text
    with _refusals(path), path.open("a+b") as file:
        _drop_torn_line(file)
        file.write(text.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def read_lines(path: Path) -> list[str]:
    """Complete lines of a file; a last line without a newline was interrupted and is left out.

    Args:
        path: File written by `append_line`; a missing file has no lines.
    """
    if not path.exists():
        return []
    *whole, _torn = path.read_bytes().split(b"\n")
    return [line.decode(errors="replace") for line in whole]


@contextmanager
def _refusals(path: Path, *touched: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # The body may also read; a failure there is the reader's, not the output's.
        elsewhere = error.filename is not None and Path(error.filename) not in (path, *touched)
        if error.errno is None or elsewhere:
            raise
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> OutputError:
    default = (error.strerror or "it can't be written", "Choose another folder.")
    reason, todo = _REFUSALS.get(error.errno or 0, default)
    return OutputError(got=f"{path}: {reason}", expected="a path that can be written to", todo=todo)


def _refuse_read_only(folder: Path) -> None:
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    # Root passes every permission check, so a container would fill a folder that its owner closed:
    # we respect the owner's permission bit for any user.
    if existing.is_dir() and not existing.stat().st_mode & 0o200:
        raise _refusal(existing, PermissionError(errno.EACCES, "read-only"))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".blemish-{os.getpid()}{_CONTAINER}.{path.name}")


@contextmanager
def _claimed(temporary: Path) -> Iterator[None]:
    """Create a file and lock it, so that no other process takes it for a leftover."""
    if fcntl is None:
        yield
        return
    with _locked(temporary, fcntl.flock, fcntl.LOCK_EX):
        yield


def _locked(temporary: Path, lock: Callable[[BinaryIO, int], None], how: int) -> BinaryIO:
    while True:
        file = temporary.open("wb")
        with suppress(OSError):  # some network file systems have no locks; nobody sweeps there
            lock(file, how)
        with suppress(FileNotFoundError):  # swept before we had the lock: once more
            if os.path.samestat(os.fstat(file.fileno()), temporary.stat()):
                return file
        file.close()


def _remove_unclaimed(path: Path) -> None:
    with suppress(OSError):  # held by a writer, or not ours to remove
        if not stat.S_ISREG(path.lstat().st_mode):
            return
        if fcntl is None:
            if time.time() - path.stat().st_mtime > _DAY:
                path.unlink()
            return
        with path.open("rb+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@cache
def _sweep_once(folder: Path) -> None:
    """Sweep a folder at the first write of this process; later ones need not look again."""
    sweep(folder)


def _discard(path: Path) -> None:
    with suppress(OSError):  # The first failure is the one to report.
        path.unlink(missing_ok=True)


def _drop_torn_line(file: BinaryIO) -> None:
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
