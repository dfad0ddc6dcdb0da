"""Parquet volumes, one row per sample, which Hugging Face's datasets reads with its pictures.

    load_dataset("parquet", data_files="OUT/kept/*.parquet")

An item's row has its name, type, outcome, index, seed and strength, the key of its photograph in
`twins`, its row of the manifest as JSON, and one column per kind of file.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.errors import OptionError
from blemish.files import replacing
from blemish.stores.samples import PICTURE, SUFFIXES, TWIN_KINDS, StoredItem, member, split_member

if TYPE_CHECKING:
    import pyarrow

GROUP = 32  # samples that are in memory together
OPEN = 4
FACTS = {
    "name": "string",
    "type": "string",
    "outcome": "string",
    "index": "int64",
    "seed": "int64",
    "strength": "float64",
}


class Parquet:
    """Volumes as Parquet files.

    Raises:
        OptionError: The package pyarrow is not installed.
    """

    suffix = ".parquet"

    def __init__(self) -> None:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise OptionError(
                got="a data set in Parquet without the package pyarrow",
                expected="the package of the extra 'parquet'",
                todo="Run pip install 'blemish[parquet]'.",
            ) from error

    def write(self, path: Path, samples: Iterable[StoredItem], kinds: tuple[str, ...]) -> None:
        """See `Store.write`."""
        import pyarrow
        from pyarrow.parquet import ParquetWriter

        schema, left = _schema(kinds), iter(samples)
        with (
            replacing(path) as temporary,
            temporary.open("wb") as file,  # ours, so that a full disk is reported as everywhere
            ParquetWriter(file, schema) as writer,
        ):
            while group := [_row(sample, kinds) for sample in islice(left, GROUP)]:
                writer.write_table(pyarrow.Table.from_pylist(group, schema))

    def read(self, path: Path, key: str, kind: str) -> bytes | None:
        """See `Store.read`."""
        place = _places(path, path.stat().st_mtime_ns).get(key)
        if place is None:
            return None
        group, number = place
        found = _column(path, path.stat().st_mtime_ns, group, kind)[number]
        return None if found is None else found["bytes"]


def _schema(kinds: tuple[str, ...]) -> "pyarrow.Schema":
    """Columns of samples, with what Hugging Face's datasets needs to know of them."""
    import pyarrow

    facts = {} if kinds == TWIN_KINDS else {**FACTS, "twin": "string", "row": "string"}
    named: dict[str, Any] = {"key": "string", **facts}
    file = pyarrow.struct({"bytes": pyarrow.binary(), "path": pyarrow.string()})
    columns = {name: pyarrow.type_for_alias(kind) for name, kind in named.items()}
    features = {name: _value(kind) for name, kind in named.items()}
    features |= {kind: _feature(kind) for kind in kinds}
    about = json.dumps({"info": {"features": features}})
    whole = pyarrow.schema([*columns.items(), *((kind, file) for kind in kinds)])
    return whole.with_metadata({"huggingface": about})


def _value(kind: str) -> dict[str, str]:
    return {"dtype": kind, "_type": "Value"}


def _feature(kind: str) -> dict[str, Any]:
    if SUFFIXES.get(kind, PICTURE) == PICTURE:
        return {"_type": "Image"}
    return {"bytes": _value("binary"), "path": _value("string")}


def _row(sample: StoredItem, kinds: tuple[str, ...]) -> dict[str, Any]:
    row = sample.row
    files = {kind: _file(sample, kind) for kind in kinds if kind in sample.files}
    if not row:
        return {"key": sample.key, **files}
    facts = {name: row.get(name) for name in FACTS}
    return {"key": sample.key, **facts, "twin": _twin(row), "row": json.dumps(row), **files}


def _twin(row: Mapping[str, Any]) -> str | None:
    named = row["files"].get("twin")
    return None if named is None else split_member(named)[1]


def _file(sample: StoredItem, kind: str) -> dict[str, Any]:
    return {"bytes": sample.files[kind].read_bytes(), "path": member(sample.key, kind)}


@lru_cache(maxsize=OPEN)
def _places(path: Path, _changed: int) -> dict[str, tuple[int, int]]:
    """Row group, and row in it, of each key."""
    return dict(_keys(path))


def _keys(path: Path) -> Iterator[tuple[str, tuple[int, int]]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            keys = file.read_row_group(group, columns=["key"])["key"].to_pylist()
            yield from ((key, (group, number)) for number, key in enumerate(keys))


@lru_cache(maxsize=OPEN)
def _column(path: Path, _changed: int, group: int, kind: str) -> list[dict[str, Any] | None]:
    """One kind of files of a row group."""
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        known = kind in file.schema_arrow.names
        rows = file.metadata.row_group(group).num_rows
        return (
            file.read_row_group(group, columns=[kind])[kind].to_pylist() if known else [None] * rows
        )
