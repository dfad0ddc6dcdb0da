"""What a verb tells while it works, and what it prints behind it."""

import json
import sys


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


def print_json(value: object) -> None:
    """Print figures."""
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
