"""Summary of a batch: counts, reasons and median scores; no times and no paths."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from blemish.files import write_atomically
from blemish.synthesis.batch.medians import Medians

REPORT = "report.json"
FAILURES = 5


class BatchSummary:
    """Counter of a manifest's rows; its memory does not grow with their number."""

    def __init__(self) -> None:
        self.outcomes: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.scores = Medians()
        self.reasons: Counter[str] = Counter()
        self.failures: list[dict[str, str]] = []

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one row."""
        kind, outcome = row["type"], row["outcome"]
        self.outcomes[kind][outcome] += 1
        if outcome == "refused":
            self.reasons.update(map(_cause, row["reasons"]))
        if outcome == "failed" and len(self.failures) < FAILURES:
            self.failures.append({"name": row["name"], "reason": row["reasons"][0]})
        for name, value in row.get("scores", {}).items() if outcome == "kept" else ():
            if not isinstance(value, bool):
                self.scores.add(kind, name, value)

    def figures(self) -> dict[str, Any]:
        """Figures as JSON values.

        Returns:
            The number of items by outcome, in total and by type, with the medians of the scores of
            kept items; the number of times each reason occurred, without its figures; and the
            first failure.
        """
        total = sum(self.outcomes.values(), Counter())
        types = {
            kind: {**_counts(count), "medians": self._medians(kind)}
            for kind, count in sorted(self.outcomes.items())
        }
        reasons = dict(sorted(self.reasons.items()))
        return {**_counts(total), "types": types, "reasons": reasons, "failures": self.failures}

    def _medians(self, kind: str) -> dict[str, float]:
        return {name: round(value, 5) for name, value in self.scores.of(kind).items()}


def figures_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures of a manifest's rows."""
    tally = BatchSummary()
    for row in rows:
        tally.add(row)
    return tally.figures()


def write_report(path: Path, rows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Write the figures of a manifest's rows as JSON, and return them."""
    figures = figures_of(rows)
    write_atomically(path, (json.dumps(figures, indent=2, ensure_ascii=False) + "\n").encode())
    return figures


def _counts(outcomes: Counter[str]) -> dict[str, int]:
    counts = {outcome: outcomes[outcome] for outcome in ("kept", "refused", "failed")}
    return {"items": outcomes.total(), **counts}


def _cause(reason: str) -> str:
    """A reason without its figures, which follow the colon."""
    return reason.split(":")[0]
