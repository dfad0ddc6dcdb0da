"""Commands that are killed, and commands whose disk is full; then the same command once more.

Whatever stopped the first run, the second must end well, leave what an unbroken run leaves, byte by
byte, and no file of the first beside it.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._reliability.children import (
    Ended,
    Sabotage,
    die_at_event,
    die_inside_write,
    nothing,
    run,
    tally,
)
from benchmarks._reliability.verbs import Verb, contents, leftovers, torn

MANNERS = ("at a random moment", "before a change of a file", "inside a write")
ROOM = 2**30


@dataclass(frozen=True, slots=True)
class Reference:
    """An unbroken run of a command.

    Attributes:
        contents: What it leaves.
        seconds: How long it took.
        changes: Changes of files it made.
        writes: Files it wrote.
        before: Bytes in its folder before.
        after: Bytes in its folder after it.
    """

    contents: dict[str, str]
    seconds: float
    changes: int
    writes: int
    before: int
    after: int


def refer(verb: Verb, folder: Path) -> Reference:
    """Run a command unbroken."""
    place = _fresh(verb, folder)
    before, counts = _bytes(place), folder / "tally.txt"
    ended = run(verb.arguments, place, sabotage=tally(place, counts))
    if ended.code:
        raise RuntimeError(f"{verb.name} ended with {ended.code}:\n{ended.said}")
    changes, writes = map(int, counts.read_text().split())
    found = contents(place)
    return Reference(found, ended.seconds, changes, writes, before, _bytes(place))


def kill(verb: Verb, folder: Path, known: Reference, number: int) -> dict[str, Any]:
    """Kill a command once and carry it on.

    Args:
        verb: The command.
        folder: To work in.
        known: An unbroken run of it.
        number: Number of the case; it decides when the command is killed.
    """
    rng = random.Random(f"{verb.name} {number}")
    manner = MANNERS[0 if verb.slow and number % 4 else number % 3]
    place, after = _fresh(verb, folder), None
    sabotage: Sabotage = nothing
    if manner == MANNERS[0]:
        after = rng.uniform(0, known.seconds)
    elif manner == MANNERS[1]:
        sabotage = die_at_event(rng.randint(1, max(1, known.changes)), place)
    else:
        sabotage = die_inside_write(rng.randint(1, max(1, known.writes)))
    ended = run(verb.arguments, place, sabotage=sabotage, kill_after=after)
    about = {"manner": manner, "killed": ended.code == -9, "left": len(leftovers(place))}
    faults = [f"torn: {name}" for name in torn(place)]
    if ended.code not in (0, -9):
        faults.append(f"ended with {ended.code}: {ended.said[-200:]}")
    return about | {"faults": faults + _carry_on(verb, place, known, started=ended.code != 0)}


def fill(verb: Verb, folder: Path, known: Reference, share: float) -> dict[str, Any]:
    """Run a command on a disk that is too small for it, then on one that is large enough.

    Args:
        verb: The command.
        folder: To work in.
        known: An unbroken run of it.
        share: How much of what the command writes finds room, from 0 to 1.
    """
    shutil.rmtree(folder / "case", ignore_errors=True)
    (folder / "case").mkdir(parents=True)
    with _disk(folder / "case", ROOM) as resize:
        place = _fresh(verb, folder, keep=True)
        resize(_used(place) + int(share * (known.after - known.before)))
        ended = run(verb.arguments, place)
        faults = [f"torn: {name}" for name in torn(place)]
        faults += [f"left: {name}" for name in leftovers(place)]
        full = ended.code == 2 and "no space is left" in ended.said.lower()
        if not (full or ended.code == 0) or "Traceback" in ended.said:
            faults.append(f"ended with {ended.code}: {ended.said[-300:]}")
        resize(ROOM)
        faults += _carry_on(verb, place, known, started=ended.code != 0)
        return {"full": full, "faults": faults}


def may_mount() -> bool:
    """Whether this process may make disks in memory."""
    return os.geteuid() == 0 and shutil.which("mount") is not None


def _carry_on(verb: Verb, place: Path, known: Reference, *, started: bool) -> list[str]:
    whole = contents(place) == known.contents  # it died as it ended
    ended = run(verb.again, place) if started and not whole else Ended(0, "", 0)
    if ended.code:
        return [f"carried on, it ended with {ended.code}: {ended.said[-300:]}"]
    faults = [f"left for good: {name}" for name in leftovers(place)]
    found = contents(place)
    faults += [f"lost: {name}" for name in known.contents.keys() - found.keys()]
    faults += [f"added: {name}" for name in found.keys() - known.contents.keys()]
    both = found.keys() & known.contents.keys()
    return faults + [f"differs: {n}" for n in sorted(both) if found[n] != known.contents[n]]


def _fresh(verb: Verb, folder: Path, *, keep: bool = False) -> Path:
    place = folder / "case"
    if not keep:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    verb.prepare(place)
    return place


def _bytes(folder: Path) -> int:
    """What files take on a disk of pages of 4 KiB."""
    sizes = (path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return sum(-(-size // 4096) * 4096 for size in sizes)


def _used(folder: Path) -> int:
    about = os.statvfs(folder)
    return (about.f_blocks - about.f_bfree) * about.f_frsize


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[Callable[[int], None]]:
    """A disk in memory, mounted on a folder; yields what resizes it."""
    _mount(folder, f"size={size}")
    try:
        yield lambda size: _mount(folder, f"remount,size={max(4096, size)}")
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a child may linger


def _mount(folder: Path, options: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", options, "none", str(folder)]
    subprocess.run(command, check=True)
