"""Shards joined into the set that one run would have made, byte for byte.

Near-duplicates are decided here, over the rows of all shards in the order of the recipe. If this is
killed, it can be repeated: until the manifest is there, everything depends on the shards' rows
alone; afterwards the shards are not needed any more.
"""

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blemish.errors import DataError
from blemish.files import alone, replacing, write_atomically
from blemish.manifest import MANIFEST, Row, read_rows, to_line
from blemish.stores.tar import extract
from blemish.synthesis.batch.batch import finish, refuse_misplaced
from blemish.synthesis.batch.comparison import Comparison
from blemish.synthesis.batch.packing import SIZE, STAGING, packing_of, parcel
from blemish.synthesis.batch.record import (
    NAME,
    SHARDS,
    keep_record,
    read_record,
    refuse_differences,
)
from blemish.synthesis.batch.shard_run import (
    COMMON,
    ITEMS,
    folder_of,
    identity_digest,
    machines_of,
)
from blemish.synthesis.batch.shards import Shard
from blemish.synthesis.dataset import Dataset

KINDS = "machines.json"
SHOWN = 8
NEEDED = {*COMMON, "sha256", "items", "shards"} - {"store"}  # of the record that shards share


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedShard:
    """Shard of which every item has a row.

    Attributes:
        folder: Its folder.
        items: Indices of its items.
        sha256: Digests of its photographs by name.
    """

    folder: Path
    items: range
    sha256: dict[str, str]

    def rows(self, staging: Path | None) -> Iterator[Row]:
        """Rows of its items in order.

        Args:
            staging: Folder into which the files of an item are put before its row is yielded; None
                if they are in their places already.
        """
        file = self.folder / ITEMS
        for line, row in enumerate(read_rows(file)):
            refuse_misplaced(file, row, line, self.items)
            if staging is not None and line % SIZE == 0:
                extract(parcel(self.folder, line // SIZE), staging)
            yield row


def gather(root: Path, on_progress: Callable[[float], None] = lambda _: None) -> dict[str, Any]:
    """Join the shards of a folder; a folder that was gathered before stays as it is.

    Args:
        root: Folder of all items, locked.
        on_progress: Called with the fraction of the items that have been joined.

    Returns:
        The figures of the whole set.

    Raises:
        DataError: A shard is missing, not finished, or of another recipe or bundle.
        OutputError: The folder can't be written to, or a shard is still running.
    """
    refuse_missing(root)
    if not (root / MANIFEST).exists():
        _join(root, on_progress)
    figures = finish(Dataset(root))
    _refuse_unfinished(root, figures["items"])
    _remove(root)
    return figures


def kinds_of(root: Path) -> dict[str, list[str]]:
    """Kinds of machines that made a gathered set, with the items of each; empty if only one did."""
    path = root / KINDS
    return json.loads(path.read_text()) if path.exists() else {}


def _join(root: Path, on_progress: Callable[[float], None]) -> None:
    shared = _shared(root)
    shards = _finished(root, shared)
    digests = _digests(root, shared, shards)
    options = {name: shared[name] for name in COMMON if name in shared}
    keep_record(root, {**options, "sha256": digests})
    write_kinds(root, _machines(shards))
    staging = None if "store" not in shared else root / STAGING
    rows = (row for shard in shards for row in shard.rows(staging))
    count = shared["items"]
    join(rows, root, options, lambda done: on_progress(done / count))


def join(
    rows: Iterable[Row],
    root: Path,
    options: Mapping[str, Any],
    on_item: Callable[[int], None],
    on_volume: Callable[[Path], None] = lambda _: None,
) -> None:
    """Decide near-duplicates in order and write the manifest, with volumes if the store has them.

    Args:
        rows: Rows of all items in order; the files of each are there when its row is read.
        root: Folder of the data set.
        options: Options of the batch, of `batch.options_of`.
        on_item: Called after each item with the number of finished ones.
        on_volume: Called with each volume that was written.
    """
    packing = packing_of(root, options.get("store", "folder"), on_volume)
    packing.sweep()
    comparison = Comparison(packing.staging, keep_all=options["keep_all"])
    with replacing(root / MANIFEST) as temporary, temporary.open("wb") as file:
        for done, row in enumerate(rows, 1):
            decided = packing.named(comparison.decide(row))
            file.write(to_line(decided).encode() + b"\n")
            packing.add(decided)
            on_item(done)
        packing.finish()


def refuse_missing(root: Path) -> None:
    """Refuse a folder that has no shards and was not gathered before.

    Raises:
        DataError: It has neither.
    """
    if not (root / SHARDS).is_dir() and not (root / NAME).exists():
        raise DataError(
            got=f"{root}, which has no shards",
            expected="a folder of 'blemish batch --shard'",
            todo="Correct the path.",
        )


def _shared(root: Path) -> dict[str, Any]:
    shared = read_record(root / SHARDS)
    if not isinstance(shared, dict) or not {*shared} >= NEEDED:
        raise _damaged(root / SHARDS)
    return shared


def _finished(root: Path, shared: dict[str, Any]) -> list[FinishedShard]:
    """All shards in order."""
    due = [Shard(number=k + 1, count=shared["shards"]) for k in range(shared["shards"])]
    read = {shard: _read(folder_of(root, shard), shared) for shard in due}
    found = [shard for shard in read.values() if shard is not None]
    if len(found) < len(due):
        raise _incomplete(root, [shard for shard in due if read[shard] is None])
    ends = [0, *(shard.items.stop for shard in found)]
    if [s.items.start for s in found] != ends[:-1] or ends[-1] != shared["items"]:
        raise _damaged(root / SHARDS)
    return found


def _read(folder: Path, shared: dict[str, Any]) -> FinishedShard | None:
    """A shard that no run is using; None if it is missing or not finished."""
    if not (folder / NAME).exists():
        return None
    with alone(folder):
        shard = _checked(folder, shared)
        lines, last = _rows_in(folder / ITEMS), parcel(folder, (len(shard.items) - 1) // SIZE)
        packed = "store" not in shared or not shard.items or last.exists()
        return shard if lines == len(shard.items) and packed else None


def _checked(folder: Path, shared: dict[str, Any]) -> FinishedShard:
    record = read_record(folder)
    try:
        same, (start, stop), sha256 = record["batch"], record["items"], record["sha256"]
        shard = FinishedShard(folder=folder, items=range(start, stop), sha256={**sha256})
    except (TypeError, KeyError, ValueError) as error:
        raise _damaged(folder) from error
    if same != identity_digest(shared):
        raise DataError(
            got=f"{folder}, a shard of another recipe, bundle or folder of masks",
            expected="shards of one batch",
            todo="Remove its folder and make the shard again.",
        )
    return shard


def _digests(root: Path, shared: dict[str, Any], shards: list[FinishedShard]) -> dict[str, str]:
    """Digests as a run without shards records them: the bundle, then files by name."""
    known: dict[str, str] = {**shared["sha256"]}
    for shard in shards:
        again = {name: known.get(name, digest) for name, digest in shard.sha256.items()}
        refuse_differences(root, {"sha256": again}, {"sha256": shard.sha256})
        known |= shard.sha256
    bundle = {"bundle": known.pop("bundle")} if "bundle" in known else {}
    return {**bundle, **dict(sorted(known.items()))}


def _machines(shards: list[FinishedShard]) -> Iterator[tuple[dict[str, Any], range]]:
    """Machines that made the shards, with the items of each."""
    for shard in shards:
        known = machines_of(shard.folder)
        ends = [*(each["first"] for each in known[1:]), shard.items.stop]
        for each, stop in zip(known, ends, strict=False):
            first = each.pop("first")
            yield each, range(first, stop)


def write_kinds(root: Path, machines: Iterable[tuple[Mapping[str, Any], range]]) -> None:
    """Write which items were made on which kind of machine, if there was more than one.

    Args:
        root: Folder of the data set.
        machines: Machines in the order of their items, as `machine` describes them.
    """
    kinds: dict[str, list[str]] = {}
    for facts, items in machines:
        kind = ", ".join(f"{name} {value}" for name, value in facts.items())
        kinds.setdefault(kind, []).append(f"{items.start}-{items.stop - 1}")
    if len(kinds) > 1:
        write_atomically(root / KINDS, (json.dumps(kinds, indent=2) + "\n").encode())


def _remove(root: Path) -> None:
    """Remove what the shards have left; the common record goes first, see `is_gathered`."""
    if not (root / SHARDS).exists():
        return
    (root / SHARDS / NAME).unlink(missing_ok=True)
    for folder in [path for path in (root / SHARDS).iterdir() if path.is_dir()]:
        with alone(folder):
            (folder / ITEMS).unlink(missing_ok=True)
        shutil.rmtree(folder)
    shutil.rmtree(root / SHARDS)


def _rows_in(file: Path) -> int:
    if not file.exists():
        return 0
    with file.open("rb") as lines:
        return sum(line.endswith(b"\n") for line in lines)


def _refuse_unfinished(root: Path, items: int) -> None:
    """Refuse the manifest of a run without shards that was interrupted."""
    groups = read_record(root)["recipe"]["group"]
    due = sum(group["count"] for group in groups)
    if items != due:
        raise DataError(
            got=f"{root / MANIFEST} with {items} of {due} items",
            expected="a finished set, or finished shards",
            todo="Finish it by the command that began it.",
        )


def _incomplete(root: Path, missing: list[Shard]) -> DataError:
    names = ", ".join(str(shard) for shard in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return DataError(
        got=f"{root}, where these shards are missing or not finished: {names}{more}",
        expected="all shards",
        todo=f"Run each: blemish batch RECIPE --out {root} --shard {missing[0]}",
    )


def _damaged(folder: Path) -> DataError:
    return DataError(
        got=f"{folder / NAME}, which is damaged",
        expected="the record of a shard, as Blemish wrote it",
        todo="Remove that folder and make the shard again.",
    )
