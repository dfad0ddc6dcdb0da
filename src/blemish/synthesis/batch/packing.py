"""Items packed into volumes, a thousand at a time, once they are decided.

Processes write an item's files to a staging folder, laid out as a data set. A volume is written
whole when its last item has its row, and the staged files go afterwards: whatever ends a run, each
file is either staged or in a whole volume. A volume depends on its rows alone, so it may be written
any number of times.
"""

import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from blemish.files import ensure_writable, replacing, sweep
from blemish.manifest import Row
from blemish.names import StoreName
from blemish.stores.samples import (
    ITEM_KINDS,
    TWIN_KINDS,
    StoredItem,
    key_of,
    member,
    split_member,
)
from blemish.stores.store import VOLUMES
from blemish.stores.tar import add_member
from blemish.synthesis.dataset import Dataset, sweep_items

STAGING = "unpacked"
SIZE = 1000  # items per volume
TWINS = "twins"
OUTCOMES = ("kept", "refused")


@runtime_checkable  # for the tests, which check types
class Packing(Protocol):
    """What becomes of the files of finished items.

    Attributes:
        staging: Folder into which processes write the files of items.
    """

    staging: Path

    def named(self, row: Row) -> Row:
        """A row whose files have their names in the data set."""
        ...

    def add(self, row: Row) -> None:
        """Take the files of the next item, whose row of `named` is on the disk."""
        ...

    def recall(self, row: Row) -> None:
        """Take an item that an earlier run has added."""
        ...

    def finish(self) -> None:
        """Take the files of the last items."""
        ...

    def sweep(self) -> None:
        """Remove the half-written files of a run that was killed."""
        ...


class AsFiles:
    """Files that stay where processes have written them."""

    def __init__(self, root: Path) -> None:
        self.staging = root

    def named(self, row: Row) -> Row:
        return row

    def add(self, row: Row) -> None:
        pass

    def recall(self, row: Row) -> None:
        pass

    def finish(self) -> None:
        pass

    def sweep(self) -> None:
        sweep_items(self.staging)


