"""Progress of a long run: a progress line, `stats.jsonl`, and curves."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from blemish.files import append_line, read_lines, replacing, write_atomically


def progress_bar(*, quiet: bool = False) -> Progress:
    """Progress line on stderr, with the remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(file=sys.stderr),
        disable=quiet,
    )


class Statistics:
    """Means of a run's values, one JSON line for each window of steps.

    Args:
        path: The `.jsonl` file; lines after `resume_step` are removed, so that an interrupted run
            and an uninterrupted one leave the same file except for their times.
        resume_step: Steps already done.
    """

    def __init__(self, path: Path, *, resume_step: int = 0) -> None:
        self.path = path
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        self.started, self.nimg_then = monotonic(), -1
        kept = [line for line in read_lines(path) if json.loads(line)["step"] <= resume_step]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def flush(self, *, step: int, nimg: int) -> str:
        """Write the window's means and start the next window; returns them as text."""
        means = {k: self.sums[k] / self.counts[k] for k in self.sums}
        now = monotonic()
        speed = (nimg - self.nimg_then) / (now - self.started) if self.nimg_then >= 0 else None
        self.started, self.nimg_then = now, nimg
        row = {"step": step, "kimg": round(nimg / 1000, 3), **means, "images_per_s": speed}
        append_line(self.path, json.dumps(row))
        self.sums, self.counts = {}, {}
        pace = "" if speed is None else f" {speed:.1f} images/s"
        return f"{nimg / 1000:.1f} kimg{pace} " + " ".join(f"{k} {v:.3g}" for k, v in means.items())


def draw_curves(stats: Path, picture: Path) -> None:
    """Plot every series of a `stats.jsonl` over kimg, one panel each."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in read_lines(stats)]
    names = [k for k in dict.fromkeys(k for row in rows for k in row) if k not in ("step", "kimg")]
    if not names:
        return
    figure, axes = pyplot.subplots(
        len(names), 1, figsize=(7, 1.6 * len(names)), sharex=True, squeeze=False
    )
    for axis, name in zip(axes[:, 0], names, strict=True):
        known = [(row["kimg"], row[name]) for row in rows if row.get(name) is not None]
        axis.plot(*zip(*known, strict=True), linewidth=1) if known else None
        axis.set_ylabel(name, fontsize=7)
    axes[-1, 0].set_xlabel("kimg")
    figure.tight_layout()
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
    pyplot.close(figure)
