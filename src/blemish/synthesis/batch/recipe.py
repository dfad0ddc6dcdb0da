"""Batch recipe: a TOML file, read and checked completely before anything is made.

    bundle = "hazelnut"                    a bundle's folder, or the name of a shipped one
    seed = 0
    levels = 4095                          if a camera gives 12 bits; see `reading.Reading`

    [[group]]                              one or more
    defect = "colour"
    count = 12
    photographs = "good"                   a folder, a file or a list; or: parts = 4
    mask_kind = "blob"                     masks to draw; or: masks, like photographs
    area = 0.02                            any option of a synthesis; see `options`
    strength = [0.6, 1.0]                  a range, or one value

Paths are relative to the recipe's folder. Items are numbered from 0 over all groups.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from blemish.checkpoint import Bundle, find_bundle
from blemish.data.listing import picture_names
from blemish.data.names import normal
from blemish.decode import BYTE_LIMIT
from blemish.errors import DataError, OptionError
from blemish.reading import AS_STORED, Reading, read_as
from blemish.regular import IrregularFileError, open_regular
from blemish.seeds import refuse_seeds
from blemish.synthesis.batch.groups import ItemGroup, flattened
from blemish.synthesis.batch.tables import STRICT, dataclass_of_table, naming, read_toml
from blemish.synthesis.masks.real import read_real_masks
from blemish.synthesis.synthesize import Synthesizer

MAX_ITEMS = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Recipe whose files have been found.

    Attributes:
        file: Path as the user gave it, for messages.
        here: Folder of the recipe, to which its paths are relative.
        bundle: The bundle that makes items; None if no group needs one.
        seed: Random seed of all items.
        groups: Groups, with files instead of folders.
        reading: How pictures and masks are read.
    """

    file: Path
    here: Path
    bundle: Bundle | None
    seed: int
    groups: tuple[ItemGroup, ...]
    reading: Reading = AS_STORED

    def __len__(self) -> int:
        return sum(group.count for group in self.groups)

    def bundle_of(self, group: ItemGroup) -> Bundle | None:
        """The bundle that makes the items of a group, or draws its parts."""
        return self.bundle if group.needs_bundle or group.parts is not None else None

    def locate(self, index: int) -> tuple[int, int]:
        """Group of an item, and the item's number in it."""
        for place, group in enumerate(self.groups):
            if index < group.count:
                return place, index
            index -= group.count
        raise IndexError(index)

    def options(self) -> dict[str, Any]:
        """Contents of the recipe as JSON values, files by their names."""
        groups = [group.record() for group in self.groups]
        reading = {name: value for name, value in asdict(self.reading).items() if value is not None}
        known = {"seed": self.seed, **reading, "group": groups}
        return json.loads(json.dumps(known, default=str))

    def digests(self) -> dict[str, str]:
        """SHA-256 of everything that items are made from, by name."""
        photographs = {name for group in self.groups for name in group.photographs}
        return {**self.bundle_digest(), **self.digests_of(photographs | self.shared_files())}

    def bundle_digest(self) -> dict[str, str]:
        """The bundle's digest under its name in `digests`."""
        return {} if self.bundle is None else {"bundle": self.bundle.digest}

    def digests_of(self, names: Iterable[str]) -> dict[str, str]:
        """SHA-256 of files by name, in order."""
        return {name: _digest(self.here / name) for name in sorted(names)}

    def shared_files(self) -> set[str]:
        """Names of the files that any item may use: masks, and files in folders of options."""
        named = {name for group in self.groups for name in group.mask_names}
        for key, folder in {kv for group in self.groups for kv in group.folders.items()}:
            inside = (
                path.relative_to(self.here / folder) for path in _files_in(self.here / folder)
            )
            named |= {_readable(key, _named(folder, path)) for path in inside}
        named |= {file.as_posix() for group in self.groups for file in group.files.values()}
        return named

    def check(self) -> None:
        """Refuse what the bundle can't do, before the work starts.

        Raises:
            UserError: The bundle is broken, does not know a type, or lacks what a method needs; or
                a folder of real defects lacks what the recipe needs.
        """
        worker = cache(Synthesizer)
        for place, group in enumerate(self.groups, 1):
            with naming(f"{self.file}, group {place}"), read_as(self.reading):
                options = group.options(self.here)
                made = worker(self.bundle_of(group), options.without_masks())
                for kind in group.kinds:
                    _refuse_unknown(kind, made.types)
                    made.prepare(kind)
                    if options.mask_kind == "learned":
                        made.networks.masks.index(kind)
                    if options.mask_kind == "real" and options.real is not None:
                        read_real_masks(options.real, kind, first_third=options.first_third)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """Top-level table of the file."""

    __pydantic_config__ = STRICT

    bundle: str = "hazelnut"
    seed: int = 0
    levels: int | None = None
    classes: str | None = None
    group: list[dict[str, Any]] = field(default_factory=list)


