"""Opening a file that a user names: only a regular file, and only up to a size.

A pipe would block for ever, a device may never end, and a file larger than any that makes sense
would fill the memory.
"""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

# Without it the opening of a pipe waits until somebody writes to it; Windows has no such pipes.
_NO_WAIT = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class IrregularFileError(Exception):
    """The file is a pipe, a device or a socket, or is too large; the text says which."""


def open_regular(path: Path, limit: int) -> BufferedReader:
    """Open a regular file for reading.

    Args:
        path: The file, or a link to it.
        limit: Largest size in bytes.

    Raises:
        IrregularFileError: It is not a regular file, or is larger than `limit`.
        OSError: It is missing, a folder, or may not be read.
    """
    _refuse_irregular(path.stat(), limit)
    file = os.fdopen(os.open(path, os.O_RDONLY | _NO_WAIT), "rb")
    try:
        _refuse_irregular(os.fstat(file.fileno()), limit)  # another file may be in its place by now
    except BaseException:
        file.close()
        raise
    return file


def read_regular(path: Path, limit: int) -> bytes:
    """The content of a regular file; errors as in `open_regular`."""
    with open_regular(path, limit) as file:
        content = file.read(limit + 1)  # some files of the system report a size of 0
    if len(content) > limit:
        raise IrregularFileError(_too_large(limit))
    return content


def _refuse_irregular(found: os.stat_result, limit: int) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise IrregularFileError("is a pipe, a device or a socket, not a regular file")
    if found.st_size > limit:
        raise IrregularFileError(_too_large(limit))


def _too_large(limit: int) -> str:
    return f"is larger than {limit / 2**20:,.0f} MiB"
