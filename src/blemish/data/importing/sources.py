"""Source of an import: the files below one folder, and the photographs that annotations name.

Nothing outside the folder is read: neither a name nor a link may lead out of it.
"""

import os
from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from blemish.data.listing import SUFFIXES
from blemish.errors import DataError
from blemish.files import check_name

LARGEST_FILE = 2**28  # bytes of one file of annotations


class AnnotatedFolder:
    """Folder of photographs and annotations.

    Args:
        place: The folder, or one file of annotations in it. The photographs of a file in a folder
            named annotations may lie beside that folder.
        scratch: Folder for photographs that are embedded in annotations.

    Raises:
        DataError: It is missing, or is an archive.
    """

    def __init__(self, place: Path, scratch: Path) -> None:
        if not place.exists() or place.suffix.lower() in (".zip", ".tar", ".gz", ".7z", ".rar"):
            raise _no_source(place)
        self.only = None if place.is_dir() else place
        beside = place if self.only is None else place.parent
        inner = self.only is not None and beside.name.lower() == "annotations"
        self.root = beside.resolve().parent if inner else beside
        self.only = self.root / beside.name / place.name if inner else self.only
        self.scratch = scratch

    def files(self, *suffixes: str) -> Iterator[Path]:
        """Visible files with one of these suffixes, by name; only the one if one was given."""
        found = self._all if self.only is None else [self.only]
        yield from (path for path in found if path.suffix.lower() in suffixes)

    def below(self, *suffixes: str) -> list[Path]:
        """Every visible file below the folder with one of these suffixes, by name."""
        return [path for path in self._all if path.suffix.lower() in suffixes]

    @cached_property
    def pictures(self) -> list[Path]:
        """Every photograph below the folder."""
        return self.below(*SUFFIXES)

    def name(self, path: Path) -> str:
        """Name of a file in the source, with folders."""
        return path.relative_to(self.root).as_posix()

    def picture(self, text: object, beside: Path) -> Path:
        """Photograph that annotations name.

        Args:
            text: Name, with folders relative to those of the annotations, or with the last of them.
            beside: File of annotations.

        Raises:
            DataError: It is missing, is not the only one of its name, or lies outside the folder.
        """
        wanted, leading = self._relative(text, beside)
        here = self._folders(beside)
        first = len(here) - leading
        for count in range(first, first - 1 if leading else -1, -1):
            path = self.root.joinpath(*here[:count], *wanted)
            if path.is_file():
                return self.inside(path)
        found = [] if leading else self._ending_with(wanted)
        if len(found) != 1:
            raise _no_picture(beside, str(text), "several" if found else "none")
        return self.inside(found[0])

    def inside(self, path: Path) -> Path:
        """The path, unless a link leads out of the folder; then a DataError is raised."""
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise _leads_out(path, str(path.resolve()))
        return path

    def _folders(self, path: Path) -> tuple[str, ...]:
        return path.parent.relative_to(self.root).parts

    def _relative(self, text: object, beside: Path) -> tuple[tuple[str, ...], int]:
        """Folders and name below, and how many folders they lead up first."""
        parts = str(text).replace("\\", "/").split("/") if isinstance(text, str) else [text]
        while parts and parts[0] == ".":
            parts = parts[1:]
        leading = next((k for k, part in enumerate(parts) if part != ".."), len(parts))
        if leading > len(self._folders(beside)):
            raise _leads_out(beside, str(text))
        what = f"{beside}, which names the photograph {str(text)[:80]!r} with"
        return tuple(check_name(part, what) for part in parts[leading:]), leading

    def _ending_with(self, wanted: tuple[str, ...]) -> list[Path]:
        found = self._by_name[wanted[-1]] if wanted else []
        return [path for path in found if path.parts[-len(wanted) :] == wanted]

    @cached_property
    def _by_name(self) -> defaultdict[str, list[Path]]:
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.pictures:
            found[path.name].append(path)
        return found

    @cached_property
    def _all(self) -> list[Path]:
        found = []
        for here, folders, files in os.walk(self.root):
            folders[:] = sorted(name for name in folders if name[0] != "." and name != "__MACOSX")
            found += [Path(here, name) for name in sorted(files) if name[0] != "."]
        return found


def _no_source(place: Path) -> DataError:
    what = "an archive" if place.exists() else "which does not exist"
    return DataError(
        got=f"{place}, {what}",
        expected="a folder of photographs and annotations, or a file of annotations",
        todo="Unpack it first, and give the folder." if place.exists() else "Check the path.",
    )


def _leads_out(path: Path, text: str) -> DataError:
    return DataError(
        got=f"{path}, which leads out of its folder to {text[:80]!r}",
        expected="photographs in the folder of the annotations or below it",
        todo="Put photographs and annotations into one folder, and give that.",
    )


def _no_picture(beside: Path, text: str, count: str) -> DataError:
    todo = "Put it there." if count == "none" else "Name its folder in the annotations, too."
    return DataError(
        got=f"{beside}, which names the photograph {text[:80]!r}: files of this name: {count}",
        expected="one such photograph in the folder of the annotations or below it",
        todo=todo,
    )
