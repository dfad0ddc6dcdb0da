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
from blemish.names import StoreName
from blemish.stores.store import check_store
from blemish.synthesis.batch.comparison import Comparison
from blemish.synthesis.batch.items import Failed, Workplace
from blemish.synthesis.batch.packing import packing_of
from blemish.synthesis.batch.pool import in_order
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.batch.record import keep_record, refuse_shards
from blemish.synthesis.batch.summary import REPORT, write_report
from blemish.synthesis.batch.tasks import Task, task_of
from blemish.synthesis.dataset import Dataset, failed_row


class BatchFolder:
    """Recipe, and the folder in which its items are made or resumed.

    Args:
        recipe: Recipe of the items.
        root: Folder of the items.
        device: Device to compute on.
        keep_all: Keep the images of refused items.
        store: How the files of the items lie in the folder.

    Attributes:
        done: Number of items with a row.

    Raises:
        DataError: The folder contains items of another recipe, or shards.
        OutputError: The folder can't be written to.
    """

    def __init__(
        self,
        recipe: Recipe,
        root: Path,
        *,
        device: str = "cpu",
        keep_all: bool = False,
        store: StoreName = "folder",
    ) -> None:
        self.recipe, self.root = recipe, root
        refuse_shards(root)
        options = batch_options(recipe, device=device, keep_all=keep_all, store=store)
        ensure_writable(root)
        keep_record(root, {**options, "sha256": recipe.digests()})
        self.dataset, self.packing = Dataset(root), packing_of(root, store)
        self.packing.sweep()
        staging = self.packing.staging
        self.workplace = workplace_of(recipe, staging, device=device, keep_all=keep_all)
        self.comparison, self.done = Comparison(staging, keep_all=keep_all), 0
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
        try:
            with closing(made(self.recipe, self.workplace, missing, workers=workers)) as rows:
                for row in rows:
                    yield self._keep(row)
        finally:
            self.packing.sweep()

    def finish(self) -> dict[str, Any]:
        """Draw the contact sheet, and write and return the figures of the whole set."""
        self.packing.finish()
        return finish(self.dataset)

    def _keep(self, row: Row) -> Row:
        decided = self.packing.named(self.comparison.decide(row))
        self.dataset.append(decided)
        self.packing.add(decided)
        self.done += 1
        return decided

    def _recall(self, row: Row) -> None:
        """Restore the state that an uninterrupted run would have after this row."""
        refuse_misplaced(self.dataset.manifest, row, self.done, range(len(self)))
        self.comparison.recall(row)
        self.packing.recall(row)
        self.done += 1


def batch_options(
    recipe: Recipe, *, device: str, keep_all: bool, store: StoreName
) -> dict[str, Any]:
    """Options of a batch, as its record has them; `folder` is not recorded, as in older records.

    Raises:
        OptionError: A package that the store needs is not installed.
    """
    check_store(store)
    known = {"recipe": recipe.options(), "device": device, "keep_all": keep_all}
    return known if store == "folder" else {**known, "store": store}


def workplace_of(recipe: Recipe, root: Path, *, device: str, keep_all: bool) -> Workplace:
    """Output folder and settings of the items of a recipe."""
    return Workplace(root=root.absolute(), device=device, keep_all=keep_all, reading=recipe.reading)


def made(
    recipe: Recipe, workplace: Workplace, indices: range, *, workers: int
) -> Generator[Row, None, None]:
    """Rows of items in order, before they are compared with earlier ones.

    Args:
        recipe: Recipe of the items.
        workplace: Output folder and settings.
        indices: Their indices in the recipe.
        workers: Number of processes; it changes only the time.

    Yields:
        Each item's row after its files are written; a failed item has a row, too.
    """
    tasks = (task_of(recipe, index) for index in indices)
    workers = max(1, min(workers, len(indices)))
    with closing(in_order(workplace.make, tasks, workers=workers)) as results:
        for index, result in zip(indices, results, strict=True):
            yield row_of(task_of(recipe, index), result)


def finish(dataset: Dataset) -> dict[str, Any]:
    """Draw the contact sheet of a finished set, and write and return its figures."""
    dataset.contact_sheet()
    return write_report(dataset.root / REPORT, dataset)


def refuse_misplaced(manifest: Path, row: Row, line: int, due: range) -> None:
    """Refuse a row that belongs to another item than the one due there.

    Args:
        manifest: File of the row, for the message.
        row: The row.
        line: Number of its line, from 0.
        due: Indices of the items that the file may hold, in order.

    Raises:
        DataError: The row belongs to another item.
    """
    if line >= len(due) or row.get("index") != due[line]:
        raise DataError(
            got=f"{manifest}: line {line + 1} belongs to another item",
            expected="one line per item, in order",
            todo="Choose another folder, or restore the manifest.",
        )


def row_of(task: Task, result: Row | Failed) -> Row:
    """Row of an item that was made, or failed."""
    if isinstance(result, Failed):
        return failed_row(task.name, task.kind, task.facts(), result.reason)
    return result
