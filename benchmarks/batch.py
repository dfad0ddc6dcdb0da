"""A thousand items on real photographs: memory, interruption, labels, refusals.

    python -m benchmarks.batch DATA [--count N] [--workers N]

One run is not interrupted, and its memory is recorded: the resident sets of the command and its
workers together, the peak of each hundred items. Another is killed with SIGKILL three times and run
again; both folders are then compared byte for byte. Figures of labels come from the files of the
first. Linux only, because it reads /proc.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from filecmp import cmpfiles
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import tyro

from benchmarks._hardware import heading
from blemish.evaluation.synthesis.drift import drift_of
from blemish.evaluation.synthesis.items import read_synthetic
from blemish.files import write_atomically
from blemish.synthesis.dataset import Dataset

REPORT = Path(__file__).with_suffix(".md")
KILLS = 3
RECIPE = """bundle = "hazelnut"
seed = 0

[[group]]
defect = "colour"
count = {blobs}
photographs = "{photographs}"
strength = [0.6, 1]
draw = {{ kind = "blob", area = [0.01, 0.06] }}

[[group]]
defect = "colour"
count = {rest}
photographs = "{photographs}"
draw = {{ kind = "spots", area = [0.01, 0.03] }}
"""


def main(data: Path, /, count: int = 1000, workers: int = 2) -> None:
    """Measure, print, and write benchmarks/batch.md.

    Args:
        data: Folder with good photographs in train/good.
        count: Number of items.
        workers: Number of processes.
    """
    with TemporaryDirectory() as place:
        recipe = Path(place) / "recipe.toml"
        good, half = (data / "train" / "good").resolve(), count // 2
        recipe.write_text(RECIPE.format(photographs=good, blobs=half, rest=count - half))
        unbroken, broken = Path(place) / "unbroken", Path(place) / "broken"
        peaks, seconds = _watched(recipe, unbroken, workers)
        for kill in range(KILLS):
            _killed(recipe, broken, workers, (kill + 1) * count // (KILLS + 1))
        _run(recipe, broken, workers).wait()
        lines = [
            _memory(peaks),
            f"- {count} items in {seconds:.0f} s by {workers} processes: "
            f"{seconds / count:.2f} s an item.",
            f"- Killed {KILLS} times and run again: {_compared(unbroken, broken)}.",
            *_labels(unbroken),
        ]
    print(*lines, sep="\n")
    command = f"python -m benchmarks.batch DATA --count {count} --workers {workers}"
    about = " ".join((__doc__ or "").split("\n\n")[2].split())
    head = heading("A thousand items", command)
    write_atomically(REPORT, "\n".join([head, about, "", *lines, ""]).encode())


def _run(recipe: Path, out: Path, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-m", "blemish", "batch", str(recipe), "--out", str(out)]
    command += ["--workers", str(workers), "--device", "cpu"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _watched(recipe: Path, out: Path, workers: int) -> tuple[dict[int, float], float]:
    """Peaks in MiB by hundred of items, and how long it took."""
    peaks: dict[int, float] = {}
    start, process, lines = time.monotonic(), _run(recipe, out, workers), Lines(out)
    while process.poll() is None:
        hundred = lines.count() // 100
        peaks[hundred] = max(peaks.get(hundred, 0), resident(process.pid))
        time.sleep(0.2)
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return peaks, time.monotonic() - start


def _killed(recipe: Path, out: Path, workers: int, at: int) -> None:
    process, lines = _run(recipe, out, workers), Lines(out)
    _wait(lambda: lines.count() >= at or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(1)  # its workers leave when they see it gone


def _wait(ready: Callable[[], bool]) -> None:
    while not ready():
        time.sleep(0.1)


class Lines:
    """Number of lines of a growing manifest; each byte of it is read once."""

    def __init__(self, out: Path) -> None:
        self.file, self.read, self.known = out / "manifest.jsonl", 0, 0

    def count(self) -> int:
        """The number so far."""
        if self.file.exists():
            with self.file.open("rb") as file:
                file.seek(self.read)
                new = file.read()
            self.read, self.known = self.read + len(new), self.known + new.count(b"\n")
        return self.known


def resident(parent: int) -> float:
    """Memory in MiB of a process and its children together."""
    page = os.sysconf("SC_PAGE_SIZE")
    return sum(int(memory.split()[1]) for _, memory in _family(parent)) * page / 2**20


def processor_seconds(parent: int) -> float:
    """Processor time of a process and its children together, of those that still run."""
    tick = os.sysconf("SC_CLK_TCK")
    return sum(int(status[11]) + int(status[12]) for status, _ in _family(parent)) / tick


def _family(parent: int) -> Iterator[tuple[list[str], str]]:
    """Status and memory of a process and of each child, as /proc has them."""
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit():
                status = (folder / "stat").read_text().rsplit(")", 1)[1].split()
                if parent in (int(folder.name), int(status[1])):
                    yield status, (folder / "statm").read_text()
        except (FileNotFoundError, ProcessLookupError):
            pass  # it has just left


def _memory(peaks: dict[int, float]) -> str:
    *_, last = (peaks[k] for k in sorted(peaks)[:-1] or sorted(peaks))
    first = peaks[0]
    return (
        f"- Memory of all processes: peak {first:.0f} MiB over the first hundred items, "
        f"{last:.0f} MiB over the last ({(last / first - 1) * 100:+.1f} %)."
    )


def _compared(one: Path, other: Path) -> str:
    names = [
        {str(f.relative_to(root)) for f in root.rglob("*") if f.is_file()} for root in (one, other)
    ]
    same, differing, missing = cmpfiles(one, other, sorted(names[0] | names[1]), shallow=False)
    if differing or missing:
        return f"{len(differing)} files differ and {len(missing)} are missing on one side"
    return f"all {len(same)} files are the same, byte for byte"


def _labels(out: Path) -> list[str]:
    made = read_synthetic(out)
    drifts = [drift_of(i, *i.read()) for items in made.items.values() for i in items]
    known = [d for d in drifts if d is not None]
    rows = list(Dataset(out).rows())
    outcomes = Counter(row["outcome"] for row in rows)
    lines = [
        f"- Kept {outcomes['kept']}, refused {outcomes['refused']}, failed {outcomes['failed']} of "
        f"{len(rows)}; reasons: "
        + (", ".join(f"{reason} {n}" for reason, n in made.reasons.items()) or "none")
        + ".",
        f"- Of the kept: IoU of label and changed bytes, median "
        f"{median(d.changed for d in known):.3f}; of label and what is seen to change, "
        f"{median(d.visible for d in known):.3f}; of label and request, "
        f"{median(d.requested or 0 for d in known):.3f}; pixels changed outside labels: "
        f"{sum(d.outside_label for d in known)}, beyond the reach: "
        f"{sum(d.outside_reach or 0 for d in known)}.",
    ]
    return lines


if __name__ == "__main__":
    tyro.cli(main)
