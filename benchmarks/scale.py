"""Large batches: the plan of a million items, 20 000 small items, one worker and two, stores.

    python -m benchmarks.scale plan
    python -m benchmarks.scale steady [--count 20000] [--store tar]
    python -m benchmarks.scale workers DATA [--count 200] [--pairs 3]
    python -m benchmarks.scale stores DATA [--count 200]

Each command replaces its section of benchmarks/scale.md. `plan` and `steady` need no data: they
draw photographs of 64² and paste defects on them. `workers` needs two free cores. Linux only,
because memory is read from /proc.
"""

import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from tyro.extras import SubcommandApp

from benchmarks._hardware import heading
from benchmarks.batch import Lines, processor_seconds, resident
from blemish.files import write_atomically
from blemish.names import StoreName
from blemish.pictures import write_picture

REPORT = Path(__file__).with_suffix(".md")
SIDE, PHOTOGRAPHS = 64, 20
BEFORE, EVERY = 1000, 1000  # items before memory counts, and items of each figure
SMALL = """seed = 0

[[group]]
defect = "spot"
count = {count}
photographs = "small/train/good"
method = "paste"
real = "small"
mask_kind = "blob"
area = [0.01, 0.06]
strength = [0.4, 1]
"""
LARGE = """bundle = "{bundle}"
seed = 0

[[group]]
defect = "{defect}"
count = {count}
photographs = "{photographs}"
mask_kind = "blob"
area = [0.01, 0.06]
strength = [0.6, 1]
"""

app = SubcommandApp()


@app.command
def plan(items: int = 1_000_000) -> None:
    """Time and memory of the dry run of a large recipe.

    Args:
        items: Number of items.
    """
    with TemporaryDirectory() as place:
        recipe = _small(Path(place), items)
        start, process = time.monotonic(), _run(recipe, "out", "--dry-run")
        peak = _peak(process)
        seconds = time.monotonic() - start
    line = f"- Dry run of {items} items: {seconds:.1f} s, peak memory {peak:.0f} MiB."
    _write("A plan", f"plan --items {items}", [line])


@app.command
def steady(count: int = 20_000, workers: int = 2, store: StoreName = "tar") -> None:
    """Memory and throughput from the first thousand items to the last.

    Args:
        count: Number of items.
        workers: Number of processes.
        store: Store of the data set.
    """
    with TemporaryDirectory() as place:
        out = Path(place) / "out"
        recipe = _small(Path(place), count)
        process = _run(recipe, str(out), "--workers", str(workers), "--store", store)
        peaks, times, spent = _watched(process, out)
        lines = [_memory(peaks), _pace(times, "second"), _pace(spent, "processor second")]
        lines.append(_stored(out, count))
    command = f"steady --count {count} --workers {workers} --store {store}"
    _write("Small items", command, lines)


@app.command
def workers(
    data: Path,
    /,
    count: int = 200,
    pairs: int = 3,
    bundle: str = "hazelnut",
    defect: str = "colour",
) -> None:
    """Throughput of two workers as a multiple of one, in pairs of runs.

    Args:
        data: Folder with good photographs in train/good.
        count: Number of items of a run.
        pairs: Number of pairs; the order within a pair alternates.
        bundle: Bundle that makes the items.
        defect: Type of the defect.
    """
    with TemporaryDirectory() as place:
        recipe, ratios, paces = _large(Path(place), data, count, bundle, defect), [], []
        for pair in range(pairs):
            took = {k: _timed(recipe, pair, k) for k in ((1, 2) if pair % 2 else (2, 1))}
            ratios.append(took[1] / took[2])
            paces.append(took[1] / count)
    lines = [
        f"- Two workers make {median(ratios):.2f} times as many items as one: "
        + ", ".join(f"{ratio:.2f}" for ratio in ratios)
        + f" in {pairs} pairs of runs of {count} items, starts included.",
        f"- One worker: {median(paces):.2f} s an item.",
    ]
    command = f"workers DATA --count {count} --pairs {pairs} --bundle {bundle} --defect {defect}"
    _write("Two workers", command, lines)


@app.command
def stores(
    data: Path, /, count: int = 200, bundle: str = "hazelnut", defect: str = "colour"
) -> None:
    """Files and bytes of each store.

    Args:
        data: Folder with good photographs in train/good.
        count: Number of items.
        bundle: Bundle that makes the items.
        defect: Type of the defect.
    """
    names: tuple[StoreName, ...] = ("folder", "tar", "parquet")
    lines = []
    with TemporaryDirectory() as place:
        recipe = _large(Path(place), data, count, bundle, defect)
        for name in names:
            out, start = Path(place) / name, time.monotonic()
            assert _run(recipe, str(out), "--store", name).wait() == 0, name
            lines.append(f"{_stored(out, count)} Store {name}, {time.monotonic() - start:.0f} s.")
    command = f"stores DATA --count {count} --bundle {bundle} --defect {defect}"
    _write("Stores", command, lines)


