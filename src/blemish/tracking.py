"""What a long run reports: a progress line, `stats.jsonl`, and curves."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from blemish.documents import parse_json
from blemish.files import append_line, read_lines, replacing, write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.console import Console, RenderableType
    from rich.progress import Progress

EVERY = 60.0  # seconds between lines where there is no terminal


class ProgressLine:
    """Progress on stderr: a bar on a terminal, elsewhere a line a minute and one at the end.

    Args:
        what: Name of the work, as users read it.
        total: Amount of work; `update` counts up to it.
        quiet: Show nothing.
        console: Place to write to; stderr by default.
    """

    def __init__(
        self, what: str, total: float, *, quiet: bool = False, console: "Console | None" = None
    ) -> None:
        self.what, self.total, self.done = what, total, 0.0
        self.count = self.note = ""
        self.running = False
        self.view: _View = _Silence() if quiet else _view(self, console)

    def __enter__(self) -> "ProgressLine":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Show the line; a second call does nothing."""
        if not self.running:
            self.running = True
            self.view.start()

    def update(
        self,
        done: float,
        *,
        what: str | None = None,
        count: str | None = None,
        note: str | None = None,
    ) -> None:
        """Report that `done` of the total is done.

        Args:
            done: Amount of work.
            what: Name of the part of the work that is under way.
            count: Amount done as users read it; by default "done/total".
            note: Figures and the like, shown below the bar.
        """
        self.done, self.count = done, count or f"{done:.0f}/{self.total:.0f}"
        self.what = self.what if what is None else what
        self.note = self.note if note is None else note
        if self.running:
            self.view.update()

    def stop(self) -> None:
        """Leave the line as it is; a second call does nothing."""
        if self.running:
            self.running = False
            self.view.stop()


class _View(Protocol):
    def start(self) -> None: ...
    def update(self) -> None: ...
    def stop(self) -> None: ...


class _Silence:
    def start(self) -> None:
        """Show nothing."""

    update = stop = start


class _Lines:
    """Whole lines, for logs; the time left is that at the pace of the part under way."""

    def __init__(self, line: ProgressLine) -> None:
        self.line = line

    def start(self) -> None:
        self.began = self.shown = monotonic()
        self._begin_part()

    def update(self) -> None:
        if self.line.what != self.part:
            self._begin_part()
        if monotonic() - self.shown >= EVERY:
            self._show()

    def stop(self) -> None:
        self._show()

    def _begin_part(self) -> None:
        self.part, self.part_began, self.begun_at = self.line.what, monotonic(), self.line.done

    def _show(self) -> None:
        self.shown = monotonic()
        line, made = self.line, self.line.done - self.begun_at
        rest, took = line.total - line.done, self.shown - self.part_began
        left = took * rest / made if made > 0 else None
        times = f"{_clock(self.shown - self.began)} so far"
        times += "" if left is None else f", {_clock(left)} left"
        text = f"{line.what}: {line.count or 'begun'}, {times}"
        print(text + (f"; {line.note}" if line.note else ""), file=sys.stderr, flush=True)


class _Bar:
    """A bar with count and time, and the note below it, where it can't squeeze them."""

    def __init__(self, line: ProgressLine, console: "Console") -> None:
        self.line = line
        self.progress = _progress(line, console)
        self.task = self.progress.add_task(line.what, total=line.total, count="")

    def start(self) -> None:
        self.update()
        self.progress.start()

    def update(self) -> None:
        line = self.line
        self.progress.update(
            self.task, description=line.what, completed=line.done, count=line.count
        )

    def stop(self) -> None:
        self.progress.stop()


def _view(line: ProgressLine, console: "Console | None") -> "_Bar | _Lines":
    from rich.console import Console

    console = console or Console(file=sys.stderr)
    return _Bar(line, console) if console.is_terminal else _Lines(line)


