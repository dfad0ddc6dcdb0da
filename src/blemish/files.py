"""Whole files or none.

A file is written under a dotted name beside its place, brought to the disk, then renamed: whoever
looks sees the old file or the new one. What the disk refuses becomes an `OutputError` here.

A writer that is killed leaves its dotted file. Readers skip dotted names (`visible`), and every
process removes such files from a folder before it first writes there. A living writer holds a lock
on its file, so that nobody removes it, whatever machine or container either runs in.
"""

import errno
import os
import re
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
_DAY = 24 * 3600
MAX_NAME = 200  # bytes; of the 255 that file systems allow, the rest is for prefix and suffix

_FORBIDDEN = frozenset('/\\:*?"<>|')
_FORBIDDEN_KINDS = frozenset({"Cc", "Cs", "Zl", "Zp"})  # controls, half characters, line breaks
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)

_REFUSALS = {
    errno.ENOSPC: ("no space is left", "Free some space or choose another folder."),
    errno.EDQUOT: ("the disk quota is used up", "Free some space or choose another folder."),
    errno.EACCES: ("it may not be written", "Change its permissions or choose another folder."),
    errno.EPERM: ("it may not be written", "Change its permissions or choose another folder."),
    errno.EROFS: ("its disk is read-only", "Choose a folder on another disk."),
    errno.ENOTDIR: ("a file is where a folder must be", "Move that file or choose another folder."),
    errno.EEXIST: ("something else is in its place", "Move that or choose another name."),
    errno.EISDIR: ("a folder is in its place", "Move that folder or choose another name."),
    errno.ENOENT: ("its folder does not exist", "Create the folder first."),
    errno.ENAMETOOLONG: ("its name is too long", "Choose a shorter name."),
}


def check_name(name: object, what: str, error: type[UserError] = DataError) -> str:
    """Check a name that comes from a file or an option before it becomes one part of a path.

    Args:
        name: The name, without suffix; anything but a string is refused too.
        what: What it names and where it comes from, for the message: "the item's name in line 3".
        error: The class of the error to raise.

    Returns:
        The name as it was given.

    Raises:
        UserError: Used as a part of a path, the name would leave its folder, hide the file, or
            mean something else on another system.
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
    """Check a relative path that comes from a file, such as a manifest, before it is followed.

    Args:
        path: Names with "/" between them; each must pass `check_name`.
        what: What it leads to and where it comes from, for the message.
        error: The class of the error to raise.

    Raises:
        UserError: It is no path, is absolute, or leads out of the folder it is relative to.
    """
    parts = path.split("/") if isinstance(path, str) else [path]
    return PurePosixPath(*(check_name(part, what, error) for part in parts))


def _complaint(name: object) -> str | None:
    """What is wrong with a name, as the end of a sentence that begins with "which"."""
    if not isinstance(name, str):
        return f"is a {type(name).__name__}, not a string"
    if not name.strip():
        return "is empty"
    if any(unicodedata.category(c) in _FORBIDDEN_KINDS for c in name):
        return "holds control characters or is not valid Unicode"
    found = sorted(_FORBIDDEN.intersection(name))
    if found:
        return f"holds {' '.join(found)}"
    if len(name.encode()) > MAX_NAME:
        return f"is {len(name.encode())} bytes long"
    return _complaint_about_ends(name)


def _complaint_about_ends(name: str) -> str | None:
    if name.startswith("."):
        return "begins with a dot"
    if name.endswith(".") or name != name.strip():
        return "begins or ends with a space, or ends with a dot"
    return "is reserved on Windows" if _RESERVED.fullmatch(name) else None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yields a place to write to, which becomes `path` if nothing is raised.

    Args:
        path: The file to create or to replace; its folder must exist.

    Yields:
        A dotted path in the same folder with the same suffix; it is removed on any exception.

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
    """Writes the whole of `data` or leaves `path` as it was.

    Raises:
        OutputError: The disk is full or read-only, or something is in the way.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(data)


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
    """Creates `folder` with its parents and proves that a file can be written into it.

    Raises:
        OutputError: It is read-only or full, or a file is in its place.
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
    """Create a folder and hold it for one run; the system lets go of it however the run ends.

    Raises:
        OutputError: Another run holds it, or it can't be written into.
    """
    ensure_writable(folder)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(blocking=False)
    except Timeout as error:
        raise OutputError(
            got=f"{folder}, where another run is at work",
            expected="a folder that no other run writes to",
            todo="Wait for that one, stop it, or choose another folder.",
        ) from error
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def append_line(path: Path, text: str) -> None:
    """Adds one line in one write and brings it to the disk.

    A line that an interrupted run left half-written is dropped first, so that it spoils no other.

    Args:
        path: A text file, created if it is missing; one process writes to it.
        text: The line, without its newline.

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
    """The whole lines of a file; a last one without newline was torn and is left out.

    Args:
        path: What `append_line` wrote; a missing file has no lines.
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
        # The body may also read; a failure there is not the output's, and is left to its reader.
        elsewhere = error.filename is not None and Path(error.filename) not in (path, *touched)
        if error.errno is None or elsewhere:
            raise
        raise _refusal(path, error) from error


def _refusal(path: Path, error: OSError) -> OutputError:
    default = (error.strerror or "it can't be written", "Choose another folder.")
    reason, todo = _REFUSALS.get(error.errno or 0, default)
    return OutputError(got=f"{path}: {reason}", expected="a place that can be written", todo=todo)


def _refuse_read_only(folder: Path) -> None:
    existing = next((place for place in (folder, *folder.parents) if place.exists()), folder)
    # Root passes every permission check, so a container would fill a folder that its owner closed:
    # we keep to the owner's bit whoever runs us.
    if existing.is_dir() and not existing.stat().st_mode & 0o200:
        raise _refusal(existing, PermissionError(errno.EACCES, "read-only"))


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _temporary(path: Path) -> Path:
    return path.with_name(f".blemish-{os.getpid()}.{path.name}")


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
