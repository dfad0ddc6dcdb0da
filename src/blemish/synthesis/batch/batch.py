"""A recipe's items, made by several processes and written down in order.

A process makes an item and writes its files; here its row is added to the manifest when all before
it are there. So the manifest is always the beginning of the finished one: a run that was killed is
carried on behind it, and what it had written beyond is written again, the same. Only what compares
an item with others, its likeness to an earlier one, is decided here, in that order too.
"""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any

from blemish.errors import DataError
from blemish.files import ensure_writable
from blemish.manifest import Row
from blemish.synthesis.batch.items import Failed, Workplace
from blemish.synthesis.batch.pool import in_order
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.batch.record import keep_record
from blemish.synthesis.batch.tally import write_report
from blemish.synthesis.batch.tasks import task_of
from blemish.synthesis.curation.duplicates import Known, from_text
from blemish.synthesis.dataset import Dataset


class Batch:
    """A recipe, and the folder in which its items are made or carried on.

    Args:
        recipe: What to make.
        root: The folder.
        device: What to work on.
        keep_all: Whether items that are refused keep their pictures.

    Attributes:
        done: How many items have a row.

    Raises:
        DataError: The folder holds items of something else.
        OutputError: It can't be written into.
    """

    def __init__(
        self, recipe: Recipe, root: Path, *, device: str = "cpu", keep_all: bool = False
    ) -> None:
        self.recipe, self.root, self.keep_all = recipe, root, keep_all
        self.workplace = Workplace(root=root.absolute(), device=device, keep_all=keep_all)
        ensure_writable(root)
        options = {"recipe": recipe.options(), "device": device, "keep_all": keep_all}
        keep_record(root, {**options, "sha256": recipe.digests()})
        self.dataset = Dataset(root)
        self.dataset.sweep()
        self.known, self.done = Known(), 0
        for row in self.dataset:
            self._recall(row)

    def __len__(self) -> int:
        return len(self.recipe)

    def make(self, *, workers: int) -> Generator[Row, None, None]:
        """Make what is missing, whatever fails.

        Args:
            workers: Processes to make it in; they change nothing but the time.

        Yields:
            Each item's row behind its place in the manifest.

        Raises:
            OutputError: The folder can't be written into any longer.
            BlemishError: The system has killed a process.
        """
        missing = range(self.done, len(self))
        tasks = (task_of(self.recipe, index) for index in missing)
        workers = max(1, min(workers, len(missing)))
        try:
            with closing(in_order(self.workplace.make, tasks, workers=workers)) as results:
                for index, result in zip(missing, results, strict=True):
                    yield self._keep(index, result)
        finally:
            self.dataset.sweep()

    def finish(self) -> dict[str, Any]:
        """Draw the contact sheet, and write and return the figures of the whole set."""
        self.dataset.contact_sheet()
        return write_report(self.root / "report.json", self.dataset)

    def _keep(self, index: int, result: Row | Failed) -> Row:
        if isinstance(result, Failed):
            task = task_of(self.recipe, index)
            row = self.dataset.fail(task.name, task.kind, task.facts(), result.reason)
        else:
            row = self._compared(result)
            self.dataset.append(row)
        self.done += 1
        return row

    def _compared(self, row: Row) -> Row:
        """The row of an item that may be like an earlier one on the same photograph."""
        earlier = self._earlier(row) if row["outcome"] == "kept" else None
        if earlier is None:
            return row
        files = dict(row["files"])
        if not self.keep_all:
            for kind in ("image", "mask"):
                (self.root / files.pop(kind)).unlink()
        reasons = [f"near-duplicate: like {earlier}"]
        verdict = {"outcome": "refused", "reasons": reasons, "duplicate_of": earlier}
        return {**row, **verdict, "files": files}

    def _earlier(self, row: Row) -> str | None:
        return self.known.like(row["photograph"], from_text(row["fingerprint"]), row["name"])

    def _recall(self, row: Row) -> None:
        """What an unbroken run would know behind this row."""
        if row.get("index") != self.done or self.done >= len(self):
            raise DataError(
                got=f"{self.dataset.manifest}, whose line {self.done + 1} is another item's",
                expected="a line for each item, in order",
                todo="Choose another folder, or bring the manifest back as it was.",
            )
        if row["outcome"] == "kept":
            self._earlier(row)
        self.done += 1
