"""What a batch shall be: a TOML file, read and checked as a whole before anything is made.

    bundle = "hazelnut"                    a bundle's folder, or the name of an embedded one
    seed = 0

    [[group]]                              as many as wanted, one after the other
    defect = "colour"
    count = 12
    photographs = "good"                   a folder, a file or a list; or: parts = 4
    mask_kind = "blob"                     masks to draw; or: masks, like photographs
    area = 0.02                            any option of a synthesis; see `options`
    strength = [0.6, 1.0]                  anything between two, or one for all

Folders and files are named from where the recipe lies. Items are numbered from 0 through all of the
groups.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from blemish.checkpoint import Bundle, find_bundle
from blemish.data.folder import pictures_in
from blemish.errors import DataError, OptionError
from blemish.seeds import refuse_seeds
from blemish.synthesis.batch.groups import Group, flattened
from blemish.synthesis.batch.tables import STRICT, fill, naming, read_toml
from blemish.synthesis.masks import read_real
from blemish.synthesis.synthesize import Synthesizer


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A recipe whose files have been found.

    Attributes:
        file: As the user named it, for messages.
        here: Its folder, from which its files are named.
        bundle: The bundle that makes items; None if no group needs one.
        seed: Of all of them.
        groups: With files for folders.
    """

    file: Path
    here: Path
    bundle: Bundle | None
    seed: int
    groups: tuple[Group, ...]

    def __len__(self) -> int:
        return sum(group.count for group in self.groups)

    def bundle_of(self, group: Group) -> Bundle | None:
        """The bundle that makes the items of a group, or draws its parts."""
        return self.bundle if group.needs_bundle or group.parts is not None else None

    def locate(self, index: int) -> tuple[int, int]:
        """Which group an item is of, and its number there."""
        for place, group in enumerate(self.groups):
            if index < group.count:
                return place, index
            index -= group.count
        raise IndexError(index)

    def options(self) -> dict[str, Any]:
        """What it asks for, as JSON holds it, files by their names."""
        groups = [group.record() for group in self.groups]
        return json.loads(json.dumps({"seed": self.seed, "group": groups}, default=str))

    def digests(self) -> dict[str, str]:
        """SHA-256 of everything that items are made from, by name."""
        known = {name: _digest(self.here / name) for name in self._files()}
        return known if self.bundle is None else {"bundle": self.bundle.digest, **known}

    def check(self) -> None:
        """Refuse what the bundle can't do, before any time is spent.

        Raises:
            UserError: The bundle is broken, does not know a type, or lacks what a method needs; or
                a folder of real defects lacks what is wanted of it.
        """
        worker = cache(Synthesizer)
        for place, group in enumerate(self.groups, 1):
            with naming(f"{self.file}, group {place}"):
                options = group.options(self.here)
                made = worker(self.bundle_of(group), options.without_masks())
                _refuse_unknown(group.defect, made.types)
                made.prepare(group.defect)
                if options.mask_kind == "real" and options.real is not None:
                    read_real(options.real, group.defect, first_third=options.first_third)

    def _files(self) -> Iterator[str]:
        named = {name for group in self.groups for name in (*group.photographs, *group.masks)}
        for folder in {folder for group in self.groups for folder in group.folders.values()}:
            inside = (path for path in (self.here / folder).rglob("*") if path.is_file())
            named |= {_named(folder, path.relative_to(self.here / folder)) for path in inside}
        yield from sorted(named)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The file's uppermost table."""

    __pydantic_config__ = STRICT

    bundle: str = "hazelnut"
    seed: int = 0
    group: list[dict[str, Any]] = field(default_factory=list)


def read_recipe(file: Path) -> Recipe:
    """Read a recipe, and find the files that it names.

    Raises:
        OptionError: A key is unknown or missing, or has a value that it does not take.
        DataError: The file, or one that it names, is missing, or a folder is empty.
        BundleError: There is no such bundle.
    """
    head, here = fill(_Head, read_toml(file), str(file)), file.parent.absolute()
    if not head.group:
        raise OptionError(
            got=f"{file}, a recipe without groups",
            expected="a table [[group]] for each kind of items",
            todo="See examples/recipe.toml.",
        )
    tables = enumerate(head.group, 1)
    groups = tuple(_group(table, here, f"{file}, group {place}") for place, table in tables)
    drawn = any(group.needs_bundle or group.parts is not None for group in groups)
    with naming(str(file)):
        refuse_seeds(head.seed)
        bundle = _find_bundle(head.bundle, here) if drawn else None
    return Recipe(file=file, here=here, bundle=bundle, seed=head.seed, groups=groups)


def _group(table: dict[str, Any], here: Path, name: str) -> Group:
    with naming(name):
        flat = flattened(table)
    group = fill(Group, flat, name)
    with naming(name):
        for option, folder in group.folders.items():
            if not (here / folder).is_dir():
                raise _missing(option, folder.as_posix(), "a folder")
        return replace(
            group,
            photographs=_listed("photographs", group.photographs, here),
            masks=_listed("masks", group.masks, here),
        )


def _listed(key: str, names: tuple[str, ...], here: Path) -> tuple[str, ...]:
    """Folders replaced by the pictures in them."""
    found = []
    for name in names:
        inside = [_named(name, path.name) for path in pictures_in(here / name)]
        if not inside and not (here / name).is_file():
            raise _missing(key, name, "a picture, or a folder of pictures")
        found += inside or [name]
    return tuple(found)


def _named(folder: Path | str, file: Path | str) -> str:
    return (Path(folder) / file).as_posix()


def _find_bundle(name: str, here: Path) -> Bundle:
    """The bundle in a folder beside the recipe, or whatever else has this name."""
    beside = (here / name / "config.json").is_file()
    return find_bundle(here / name if beside else name)


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        return f"unreadable ({error.strerror})"  # its items will fail, each for itself


def _missing(key: str, name: str, expected: str) -> DataError:
    got = f"{key} = '{name}', where nothing of the kind is"
    return DataError(got=got, expected=expected, todo="Name it from where the recipe lies.")


def _refuse_unknown(kind: str, types: tuple[str, ...]) -> None:
    if kind not in types:
        raise OptionError(
            got=f"the defect type '{kind}'",
            expected=f"one that the bundle or the real defects have: {', '.join(types)}",
            todo="Choose one, or another bundle or folder.",
        )
