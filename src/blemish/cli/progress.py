"""What a verb tells while it works, and what it prints behind it."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Progress:
    """A line on stderr, with the time that remains; it appears with the first news."""

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
        """Item `index` is done."""
        self.part(index + 1)

    def part(self, done: float) -> None:
        """So many items are done; part of one counts too. Behind the last the line is left."""
        self.bar.start()
        self.bar.update(self.line, completed=done)
        if done >= self.total:
            self.bar.stop()

    def say(self, what: str) -> None:
        """What is being done; an item is done when it was made."""
        self.bar.start()
        self.bar.update(self.line, note=what, advance=int(what.startswith("made")))


@contextmanager
def carried_on() -> Iterator[None]:
    """Ctrl-C tells that a second run goes on where this one was left."""
    try:
        yield
    except KeyboardInterrupt:
        hint = "Run the same again to carry on; what has been made is kept."
        raise KeyboardInterrupt(hint) from None


def print_json(value: object) -> None:
    """Print figures."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
