"""Output of the verbs: progress while they run, figures when they finish."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Progress line on stderr with the remaining time; it appears with the first update."""

    def __init__(self, what: str, total: int) -> None:
        from blemish.tracking import progress_bar

        self.bar, self.total = progress_bar(), total
        self.line = self.bar.add_task(what, total=total, note="")

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar.live.is_started:
            self.bar.stop()

    def step(self, index: int) -> None:
        """Mark item `index` as done."""
        self.part(index + 1)

    def part(self, done: float) -> None:
        """Set the number of finished items, which may be fractional; the last one ends the line."""
        self.bar.start()
        self.bar.update(self.line, completed=done)
        if done >= self.total:
            self.bar.stop()

    def say(self, what: str) -> None:
        """Show a message; one that starts with "made" marks an item as done."""
        self.bar.start()
        self.bar.update(self.line, note=what, advance=int(what.startswith("made")))


@contextmanager
def carried_on() -> Iterator[None]:
    """Add a hint to Ctrl-C: a second run resumes this one."""
    try:
        yield
    except KeyboardInterrupt:
        hint = "Run the same command again to resume; finished items are kept."
        raise KeyboardInterrupt(hint) from None


def print_json(value: object) -> None:
    """Print figures."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
