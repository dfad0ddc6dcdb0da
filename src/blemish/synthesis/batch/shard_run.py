"""One shard of a batch, made by itself in the folder that all shards share.

A shard writes the files of its items to their final places and everything else to a folder of its
own: what its items are made from, their rows, the machine, and its lock. Near-duplicates depend on
earlier shards, so nothing is decided here: `gather` does that.

    OUT/shards/recipe.json                 what all shards must have in common
    OUT/shards/3-of-64/recipe.json         indices of the items, digests of their photographs
    OUT/shards/3-of-64/items.jsonl         one row per item, before any comparison
    OUT/shards/3-of-64/machines.jsonl      machines that made them, with their first item
    OUT/shards/3-of-64/000000.tar          files of a thousand items, unless the store is folder
"""

import hashlib
import json
from collections.abc import Generator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from blemish.errors import DataError
from blemish.files import append_line, read_lines
from blemish.manifest import MANIFEST, Row, append_row, read_rows
from blemish.names import StoreName
from blemish.synthesis.batch.batch import batch_options, made, refuse_misplaced, workplace_of
from blemish.synthesis.batch.machine import machine
from blemish.synthesis.batch.packing import AsFiles, Packing, Parcels
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.batch.record import (
    NAME,
    SHARDS,
    keep_record,
    read_record,
    refuse_differences,
)
from blemish.synthesis.batch.shards import Shard, photographs_of
from blemish.synthesis.batch.summary import REPORT, figures_of

ITEMS, MACHINES = "items.jsonl", "machines.jsonl"
COMMON = ("recipe", "device", "keep_all", "store")  # of the record of a whole batch


class ShardRun:
    """Shard of a recipe, and the folder in which it is made or resumed beside other shards.

    Args:
        recipe: Recipe of all items.
        shard: The shard.
        root: Folder of all items.
        device: Device to compute on.
        keep_all: Keep the images of refused items.
        store: How the files of all items will lie in the folder.

    Attributes:
        items: Indices of its items.
        done: Number of its items with a row.

    Raises:
        DataError: The folder contains items of another recipe or of another number of shards.
        OutputError: The folder can't be written to.
    """

    def __init__(
        self,
        recipe: Recipe,
        shard: Shard,
        root: Path,
        *,
        device: str = "cpu",
        keep_all: bool = False,
        store: StoreName = "folder",
    ) -> None:
        self.recipe, self.items, self.device = recipe, shard.items(recipe), device
        self.folder = folder_of(root, shard)
        self.rows = self.folder / ITEMS
        options = batch_options(recipe, device=device, keep_all=keep_all, store=store)
        shared = shared_of(recipe, options, shard.count)
        _refuse_gathered(root)
        keep_record(root / SHARDS, shared)
        keep_record(self.folder, {"batch": identity_digest(shared), **_own(recipe, self.items)})
        self.packing: Packing = AsFiles(root) if store == "folder" else Parcels(self.folder)
        self.packing.sweep()
        self.workplace = workplace_of(
            recipe, self.packing.staging, device=device, keep_all=keep_all
        )
        self.done = 0
        for row in read_rows(self.rows):
            refuse_misplaced(self.rows, row, self.done, self.items)
            self.packing.recall(row)
            self.done += 1

    def __len__(self) -> int:
        return len(self.items)

    def make(self, *, workers: int) -> Generator[Row, None, None]:
        """Make the missing items; failures don't stop it.

        Args:
            workers: Number of processes; it changes only the time.

        Yields:
            Each item's row, once it is written; a near-duplicate is not yet known as one.

        Raises:
            OutputError: The folder can no longer be written to.
            BlemishError: The operating system has killed a process.
        """
        missing = self.items[self.done :]
        if missing:
            self._note_machine()
        try:
            with closing(made(self.recipe, self.workplace, missing, workers=workers)) as rows:
                for row in rows:
                    append_row(self.rows, row)
                    self.packing.add(row)
                    self.done += 1
                    yield row
            self.packing.finish()
        finally:
            self.packing.sweep()

    def figures(self) -> dict[str, Any]:
        """Figures of the shard's items, near-duplicates among the kept ones."""
        return figures_of(read_rows(self.rows))

    def _note_machine(self) -> None:
        known, here = machines_of(self.folder), machine(self.device)
        if not known or {**known[-1], "first": None} != {"first": None, **here}:
            first = self.items[self.done]
            append_line(self.folder / MACHINES, json.dumps({"first": first, **here}))


def folder_of(root: Path, shard: Shard) -> Path:
    """Folder in which a shard keeps its rows, and which its run locks."""
    return root / SHARDS / shard.name


def machines_of(folder: Path) -> list[dict[str, Any]]:
    """Machines that made a shard's items, with the index of the first one each."""
    return [json.loads(line) for line in read_lines(folder / MACHINES)]


def identity_digest(shared: Any) -> str:
    """Identity of what all shards have in common."""
    return hashlib.sha256(json.dumps(shared).encode()).hexdigest()


def is_gathered(
    recipe: Recipe,
    shard: Shard,
    root: Path,
    *,
    device: str,
    keep_all: bool,
    store: StoreName = "folder",
) -> bool:
    """Whether the set is complete already, so that nothing is left for a shard to do.

    Raises:
        DataError: The folder contains items of another batch, or of one without shards that is not
            finished.
    """
    if not (root / NAME).exists() or (root / SHARDS / NAME).exists():
        return False
    known = read_record(root)
    options = batch_options(recipe, device=device, keep_all=keep_all, store=store)
    shared = shared_of(recipe, options, shard.count)
    due = {**shared["sha256"], **_own(recipe, shard.items(recipe))["sha256"]}
    found = {name: known.get("sha256", {}).get(name) for name in due}
    old = {name: known.get(name) for name in COMMON}
    refuse_differences(
        root,
        {**old, "sha256": found},
        {**{name: shared.get(name) for name in COMMON}, "sha256": due},
    )
    if not (root / REPORT).exists():
        raise DataError(
            got=f"{root / MANIFEST} of a run without shards that is not finished",
            expected="a new folder, or one of shards",
            todo="Finish that run without --shard, or choose another folder with --out.",
        )
    return True


def _refuse_gathered(root: Path) -> None:
    """Refuse a set that was gathered after `is_gathered` had looked."""
    if (root / NAME).exists() and not (root / SHARDS / NAME).exists():
        raise DataError(
            got=f"{root}, which was gathered at this moment",
            expected="a set that is not complete",
            todo="Nothing is left to do; remove its folder 'shards' if there is one.",
        )


def shared_of(recipe: Recipe, options: Mapping[str, Any], shards: int) -> dict[str, Any]:
    """Record that all shards have in common.

    Args:
        recipe: Recipe of all items.
        options: Options of the batch, of `batch.options_of`.
        shards: Number of shards.
    """
    return {
        **options,
        "sha256": {**recipe.bundle_digest(), **recipe.digests_of(recipe.shared_files())},
        "items": len(recipe),
        "shards": shards,
    }


def _own(recipe: Recipe, items: range) -> dict[str, Any]:
    """Record of a shard alone."""
    digests = recipe.digests_of(photographs_of(recipe, items))
    return {"items": [items.start, items.stop], "sha256": digests}
