"""Commands as a user gives them, and what may befall them."""

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blemish.cli import main

BLEMISH = (sys.executable, "-m", "blemish")
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}
IN_ORDER = "blemish.synthesis.batch.batch.in_order"


def exit_code(line: str) -> int:
    """Of a command in this process."""
    try:
        return main(line.split())
    except SystemExit as error:
        assert isinstance(error.code, int)
        return error.code


def assert_parsing_fails(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and nothing for a reader of stdout."""
    assert exit_code(line) == 2
    assert not capsys.readouterr().out


def assert_refused(line: str, got: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and one message of three lines that names what was got."""
    assert exit_code(line) == 2
    shown = capsys.readouterr()
    assert not shown.out and "Traceback" not in shown.err
    *_, first, expected, todo = shown.err.splitlines()
    assert shown.err.count("Error: got ") == 1
    assert first.startswith("Error: got ")
    assert got in first, (got, first)
    assert expected.startswith("  Expected ")
    assert todo.startswith("  ") and todo.endswith(".")


def full_after(writes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes so many files whole, and half of the next."""
    write, left = Path.write_bytes, [writes]

    def write_bytes(path: Path, data: bytes) -> int:
        if data != b"blemish" and not left[0]:
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        left[0] -= data != b"blemish"
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_bytes)


def in_this_process(
    work: Callable[[Any], Any], inputs: Iterable[Any], *, workers: int
) -> Iterator[Any]:
    """What `pool.in_order` gives, where it would prove nothing to start processes for it."""
    yield from map(work, inputs)


def draw_in_this_process(patch: pytest.MonkeyPatch) -> None:
    """Batches start no workers, which takes seconds each time."""
    patch.setattr(IN_ORDER, in_this_process)


def wait_for(ready: Callable[[], bool], process: subprocess.Popen | None = None) -> None:
    """Until it is ready, if the process lives so long."""
    deadline = time.monotonic() + 120
    while not ready():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)
