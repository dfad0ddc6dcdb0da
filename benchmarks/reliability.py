"""What is left when a command is killed, the disk is full, or an input is damaged.

    python -m benchmarks.reliability [--seconds N] [--work FOLDER] [--report]

Kills every command that writes, again and again; fills its disk; damages everything that commands
read; makes the same items in different surroundings. Every case is kept in the working folder as
soon as it is done, so the benchmark may be stopped and carried on: with `--seconds` it stops by
itself, and exits with 3 while there is more to do. Needs Linux, and root for the disks.
"""

import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import tyro

from benchmarks._hardware import heading
from benchmarks._reliability import deaths, mutants, places
from benchmarks._reliability.children import preload
from benchmarks._reliability.scene import Scene, make, steps
from benchmarks._reliability.verbs import verbs
from blemish.files import append_line, read_lines, write_atomically

REPORT = Path(__file__).with_suffix(".md")
CHUNK = 25
Row = dict[str, Any]
Case = tuple[str, Callable[[], list[Row]]]


def main(seconds: float | None = None, work: Path | None = None, report: bool = False) -> None:
    """Do what is not done yet, then write the report.

    Args:
        seconds: Stop after so long.
        work: Folder for the cases; by default one among the system's temporary files.
        report: Write the report of what is done, and do nothing else.
    """
    torch.set_num_threads(1)
    preload()
    folder = work or Path(tempfile.gettempdir()) / "blemish-reliability"
    folder.mkdir(parents=True, exist_ok=True)
    kept, end = folder / "results.jsonl", time.monotonic() + (seconds or 10**9)
    if not report:
        _work(Scene(folder / "scene"), folder, kept, end)
    write_report(rows_of(kept))


def _work(scene: Scene, folder: Path, kept: Path, end: float) -> None:
    """Do all cases that are not done; exits when the time is over."""
    for path, action in steps(scene):
        _exit_late(end)
        make(path, action)
    done = {row["case"] for row in rows_of(kept)}
    for name, attempt in cases(scene, folder):
        if name not in done:
            _exit_late(end)
            for row in attempt():
                append_line(kept, json.dumps({"case": name, **row}))


def _exit_late(end: float) -> None:
    if time.monotonic() > end:
        sys.exit(3)


def rows_of(kept: Path) -> list[Row]:
    """All rows of cases that are done."""
    return [json.loads(line) for line in read_lines(kept)]


def cases(scene: Scene, folder: Path) -> Iterator[Case]:
    """All cases, by name."""
    yield from _deaths(scene, folder / "deaths")
    for family in mutants.families(scene):
        for start in range(0, family.count, CHUNK):
            numbers = [*range(start, min(start + CHUNK, family.count))]
            yield f"mutants/{family.name}/{start}", _mutants(family, folder, numbers)
    for name, (arguments, environment, out) in places.variants(scene).items():
        yield f"places/{name}", _place(name, arguments, environment, out, folder)


def _deaths(scene: Scene, folder: Path) -> Iterator[Case]:
    known: dict[str, deaths.Reference] = {}

    def reference(verb: Any) -> deaths.Reference:
        if verb.name not in known:
            known[verb.name] = deaths.refer(verb, folder)
        return known[verb.name]

    for verb in verbs(scene):
        for number in range(verb.kills):
            yield (
                f"kills/{verb.name}/{number}",
                lambda verb=verb, number=number: [
                    {"verb": verb.name, **deaths.kill(verb, folder, reference(verb), number)}
                ],
            )
        for share in verb.shares if deaths.may_mount() else ():
            yield (
                f"disks/{verb.name}/{share}",
                lambda verb=verb, share=share: [
                    {"verb": verb.name, **deaths.fill(verb, folder, reference(verb), share)}
                ],
            )


def _mutants(family: mutants.Family, folder: Path, numbers: list[int]) -> Callable[[], list[Row]]:
    def attempt() -> list[Row]:
        found = mutants.attempt_all(family, folder / "mutants" / "case", numbers)
        return [{"family": family.name, **row} for row in found]

    return attempt


def _place(
    name: str, arguments: list[str], environment: dict[str, str], out: str, folder: Path
) -> Callable[[], list[Row]]:
    def attempt() -> list[Row]:
        with tempfile.TemporaryDirectory(dir=folder) as place:
            digest = places.digest_of(arguments, environment, out, Path(place) / "case")
        return [{"place": name, "digest": digest}]

    return attempt


