"""Near-duplicates of a batch, decided in the order of its items."""

from pathlib import Path

from blemish.manifest import Row
from blemish.synthesis.curation.duplicates import Known, from_text


class Comparison:
    """Kept items of a batch so far, with which each new one is compared.

    Args:
        root: Folder of the items.
        keep_all: Keep the images of refused items.
    """

    def __init__(self, root: Path, *, keep_all: bool) -> None:
        self.root, self.keep_all, self.known = root, keep_all, Known()

    def decide(self, row: Row) -> Row:
        """Row of an item that may be a near-duplicate of an earlier one on the same photograph.

        The files of a duplicate are removed; a decision can be repeated after an interruption.
        """
        earlier = self._earlier(row)
        if earlier is None:
            return row
        files = dict(row["files"])
        if not self.keep_all:
            for kind in {"image", "mask", "classes"} & {*files}:
                (self.root / files.pop(kind)).unlink(missing_ok=True)
        reasons = [f"near-duplicate: like {earlier}"]
        verdict = {"outcome": "refused", "reasons": reasons, "duplicate_of": earlier}
        return {**row, **verdict, "files": files}

    def recall(self, row: Row) -> None:
        """Remember an item that was decided before."""
        self._earlier(row)

    def _earlier(self, row: Row) -> str | None:
        if row["outcome"] != "kept":
            return None
        return self.known.like(row["photograph"], from_text(row["fingerprint"]), row["name"])
