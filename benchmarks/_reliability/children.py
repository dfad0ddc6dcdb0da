"""Commands in forked processes: as cheap as a call, and as mortal as a process.

A fork shares the libraries that its parent has loaded, so that a command starts within
milliseconds. What is to befall it is decided before it starts (`Sabotage`).
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages

import blemish
from blemish.cli import main

WRITES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link"})
Sabotage = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended.

    Attributes:
        code: The exit code; negative: the signal that killed it.
        said: What it wrote to stderr.
        seconds: How long it ran.
    """

    code: int
    said: str
    seconds: float


def preload() -> None:
    """Import whatever commands import, so that no fork has to."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot

    for module in walk_packages(blemish.__path__, "blemish."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def nothing() -> None:
    """Sabotage of nothing."""


def run(
    arguments: list[str],
    folder: Path,
    *,
    sabotage: Sabotage = nothing,
    kill_after: float | None = None,
) -> Ended:
    """Run a command in a folder and wait for its end.

    Args:
        arguments: The command line, without the program.
        folder: The working directory.
        sabotage: Called in the new process before the command.
        kill_after: Seconds until the process is killed.
    """
    said, start = folder.parent / "stderr.txt", time.monotonic()
    pid = os.fork()
    if pid == 0:
        _command(arguments, folder, said, sabotage)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(pid, signal.SIGKILL)  # a process that has ended waits for us as a zombie
    _, status = os.waitpid(pid, 0)
    text = said.read_text(errors="replace") if said.exists() else ""
    said.unlink(missing_ok=True)
    return Ended(os.waitstatus_to_exitcode(status), text, time.monotonic() - start)


def _command(arguments: list[str], folder: Path, said: Path, sabotage: Sabotage) -> None:
    """Never returns."""
    code = 1
    try:
        os.chdir(folder)
        for stream, path in ((sys.stdout, os.devnull), (sys.stderr, str(said))):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(handle, stream.fileno())
            os.close(handle)
        sabotage()
        code = main(arguments)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def die_at_event(number: int, inside: Path) -> Sabotage:
    """Be killed just before the so manyth change of a file below a folder."""

    def count(left: list[int]) -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return lambda: _on_change(inside, count, [number])


def die_inside_write(number: int) -> Sabotage:
    """Be killed in the middle of the so manyth file that is written."""

    def sabotage() -> None:
        write, left = Path.write_bytes, [number]

        def write_bytes(path: Path, data: bytes) -> int:
            left[0] -= data != b"blemish"  # what probes write
            if left[0] == 0:
                write(path, data[: len(data) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return write(path, data)

        Path.write_bytes = write_bytes  # type: ignore[method-assign]

    return sabotage


def tally(inside: Path, into: Path) -> Sabotage:
    """Count changes and writes, and write both into a file."""

    def sabotage() -> None:
        write, counts = Path.write_bytes, [0, 0]
        handle = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

        def on_progress() -> None:
            os.pwrite(handle, f"{counts[0]:9d} {counts[1]:9d}".encode(), 0)

        def write_bytes(path: Path, data: bytes) -> int:
            counts[1] += data != b"blemish"
            on_progress()
            return write(path, data)

        def count(found: list[int]) -> None:
            found[0] += 1
            on_progress()

        Path.write_bytes = write_bytes  # type: ignore[method-assign]
        _on_change(inside, count, counts)

    return sabotage


def normal(path: str | os.PathLike[str]) -> str:
    """An absolute path without dots; unlike `Path.resolve` it does not look at the disk."""
    return os.path.abspath(path)  # noqa: PTH100


def _on_change(inside: Path, act: Callable[[list[int]], None], state: list[int]) -> None:
    place = str(inside.resolve())

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open":
            mode, flags = arguments[1], arguments[2]
            writes = isinstance(mode, str) and any(letter in mode for letter in "wax+")
            writes = writes or (isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR)))
        else:
            writes = event in WRITES
        path = arguments[0] if writes and arguments else None
        if isinstance(path, str | os.PathLike) and normal(path).startswith(place):
            act(state)

    sys.addaudithook(watch)
