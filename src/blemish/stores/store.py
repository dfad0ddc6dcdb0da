"""Stores: how a data set's files lie on the disk.

`folder` has a file for each picture. Every other store has volumes, files of many samples each; it
is one file here and one line in `VOLUMES`.

    kept/000000.tar       the first thousand items of a recipe, those that were kept
    refused/000000.tar    what the refused ones among them have
    twins/000000.tar      the photographs that are not in an earlier volume, once each
    manifest.jsonl        one line per item, whose files are named volume/key.kind.png
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol, runtime_checkable

from blemish.names import StoreName
from blemish.stores.parquet import Parquet
from blemish.stores.samples import StoredItem
from blemish.stores.tar import Tar


@runtime_checkable  # for the tests, which check types
class Store(Protocol):
    """Format of volumes.

    Attributes:
        suffix: Suffix of their names, with its dot.
    """

    suffix: str

    def write(self, path: Path, samples: Iterable[StoredItem], kinds: tuple[str, ...]) -> None:
        """Write a volume, whole or not at all; the same samples give the same bytes.

        Args:
            path: File of the volume.
            samples: Samples in order, each read when it is written.
            kinds: Kinds of files that samples of such volumes may have.

        Raises:
            OutputError: The disk is full or read-only, or something is in the way.
        """
        ...

    def read(self, path: Path, key: str, kind: str) -> bytes | None:
        """Content of a sample's file, or None if the volume has no such file.

        Args:
            path: File of the volume.
            key: Key of the sample.
            kind: Kind of the file.
        """
        ...


VOLUMES: dict[StoreName, Callable[[], Store]] = {
    "tar": Tar,
    "parquet": Parquet,
}


def store_of(path: Path) -> Store | None:
    """Store whose volumes have this file's suffix; None without one."""
    return next((make() for name, make in VOLUMES.items() if path.suffix == f".{name}"), None)


def check_store(name: StoreName) -> None:
    """Check that a store can be used, before anything is written.

    Raises:
        OptionError: A package that it needs is not installed.
    """
    if name in VOLUMES:
        VOLUMES[name]()