def _small(place: Path, count: int) -> Path:
    """A recipe of small items, with drawn photographs of discs and of spots on them."""
    rng = np.random.default_rng(0)
    for k in range(PHOTOGRAPHS):
        _draw(place / "small" / "train" / "good" / f"{k:02d}.png", rng, spot=False)
    for k in range(6):
        mask = _draw(place / "small" / "test" / "spot" / f"{k:02d}.png", rng, spot=True)
        file = place / "small" / "ground_truth" / "spot" / f"{k:02d}_mask.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_picture(file, mask)
    (place / "recipe.toml").write_text(SMALL.format(count=count))
    return place / "recipe.toml"


def _draw(file: Path, rng: np.random.Generator, *, spot: bool) -> np.ndarray:
    """Write a grainy disc, with a dark spot if asked for; returns the mask of the spot."""
    file.parent.mkdir(parents=True, exist_ok=True)
    picture, mask = np.full((SIDE, SIDE, 3), 20, np.uint8), np.zeros((SIDE, SIDE), np.uint8)
    cv2.circle(picture, (SIDE // 2, SIDE // 2), SIDE * 3 // 8, (120, 150, 180), -1)
    if spot:
        at = tuple(int(x) for x in rng.integers(SIDE * 3 // 8, SIDE * 5 // 8, size=2))
        for canvas, colour in ((picture, (30, 30, 40)), (mask, 255)):
            cv2.circle(canvas, at, int(rng.integers(4, 7)), colour, -1)
    grain = rng.normal(0, 5, picture.shape)
    write_picture(file, np.clip(picture + grain, 0, 255).astype(np.uint8))
    return mask


def _large(place: Path, data: Path, count: int, bundle: str, defect: str) -> Path:
    good = (data / "train" / "good").resolve()
    known = {"bundle": bundle, "defect": defect, "count": count, "photographs": good}
    (place / "recipe.toml").write_text(LARGE.format(**known))
    return place / "recipe.toml"


def _run(recipe: Path, out: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "blemish", "batch", str(recipe), "--out", out]
    command += ["--device", "cpu", *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _timed(recipe: Path, pair: int, workers: int) -> float:
    start, out = time.monotonic(), recipe.parent / f"{pair}-{workers}"
    assert _run(recipe, str(out), "--workers", str(workers)).wait() == 0
    return time.monotonic() - start


def _peak(process: subprocess.Popen) -> float:
    """Highest memory of a command in MiB; it must succeed."""
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(0.02)
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return peak


def _watched(
    process: subprocess.Popen, out: Path
) -> tuple[dict[int, float], list[float], list[float]]:
    """Peaks in MiB by thousand of items, and time and processor time when each was there."""
    peaks: dict[int, float] = {}
    times, spent, lines = [time.monotonic()], [0.0], Lines(out)
    while process.poll() is None:
        thousand = lines.count() // EVERY
        more = thousand + 1 - len(times)
        times += [time.monotonic()] * more
        spent += [processor_seconds(process.pid)] * more
        peaks[thousand] = max(peaks.get(thousand, 0), resident(process.pid))
        time.sleep(0.25)
    assert process.returncode == 0, f"the run ended with {process.returncode}"
    return peaks, times, spent


def _memory(peaks: dict[int, float]) -> str:
    known = sorted(k for k in peaks if k >= BEFORE // EVERY)
    first, last = peaks[known[0]], peaks[known[-2]]
    return (
        f"- Memory of all processes: peak {first:.0f} MiB over the second thousand items, "
        f"{last:.0f} MiB over the last ({(last / first - 1) * 100:+.1f} %)."
    )


def _pace(times: list[float], unit: str) -> str:
    took = np.diff(times)[1:]  # the first thousand has the start of the processes in it
    first, last = EVERY / took[0], EVERY / took[-1]
    return (
        f"- Throughput: {first:.1f} items a {unit} in the second thousand, {last:.1f} in the last "
        f"({(last / first - 1) * 100:+.1f} %); slowest thousand {EVERY / took.max():.1f}."
    )


def _stored(out: Path, count: int) -> str:
    files = [file.stat().st_size for file in out.rglob("*") if file.is_file()]
    return f"- {len(files)} files, {sum(files) / count / 2**10:.1f} KiB an item."


def _write(title: str, command: str, lines: list[str]) -> None:
    """Print a section, and put it into the report in place of its older one."""
    section = "#" + "\n".join([heading(title, f"python -m benchmarks.scale {command}"), *lines])
    print(section)
    old = REPORT.read_text() if REPORT.exists() else "# Large batches\n"
    head, *known = old.rstrip("\n").split("\n## ")
    kept = [one for one in known if not one.startswith(f"{title}\n")]
    whole = [head.rstrip("\n"), *("## " + one.rstrip("\n") for one in kept), section]
    write_atomically(REPORT, ("\n\n".join(whole) + "\n").encode())


if __name__ == "__main__":
    app.cli()
