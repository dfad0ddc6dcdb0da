"""How long commands take to start: processor time of whole processes, user and system.

    python -m benchmarks.startup [--runs N] [--items N] [--out FILE]

Processor time, not the clock, since other work slows the clock down. The items are synthesized by
the shipped bundle `hazelnut` on a part and under a mask that it draws. In the last row every core
is kept busy by another process; threads that wait for each other would spin there.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import tyro

from benchmarks._hardware import heading
from blemish.checkpoint import find_bundle
from blemish.files import write_atomically
from blemish.models.load import load_generator
from blemish.synthesis.demo import draw_scene

REPORT = Path(__file__).with_suffix(".md")
BUNDLE = "hazelnut"
HEADER = (
    "| command | seconds of processor time, median | lowest | highest |",
    "| --- | ---: | ---: | ---: |",
)
BLEMISH = (sys.executable, "-m", "blemish")
Command = Callable[[int], tuple[str, ...]]


def main(runs: int = 5, items: int = 8, out: Path = REPORT) -> None:
    """Measure, and write the report.

    Args:
        runs: Number of runs of each command.
        items: Number of items in the longer syntheses.
        out: File of the report.
    """
    rows = []
    with TemporaryDirectory() as folder:
        for name, command, cores in _commands(Path(folder), items):
            with _busy(cores):
                times = [_processor_time(command(k)) for k in range(runs)]
            rows.append(f"| {name} | {median(times):.2f} | {min(times):.2f} | {max(times):.2f} |")
            print(rows[-1], file=sys.stderr)
    options = f"--runs {runs} --items {items}"
    text = heading("Start-up", f"python -m benchmarks.startup {options}")
    note = "User and system time of the whole process, threads and children included."
    write_atomically(out, "\n".join((text, note, "", *HEADER, *rows, "")).encode())


def _commands(folder: Path, items: int) -> Iterator[tuple[str, Command, int]]:
    """Name, command and busy cores of each row."""
    part, mask = draw_scene(load_generator(find_bundle(BUNDLE)), folder, 0)
    cores = len(os.sched_getaffinity(0))
    for module in ("blemish", "torch"):
        statement = (sys.executable, "-c", f"import {module}")
        yield f"`python -c 'import {module}'`", lambda _, s=statement: s, 0
    yield "`blemish --help`", lambda _: (*BLEMISH, "--help"), 0
    for count, busy in ((1, 0), (items, 0), (items, cores)):
        name = f"`blemish synthesize --count {count}`" + (", every core busy" if busy else "")
        yield name, _Synthesis(folder, part, mask, count, bool(busy)), busy


class _Synthesis:
    """The command of a run, into a folder of its own."""

    def __init__(self, folder: Path, part: Path, mask: Path, count: int, busy: bool) -> None:
        self.out = folder / f"{count}-{busy}"
        self.command = (*BLEMISH, "synthesize", "--normal", str(part), "--mask", str(mask))
        self.options = ("--defect", "colour", "--count", str(count), "--bundle", BUNDLE)

    def __call__(self, run: int) -> tuple[str, ...]:
        return (*self.command, *self.options, "--out", f"{self.out}-{run}")


@contextmanager
def _busy(cores: int) -> Iterator[None]:
    """Keep so many cores busy."""
    loop = (sys.executable, "-c", "while True: pass")
    processes = [subprocess.Popen(loop) for _ in range(cores)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _processor_time(command: tuple[str, ...]) -> float:
    """Seconds that a command and its threads spend on processors."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed with {process.returncode}")
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    tyro.cli(main)
