"""Steps in order: finished ones are skipped, and a failure ends the run.

The output of a step goes to a file of its own, which gets its name when the step is done; errors
and progress go to ours. The time of each step is stored, over interruptions as well.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from benchmarks.reproduce.outcomes import Places
from benchmarks.reproduce.steps import Step
from blemish.files import append_line, ensure_writable, read_lines

TIMES = "times.jsonl"
PATIENCE = 60  # seconds that an interrupted step has to leave in good order
INTERRUPTED = 130


class Terminated(KeyboardInterrupt):
    """The process was asked to end while a step was running."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Time spent on a step so far.

    Attributes:
        seconds: Time over all runs, in seconds.
        runs: Number of runs; after the first it was resumed.
    """

    seconds: float
    runs: int


def run(
    steps: Sequence[Step], places: Places, *, root: Path, variables: Mapping[str, str] | None = None
) -> int:
    """Run the missing steps.

    Args:
        steps: Steps in order.
        places: Paths of the logs and the times.
        root: Working folder of the commands.
        variables: Additional environment variables of the commands.

    Returns:
        0, or the exit code of the failed step.

    Raises:
        KeyboardInterrupt: After the interrupted step has ended.
        OutputError: The folder can't be written to.
    """
    ensure_writable(places.work / "logs")
    environment = {**os.environ, **(variables or {})}
    with _stoppable():
        for step in steps:
            if step.done_when():
                print(f"{step.name}: done already", flush=True)
                continue
            code = _run_one(step, places, root, environment)
            if code:
                print(f"{step.name} failed with exit code {code}.", file=sys.stderr)
                return code
    return 0


def in_shell(command: Sequence[str]) -> str:
    """Command in the form that a user types."""
    return shlex.join(command)


def spent(work: Path) -> dict[str, Spent]:
    """Time spent on each step, by its name."""
    found: dict[str, Spent] = {}
    for row in map(json.loads, read_lines(work / TIMES)):
        before = found.get(row["step"], Spent(seconds=0, runs=0))
        seconds = before.seconds + row["seconds"]
        found[row["step"]] = Spent(seconds=seconds, runs=before.runs + 1)
    return found


def _run_one(step: Step, places: Places, root: Path, environment: Mapping[str, str]) -> int:
    print(f"$ {in_shell(step.command)}", flush=True)
    log = places.log(step.name)
    draft, start, code = log.with_suffix(".part"), time.monotonic(), INTERRUPTED
    try:
        with draft.open("w", encoding="utf-8") as out:
            code = _wait(_program(step.command), out, root, environment)
    finally:
        row = {"step": step.name, "seconds": round(time.monotonic() - start, 1), "exit": code}
        append_line(places.work / TIMES, json.dumps(row))
    if code:
        print(draft.read_text(encoding="utf-8"), end="", file=sys.stderr)
    else:
        draft.replace(log)
    return code


def _wait(command: Sequence[str], out: TextIO, root: Path, environment: Mapping[str, str]) -> int:
    process = subprocess.Popen(command, stdout=out, cwd=root, env=environment)
    try:
        return process.wait()
    except KeyboardInterrupt as interruption:  # what was heard from the keyboard, it has heard too
        if isinstance(interruption, Terminated):
            process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=PATIENCE)
        process.kill()
        raise


@contextmanager
def _stoppable() -> Iterator[None]:
    """Treat a request to end, from `kill` or a shutdown, as an interruption."""
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _stop(*_: object) -> None:
    raise Terminated


def _program(command: Sequence[str]) -> list[str]:
    """Words of a command, with this interpreter's programs for their names."""
    first, *rest = command
    known = {"blemish": [sys.executable, "-m", "blemish"], "python": [sys.executable]}
    return [*known[first], *rest]
