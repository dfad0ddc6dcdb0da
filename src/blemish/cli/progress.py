"""Progress of a verb on stderr, and the figures that it prints."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """A line on stderr, with the time that remains; it appears with the first report."""

    def __init__(self, what: str, total: int) -> None:
        from blemish.tracking import ProgressLine

        self.line, self.total = ProgressLine(what, total), total

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.line.stop()

    def step(self, index: int) -> None:
        """Item `index` is done."""
        self.part(index + 1)

    def part(self, done: float) -> None:
        """So many items are done; part of one counts too. After the last the line is left."""
        self.line.start()
        self.line.update(done)
        if done >= self.total:
            self.line.stop()

    def say(self, what: str) -> None:
        """Report what is being done; an item is done once it is made."""
        self.line.start()
        self.line.update(self.line.done + what.startswith("made"), note=what)


@contextmanager
def carried_on() -> Iterator[None]:
    """On Ctrl-C and SIGTERM, say that a second run goes on where this one stopped."""
    try:
        yield
    except KeyboardInterrupt as error:
        hint = "Run the same again to carry on; what has been made is kept."
        raise type(error)(hint) from None


def print_json(value: object) -> None:
    """Print figures."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