def _progress(line: ProgressLine, console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class WithNote(Progress):
        def get_renderables(self) -> "list[RenderableType]":
            table = self.make_tasks_table(self.tasks)
            return [table, Text(line.note)] if line.note else [table]

    return WithNote(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}"),
        TimeRemainingColumn(),
        console=console,
    )


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class Statistics:
    """Means of a run's values, one JSON line for each window of steps.

    Args:
        path: The `.jsonl` file; lines after `resume_step` are removed, so that an interrupted run
            and an uninterrupted one leave the same file except for their times.
        resume_step: Steps already done.
        window: `window()` of the run that is resumed; its steps count towards the next line.

    Attributes:
        last: Figures of the last line, by name.
    """

    def __init__(self, path: Path, *, batch: int, resume_step: int = 0, window: str = "{}") -> None:
        self.path, self.batch = path, batch
        self.last: dict[str, float] = {}
        self.sums: dict[str, float] = {}
        self.counts: dict[str, int] = {}
        with suppress(ValueError, TypeError, AttributeError):  # a damaged one only shifts a mean
            begun = {
                name: (float(total), int(count))
                for name, (total, count) in parse_json(window).items()
            }
            self.sums = {name: total for name, (total, _) in begun.items()}
            self.counts = {name: count for name, (_, count) in begun.items()}
        self.started, self.step_then = monotonic(), -1
        kept = [json.dumps(row) for row in read_statistics(path) if row["step"] <= resume_step]
        write_atomically(path, "".join(f"{line}\n" for line in kept).encode())

    def add(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def window(self) -> str:
        """Sums and counts since the last line, as JSON."""
        return json.dumps({name: [self.sums[name], self.counts[name]] for name in self.sums})

    def flush(self, *, step: int, nimg: int) -> str:
        """Write the window's means and start the next window; returns them as text.

        Args:
            step: Steps that are done.
            nimg: Images that the critic has been shown.
        """
        means = {k: self.sums[k] / self.counts[k] for k in self.sums}
        speed = self._speed(step)
        row = {"step": step, "kimg": round(nimg / 1000, 3), **means, "images_per_s": speed}
        append_line(self.path, json.dumps(row))
        self.sums, self.counts = {}, {}
        pace = "" if speed is None else f"{speed:.1f} images/s  "
        self.last = {k: v for k, v in row.items() if k != "step" and v is not None}
        return pace + "  ".join(f"{k} {v:.3g}" for k, v in means.items())

    def _speed(self, step: int) -> float | None:
        """Images per second since the last line; None for the first."""
        now, known = monotonic(), self.step_then >= 0
        speed = (step - self.step_then) * self.batch / (now - self.started) if known else None
        self.started, self.step_then = now, step
        return speed


def draw_curves(stats: Path, picture: Path) -> None:
    """Plot every series of a `stats.jsonl` over the steps, one panel each."""
    rows = read_statistics(stats)
    names = [k for k in dict.fromkeys(k for row in rows for k in row) if k not in ("step", "kimg")]
    if not names:
        return
    with panels(picture, names, "steps") as axes:
        for axis, name in zip(axes, names, strict=True):
            known = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            axis.plot(*zip(*known, strict=True), linewidth=1) if known else None


@contextmanager
def panels(picture: Path, names: Sequence[str], below: str) -> Iterator[Sequence["Axes"]]:
    """One panel for each name, one below the other, which are written as a PNG at the end.

    Args:
        picture: File.
        names: Labels of the panels.
        below: Label of the axis that they share.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        len(names), 1, figsize=(7, 1.6 * len(names)), sharex=True, squeeze=False
    )
    for axis, name in zip(axes[:, 0], names, strict=True):
        axis.set_ylabel(name, fontsize=7)
    axes[-1, 0].set_xlabel(below)
    yield [*axes[:, 0]]
    figure.tight_layout()
    with replacing(picture) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
    pyplot.close(figure)


def read_statistics(stats: Path) -> list[dict[str, Any]]:
    """The lines of a `stats.jsonl`; one that is damaged is left out, since it only draws curves."""
    rows: list[dict[str, Any]] = []
    for line in read_lines(stats):
        with suppress(ValueError):
            row = parse_json(line)
            if isinstance(row, dict) and all(
                _is_number(row.get(name)) for name in ("step", "kimg")
            ):
                rows.append({k: v if _is_number(v) else None for k, v in row.items()})
    return rows


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
