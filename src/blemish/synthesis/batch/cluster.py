"""Data set of a recipe, made on a Ray cluster and written to a folder or an object store.

Until it is complete, `portions` has what was made, with the record of what it was made from.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from blemish.errors import OptionError
from blemish.manifest import MANIFEST, Row, read_rows
from blemish.names import StoreName
from blemish.stores.samples import split_member
from blemish.synthesis.batch.batch import batch_options, finish
from blemish.synthesis.batch.gather import KINDS, join, write_kinds
from blemish.synthesis.batch.on_ray import connect, make_portions
from blemish.synthesis.batch.packing import STAGING
from blemish.synthesis.batch.places import DataPlace
from blemish.synthesis.batch.portions import PORTIONS, SIZE, Maker, portion, take_machine
from blemish.synthesis.batch.recipe import Recipe
from blemish.synthesis.batch.record import NAME, keep_record, refuse_shards
from blemish.synthesis.batch.summary import REPORT
from blemish.synthesis.dataset import SHEET, SHEET_ROWS, Dataset

MAKING = 0.9  # of the progress; the rest is joining


def make_on_cluster(
    recipe: Recipe,
    uri: str,
    *,
    device: str = "cpu",
    keep_all: bool = False,
    store: StoreName = "folder",
    address: str | None = None,
    size: int = SIZE,
    on_progress: Callable[[float], None] = lambda _: None,
) -> dict[str, Any]:
    """Make the missing items of a recipe on a Ray cluster, and join them.

    Args:
        recipe: Recipe of the items.
        uri: Folder that all machines see, or a prefix of an object store.
        device: Device to compute on.
        keep_all: Keep the images of refused items.
        store: How the files of the items lie there; an object store takes volumes only.
        address: See `on_ray.connect`.
        size: Items that an actor makes before it writes them.
        on_progress: Called with the finished fraction of the work.

    Returns:
        Figures of the whole set, whose files are those of a run on one machine, byte for byte.

    Raises:
        DataError: The place has items of another recipe, or shards.
        OptionError: Ray is not installed, or the place can't have such a store.
        OutputError: The place can't be written to.
    """
    place = DataPlace(uri)
    _refuse_loose(place, store)
    options = batch_options(recipe, device=device, keep_all=keep_all, store=store)
    maker = Maker(recipe=recipe, device=device, keep_all=keep_all, size=size)
    with _folder(place) as root:
        run = _Run(maker, place, root, options)
        run.begin()
        if not place.has(REPORT):
            connect(address)
            make_portions(maker, uri, lambda done: on_progress(MAKING * done / len(maker)))
            run.join(lambda done: on_progress(MAKING + (1 - MAKING) * done / len(recipe)))
        place.remove(PORTIONS)
        return json.loads((root / REPORT).read_text())


@dataclass(frozen=True, slots=True)
class _Run:
    """A run: its place, and the folder in which the set is joined, the same if it is one.

    Attributes:
        maker: Maker of the portions.
        place: Place of the data set.
        root: Folder of this machine.
        options: Options of the batch.
        machines: Machines that made the portions, with the items of each.
    """

    maker: Maker
    place: DataPlace
    root: Path
    options: Mapping[str, Any]
    machines: list[tuple[dict[str, Any], range]] = field(default_factory=list)

    def begin(self) -> None:
        """Check that the place has items of this recipe alone, and note what they are made from.

        Raises:
            DataError: It has others.
        """
        refuse_shards(self.root)
        record = {**self.options, "sha256": self.maker.recipe.digests()}
        for name in (NAME, REPORT, f"{PORTIONS}/{NAME}"):
            self._fetch(name)
        if (self.root / NAME).exists():
            keep_record(self.root, record)
        if not (self.root / REPORT).exists():
            (self.root / PORTIONS).mkdir(parents=True, exist_ok=True)
            keep_record(self.root / PORTIONS, record)
            self._store(f"{PORTIONS}/{NAME}")

    def join(self, on_item: Callable[[int], None]) -> None:
        """Write the data set from its portions; its report comes last."""
        keep_record(self.root, {**self.options, "sha256": self.maker.recipe.digests()})
        volumes = self._store_volume if self.place.folder is None else lambda _: None
        join(self._rows(), self.root, self.options, on_item, volumes)
        write_kinds(self.root, self.machines)
        self._fetch_shown()
        finish(Dataset(self.root))
        for name in (NAME, KINDS, SHEET, MANIFEST, REPORT):
            if (self.root / name).exists():
                self._store(name)

    def _rows(self) -> Iterator[Row]:
        staging = self.root / STAGING if "store" in self.options else self.root
        for number in range(len(self.maker)):
            with TemporaryDirectory(prefix="blemish-") as folder:
                file = Path(folder) / "portion.tar"
                self.place.fetch(portion(number), file)
                yield from self.maker.rows(number, file, staging)
            if items := self.maker.items(number):
                self.machines.append((take_machine(staging), items))

    def _fetch_shown(self) -> None:
        """Get the volumes again that the contact sheet shows."""
        rows = (row for row in read_rows(self.root / MANIFEST) if row["files"])
        named = (name for row in deque(rows, SHEET_ROWS) for name in row["files"].values())
        for volume in {str(split_member(name)[0]) for name in named}:
            self._fetch(volume)

    def _store_volume(self, volume: Path) -> None:
        self._store(volume.relative_to(self.root).as_posix())
        volume.unlink()

    def _fetch(self, name: str) -> None:
        if self.place.folder is None and self.place.has(name):
            self.place.fetch(name, self.root / name)

    def _store(self, name: str) -> None:
        if self.place.folder is None:
            self.place.store(self.root / name, name)


@contextmanager
def _folder(place: DataPlace) -> Iterator[Path]:
    """The place itself if it is a folder, otherwise a temporary one."""
    if place.folder is not None:
        yield place.folder
        return
    with TemporaryDirectory(prefix="blemish-") as folder:
        yield Path(folder)


def _refuse_loose(place: DataPlace, store: StoreName) -> None:
    if place.folder is None and store == "folder":
        raise OptionError(
            got=f"{place.uri} with single files",
            expected="volumes of many items on an object store",
            todo="Add --store tar or --store parquet.",
        )