def write_report(rows: list[Row]) -> None:
    """Write the report of what is done."""
    parts = [heading("Reliability", "python -m benchmarks.reliability")]
    parts += _kill_table([row for row in rows if row["case"].startswith("kills/")])
    parts += _disk_table([row for row in rows if row["case"].startswith("disks/")])
    parts += _mutant_table([row for row in rows if row["case"].startswith("mutants/")])
    parts += _place_table([row for row in rows if row["case"].startswith("places/")])
    parts += _faults(rows)
    write_atomically(REPORT, ("\n".join(parts) + "\n").encode())


def _kill_table(rows: list[Row]) -> list[str]:
    killed = [row for row in rows if row["killed"]]
    bad = sum(bool(row["faults"]) for row in rows)
    text = (
        f"\n## Killed\n\n{len(killed)} kills in {len(rows)} runs (the others ended before their "
        f"moment came). {sum(row['left'] > 0 for row in killed)} kills left a half-written file "
        "under a hidden name. After each, the same command was run once more; a fault is a file "
        "that is torn, lost, added, left over, or has other bytes than that of an unbroken run. "
        f"Runs with faults: {bad}.\n"
    )
    header = ["command", *deaths.MANNERS, "left something", "faults"]
    body = []
    for verb in dict.fromkeys(row["verb"] for row in rows):
        mine = [row for row in killed if row["verb"] == verb]
        counts = Counter(row["manner"] for row in mine)
        faults = sum(bool(row["faults"]) for row in rows if row["verb"] == verb)
        left = sum(row["left"] > 0 for row in mine)
        body.append([verb, *(counts[manner] for manner in deaths.MANNERS), left, faults])
    return [text, *_table(header, body)]


def _disk_table(rows: list[Row]) -> list[str]:
    full = sum(row["full"] for row in rows)
    text = (
        f"\n## A full disk\n\n{len(rows)} runs on a disk with room for a part of what the command "
        f"writes; in {full} of them it was full. The command must end with exit code 2 and say so, "
        "leave nothing half-written, and, on a larger disk, end as an unbroken run does.\n"
    )
    body = []
    for verb in dict.fromkeys(row["verb"] for row in rows):
        mine = [row for row in rows if row["verb"] == verb]
        counts = len(mine), sum(row["full"] for row in mine)
        body.append([verb, *counts, sum(bool(row["faults"]) for row in mine)])
    return [text, *_table(["command", "disks", "full", "faults"], body)]


def _mutant_table(rows: list[Row]) -> list[str]:
    text = (
        f"\n## Damaged inputs\n\n{len(rows)} mutants: bytes cut, flipped, doubled or overwritten; "
        "values of documents replaced, removed, nested deeply or exchanged. A fault is anything "
        f"but a user's error or a success, more than {mutants.MOST_SECONDS} s of a core, more than "
        f"{mutants.MOST_BYTES // 2**30} GiB, a program started, a connection opened, or a file "
        "written outside the command's folder.\n"
    )
    header = ["input", "mutants", "refused", "read", "faults", "slowest, s", "most memory, MiB"]
    body = []
    for name in dict.fromkeys(row["family"] for row in rows):
        mine = [row for row in rows if row["family"] == name]
        counts = Counter(row["outcome"] for row in mine)
        most = [f"{max(row['seconds'] for row in mine):.1f}", round(max(r["mib"] for r in mine))]
        tally = (counts[outcome] for outcome in ("refused", "read", "fault"))
        body.append([name, len(mine), *tally, *most])
    return [text, *_table(header, body)]


def _place_table(rows: list[Row]) -> list[str]:
    text = "\n## Other surroundings\n\nA digest of every byte that a command leaves.\n"
    body = [[row["place"], f"`{row['digest'].splitlines()[0]}`"] for row in rows]
    kinds = [{r["digest"] for r in rows if r["place"].startswith(k)} for k in ("syn", "bat")]
    same = all(len(digests) <= 1 for digests in kinds)
    end = f"\nThe same everywhere: {'yes' if same else '**no**'}."
    return [text, *_table(["run", "digest"], body), end]


def _faults(rows: list[Row]) -> list[str]:
    found = [(row["case"], fault) for row in rows for fault in row.get("faults", ())]
    lines = [f"- {case}: {' '.join(fault.split())[:300]}" for case, fault in found]
    return ["\n## Faults\n", *(lines or ["None."])]


def _table(header: list[str], body: list[list[Any]]) -> list[str]:
    lines = [" | ".join(header), " | ".join(["---"] + ["---:"] * (len(header) - 1))]
    lines += [" | ".join(map(str, row)) for row in body]
    return [f"| {line} |" for line in lines]


if __name__ == "__main__":
    tyro.cli(main)