class Chunks:
    """Packing by consecutive items; what a chunk is packed into is a subclass's own.

    Args:
        root: Folder of the packed files; the staging folder is in it.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.staging = root, root / STAGING
        ensure_writable(self.staging)
        self.staged = Dataset(self.staging)
        self.rows: list[Row] = []  # of the chunk that is not full
        self.number, self.is_old = 0, True

    def named(self, row: Row) -> Row:
        return row

    def add(self, row: Row) -> None:
        self.is_old = False
        self._take(row)

    def recall(self, row: Row) -> None:
        self._take(row)

    def finish(self) -> None:
        if self.rows:
            self._close()
        shutil.rmtree(self.staging, ignore_errors=True)

    def sweep(self) -> None:
        self.staged.sweep()
        sweep(self.root)

    def is_packed(self) -> bool:
        """Whether the present chunk, all of an earlier run, was packed by it."""
        raise NotImplementedError

    def pack(self) -> None:
        """Pack the present chunk from its staged files."""
        raise NotImplementedError

    def files_of(self, row: Row) -> dict[str, Path]:
        """Staged files of an item, by kind."""
        raise NotImplementedError

    def _take(self, row: Row) -> None:
        self.rows.append(row)
        if len(self.rows) == SIZE:
            self._close()

    def _close(self) -> None:
        if not (self.is_old and self.is_packed()):
            self.pack()
            self._discard()
        self.rows, self.number, self.is_old = [], self.number + 1, True

    def _discard(self) -> None:
        for row in self.rows:
            for path in self.files_of(row).values():
                path.unlink(missing_ok=True)
            for one in (row, *row.get("defects", ())):
                if str(one.get("requested")).startswith("drawn/"):
                    (self.staging / one["requested"]).unlink(missing_ok=True)


class Volumes(Chunks):
    """Volumes of a data set: kept items, refused ones, and photographs, which come once each.

    Args:
        root: Folder of the data set.
        name: Store of the data set.
        on_volume: Called with each volume that was written.
    """

    def __init__(
        self, root: Path, name: StoreName, on_volume: Callable[[Path], None] = lambda _: None
    ) -> None:
        self.store, self.on_volume = VOLUMES[name](), on_volume
        super().__init__(root)
        self.twins: dict[str, str] = {}  # names of photographs in the data set, by key

    def named(self, row: Row) -> Row:
        files = {kind: self._name(row, kind) for kind in row["files"]}
        return {**row, "files": files}

    def recall(self, row: Row) -> None:
        if "twin" in row["files"]:
            twin = row["files"]["twin"]
            self.twins.setdefault(split_member(twin)[1], twin)
        super().recall(row)

    def sweep(self) -> None:
        super().sweep()
        for folder in (*OUTCOMES, TWINS):
            sweep(self.root / folder)

    def is_packed(self) -> bool:
        return self._volume("kept").exists()

    def pack(self) -> None:
        twins, refused = [*self._photographs()], [*self._samples("refused")]
        if twins:
            self._write(TWINS, twins, TWIN_KINDS)
        if refused:
            self._write("refused", refused, ITEM_KINDS)
        self._write("kept", [*self._samples("kept")], ITEM_KINDS)  # last, and always: a mark

    def files_of(self, row: Row) -> dict[str, Path]:
        twin = split_member(row["files"]["twin"])[1] if "twin" in row["files"] else None
        paths = self.staged.paths(row["type"], row["name"], twin)
        return {kind: self.staging / paths[kind] for kind in row["files"]}

    def _name(self, row: Row, kind: str) -> str:
        if kind != "twin":
            return f"{self._place(row['outcome'])}/{member(key_of(row['name']), kind)}"
        key = Path(row["files"]["twin"]).stem
        return self.twins.setdefault(key, f"{self._place(TWINS)}/{member(key, 'twin')}")

    def _place(self, folder: str) -> str:
        return self._volume(folder).relative_to(self.root).as_posix()

    def _volume(self, folder: str) -> Path:
        return self.root / folder / f"{self.number:06d}{self.store.suffix}"

    def _write(self, folder: str, samples: Sequence[StoredItem], kinds: tuple[str, ...]) -> None:
        ensure_writable(self.root / folder)
        self.store.write(self._volume(folder), samples, kinds)
        self.on_volume(self._volume(folder))

    def _samples(self, outcome: str) -> Iterator[StoredItem]:
        for row in self.rows:
            if row["outcome"] == outcome:
                files = {k: path for k, path in self.files_of(row).items() if k != "twin"}
                yield StoredItem(key=key_of(row["name"]), files=files, row=row)

    def _photographs(self) -> Iterator[StoredItem]:
        """Photographs that no earlier volume has."""
        here = {row["files"]["twin"]: row for row in self.rows if "twin" in row["files"]}
        for named, row in here.items():
            volume, key, _ = split_member(named)
            if self.root / volume == self._volume(TWINS):
                yield StoredItem(key=key, files={"twin": self.files_of(row)["twin"]})


class Parcels(Chunks):
    """Tar archives of staged files, in which a shard keeps its items until they are decided.

    Args:
        root: Folder of the shard.
    """

    def is_packed(self) -> bool:
        return parcel(self.root, self.number).exists()

    def pack(self) -> None:
        names = dict.fromkeys(name for row in self.rows for name in row["files"].values())
        file = parcel(self.root, self.number)
        with replacing(file) as temporary, tarfile.open(temporary, "w") as archive:
            for name in names:
                add_member(archive, name, (self.staging / name).read_bytes())

    def files_of(self, row: Row) -> dict[str, Path]:
        return {kind: self.staging / name for kind, name in row["files"].items()}


def parcel(folder: Path, number: int) -> Path:
    """File of a shard's parcel, from 0."""
    return folder / f"{number:06d}.tar"


def packing_of(
    root: Path, store: StoreName, on_volume: Callable[[Path], None] = lambda _: None
) -> Packing:
    """What becomes of the files of a data set's items.

    Args:
        root: Folder of the data set.
        store: Its store.
        on_volume: Called with each volume that was written.
    """
    return AsFiles(root) if store == "folder" else Volumes(root, store, on_volume)
