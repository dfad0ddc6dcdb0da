"""Items of a recipe, made by several processes and recorded in order.

A process makes an item and writes its files; the main process adds its row to the manifest once all
earlier rows are there. So the manifest is always a prefix of the finished one. A resumed run
continues after it and writes any later files again, with the same bytes. Only the comparison of an
item with earlier ones (near-duplicates) is made here, in the same order.
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
    """Recipe, and the folder in which its items are made or resumed.

    Args:
        recipe: Recipe of the items.
        root: Folder of the items.
        device: Device to compute on.
        keep_all: Keep the images of refused items.

    Attributes:
        done: Number of items with a row.

    Raises:
        DataError: The folder contains items of another recipe.
        OutputError: The folder can't be written to.
    """

    def __init__(
        self, recipe: Recipe, root: Path, *, device: str = "cpu", keep_all: bool = False
    ) -> None:
        self.recipe, self.root, self.keep_all = recipe, root, keep_all
        self.workplace = Workplace(
            root=root.absolute(), device=device, keep_all=keep_all, reading=recipe.reading
        )
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
        """Make the missing items; failures don't stop it.

        Args:
            workers: Number of processes; it changes only the time.

        Yields:
            Each item's row, once the manifest has it.

        Raises:
            OutputError: The folder can no longer be written to.
            BlemishError: The operating system has killed a process.
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
        """Row of an item that may be a near-duplicate of an earlier one on the same photograph."""
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
        """Restore the state that an uninterrupted run would have after this row."""
        if row.get("index") != self.done or self.done >= len(self):
            raise DataError(
                got=f"{self.dataset.manifest}: line {self.done + 1} belongs to another item",
                expected="one line per item, in order",
                todo="Choose another folder, or restore the manifest.",
            )
        if row["outcome"] == "kept":
            self._earlier(row)
        self.done += 1