def read_recipe(file: Path) -> Recipe:
    """Read a recipe and find its files.

    Raises:
        OptionError: A key is unknown or missing, or has an invalid value.
        DataError: The file or one of its files is missing, or a folder is empty.
        BundleError: The bundle does not exist.
    """
    head, here = dataclass_of_table(_Head, read_toml(file), str(file)), file.parent.absolute()
    if not head.group:
        raise OptionError(
            got=f"{file}, a recipe without groups",
            expected="a table [[group]] for each kind of item",
            todo="See examples/recipe.toml.",
        )
    tables = enumerate(head.group, 1)
    groups = tuple(_group(table, here, f"{file}, group {place}") for place, table in tables)
    _refuse_many(file, groups)
    drawn = any(group.needs_bundle or group.parts is not None for group in groups)
    with naming(str(file)):
        refuse_seeds(head.seed)
        bundle = _find_bundle(head.bundle, here) if drawn else None
        reading = Reading(levels=head.levels, classes=head.classes)
    return Recipe(
        file=file, here=here, bundle=bundle, seed=head.seed, groups=groups, reading=reading
    )


def _refuse_many(file: Path, groups: tuple[ItemGroup, ...]) -> None:
    if sum(max(group.count, group.parts or 0) for group in groups) > MAX_ITEMS:
        raise OptionError(
            got=f"{file}, a recipe of more than {MAX_ITEMS:,} items or parts",
            expected="fewer",
            todo="Correct count and parts, or make several data sets.",
        )


def _group(table: dict[str, Any], here: Path, name: str) -> ItemGroup:
    with naming(name):
        flat = flattened(table)
    group = dataclass_of_table(ItemGroup, flat, name)
    with naming(name):
        for option, folder in group.folders.items():
            if not (here / folder).is_dir():
                raise _missing(option, folder.as_posix(), "a folder")
        for option, file in group.files.items():
            if not (here / file).is_file():
                raise _missing(option, file.as_posix(), "a file")
        return replace(
            group,
            photographs=_listed("photographs", group.photographs, here),
            masks=_masks_of(group, here),
        )


def _masks_of(group: ItemGroup, here: Path) -> tuple[str, ...] | tuple[tuple[str, ...], ...]:
    """Masks of a group as files; with several defects, those of each."""
    sets = tuple(_listed("masks", names, here) for names in group.mask_sets)
    return sets if len(group.kinds) > 1 else tuple(name for names in sets for name in names)


def _listed(key: str, names: tuple[str, ...], here: Path) -> tuple[str, ...]:
    """Folders replaced by their images."""
    found = []
    for name in names:
        start = _named(name, "x")[:-1]
        inside = [_readable(key, start + file) for file in picture_names(here / name)]
        if not inside and not (here / name).is_file():
            raise _missing(key, name, "an image, or a folder of images")
        found += inside or [name]
    return tuple(found)


def _files_in(folder: Path) -> Iterator[Path]:
    """All files below a folder but hidden ones and those in hidden folders."""
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden:
            yield path


def _readable(key: str, name: str) -> str:
    """The name of a file, if it can be written into the batch's record."""
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            got=f"{key} with the file {name!r}, whose name is not UTF-8",
            expected="names in UTF-8",
            todo="Rename the file.",
        ) from error
    return name


def _named(folder: Path | str, file: Path | str) -> str:
    return (Path(folder) / file).as_posix()


def _find_bundle(name: str, here: Path) -> Bundle:
    """Bundle in a folder relative to the recipe, or any other bundle with this name."""
    beside = (here / name / "config.json").is_file()
    return find_bundle(here / name if beside else name)


def _digest(path: Path) -> str:
    try:
        with open_regular(path, BYTE_LIMIT) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable ({error.strerror})"  # its items will fail, one by one
    except IrregularFileError as error:
        return f"unreadable ({error})"


def _missing(key: str, name: str, expected: str) -> DataError:
    got = f"{key} = '{name}', which does not exist"
    return DataError(got=got, expected=expected, todo="Paths are relative to the recipe.")


def _refuse_unknown(kind: str, types: tuple[str, ...]) -> None:
    if normal(kind) not in map(normal, types):
        raise OptionError(
            got=f"the defect type '{kind}'",
            expected=f"one that the bundle or the real defects have: {', '.join(types)}",
            todo="Choose one, or another bundle or folder.",
        )
