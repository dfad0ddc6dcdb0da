"""Portion of a batch: some consecutive items, made by one process into one tar archive.

    portions/000012.tar      items.jsonl with their rows, machine.json, and the files of the items

A portion depends on the recipe alone, so it may be made any number of times, anywhere. It begins
where the photograph changes, as a shard does.
"""

import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blemish.manifest import Row, append_row, read_rows
from blemish.stores.tar import add_member, extract
from blemish.synthesis.batch.batch import refuse_misplaced, row_of, workplace_of
from blemish.synthesis.batch.machine import machine
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.batch.shards import Shard
from blemish.synthesis.batch.tasks import task_of

PORTIONS = "portions"
SIZE = 100
ROWS, MACHINE = "items.jsonl", "machine.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """What makes the portions of a recipe; it can be sent to another machine.

    Attributes:
        recipe: Recipe, whose files that machine sees under the same paths.
        device: Device to compute on.
        keep_all: Keep the images of refused items.
        size: Items of a portion, but for those that share a photograph with the last one.
    """

    recipe: Recipe
    device: str = "cpu"
    keep_all: bool = False
    size: int = SIZE

    def __len__(self) -> int:
        return -(-len(self.recipe) // self.size)

    def items(self, number: int) -> range:
        """Indices of a portion's items; the number starts at 0."""
        return Shard(number=number + 1, count=len(self)).items(self.recipe)

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Temporary folder in which to make items."""
        with TemporaryDirectory(prefix="blemish-") as place:
            yield Path(place)

    def made(self, number: int, folder: Path) -> Iterator[Row]:
        """Rows of a portion's items, not yet compared with others, after their files.

        Args:
            number: Number of the portion.
            folder: Folder of the files.
        """
        workplace = workplace_of(self.recipe, folder, device=self.device, keep_all=self.keep_all)
        for index in self.items(number):
            task = task_of(self.recipe, index)
            yield row_of(task, workplace.make(task))

    def pack(self, number: int, file: Path) -> None:
        """Make a portion and write its archive."""
        with self.folder() as folder:
            for row in self.made(number, folder):
                append_row(folder / ROWS, row)
            (folder / MACHINE).write_text(json.dumps(machine(self.device)))
            with tarfile.open(file, "w") as archive:
                for path in sorted(path for path in folder.rglob("*") if path.is_file()):
                    name = path.relative_to(folder).as_posix()
                    add_member(archive, name, path.read_bytes())

    def rows(self, number: int, archive: Path, staging: Path) -> Iterator[Row]:
        """Rows of a portion, once its files are in a staging folder.

        Raises:
            DataError: The archive has other items.
            OutputError: The folder can't be written to.
        """
        extract(archive, staging)
        file = staging / ROWS
        for line, row in enumerate(read_rows(file)):
            refuse_misplaced(file, row, line, self.items(number))
            yield row
        file.unlink(missing_ok=True)


def portion(number: int) -> str:
    """Name of a portion's archive."""
    return f"{PORTIONS}/{number:06d}.tar"


def take_machine(staging: Path) -> dict[str, Any]:
    """Machine that made the portion whose files were put into a staging folder last."""
    file = staging / MACHINE
    known = json.loads(file.read_text())
    file.unlink()
    return known
