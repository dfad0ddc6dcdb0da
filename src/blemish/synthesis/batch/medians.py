"""Medians of scores in flat memory, however many items there are."""

import sqlite3
from collections import Counter
from statistics import median
from weakref import finalize

from blemish.files import temporary_space

_TABLE = """
PRAGMA journal_mode = OFF;
CREATE TABLE scores (series INTEGER, value);
"""
_MIDDLE = "SELECT value FROM scores WHERE series = ? ORDER BY value LIMIT ? OFFSET ?"


class Medians:
    """Series of numbers, each with its median.

    They are in a temporary database, of which a few megabytes are in memory and the rest is in an
    unnamed file in the folder for temporary files.
    """

    def __init__(self) -> None:
        self.scores = sqlite3.connect("", isolation_level=None)
        self.scores.executescript(_TABLE)
        finalize(self, self.scores.close)
        self.counts: Counter[tuple[str, str]] = Counter()
        self.series: dict[tuple[str, str], int] = {}

    def add(self, kind: str, name: str, value: float) -> None:
        """Add a number to the series of a type's score.

        Raises:
            OutputError: The temporary file can't be written.
        """
        series = self.series.setdefault((kind, name), len(self.series))
        self.counts[kind, name] += 1
        with temporary_space("scores"):
            self.scores.execute("INSERT INTO scores VALUES (?, ?)", (series, value))

    def of(self, kind: str) -> dict[str, float]:
        """Medians of a type's scores, by name."""
        names = sorted(name for known, name in self.counts if known == kind)
        return {name: self._median(kind, name) for name in names}

    def _median(self, kind: str, name: str) -> float:
        count = self.counts[kind, name]
        place = (self.series[kind, name], 2 - count % 2, (count - 1) // 2)
        with temporary_space("scores"):
            return median(value for (value,) in self.scores.execute(_MIDDLE, place))
