"""The terms of the progress line, as docs/training.md explains them."""

import re
from collections.abc import Iterable
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs" / "training.md"


def unexplained(rows: Iterable[dict[str, float]]) -> set[str]:
    """Names in lines of `stats.jsonl` that the documentation does not explain."""
    table = re.findall(r"^\|(.*?)\|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    known = {term for cell in table for term in re.findall(r"`(\w+)`", cell)}
    return {name for row in rows for name in row} - known - {"step", "kimg", "images_per_s"}
