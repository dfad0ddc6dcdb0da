"""Output of the verbs: progress while they run, figures when they finish."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """Progress line on stderr with the remaining time; it appears with the first update."""

    def __init__(self, what: str, total: int) -> None:
        from blemish.tracking import ProgressLine

        self.line, self.total = ProgressLine(what, total), total

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.stop()

    def step(self, index: int) -> None:
        """Mark item `index` as done."""
        self.part(index + 1)

    def part(self, done: float) -> None:
        """Set the number of finished items, which may be fractional; the last one ends the line."""
        self.line.start()
        self.line.update(done)
        if done >= self.total:
            self.line.stop()

    def say(self, what: str) -> None:
        """Show a message; one that starts with "made" marks an item as done."""
        self.line.start()
        self.line.update(self.line.done + what.startswith("made"), note=what)


@contextmanager
def carried_on() -> Iterator[None]:
    """Add a hint to Ctrl-C and SIGTERM: a second run resumes this one."""
    try:
        yield
    except KeyboardInterrupt as error:
        hint = "Run the same command again to resume; finished items are kept."
        raise type(error)(hint) from None


def print_json(value: object) -> None:
    """Print figures."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
