"""Folders that the studio may read, and its own folder, the only one it writes to."""

from dataclasses import dataclass
from pathlib import Path

from blemish.data.listing import folders_in, pictures_in
from blemish.errors import DataError
from blemish.files import check_path


@dataclass(frozen=True)
class Places:
    """Where the studio reads and writes.

    Attributes:
        data: Folder of the user's photographs; folders inside it can be opened.
        out: Folder of all that the studio writes.
    """

    data: Path
    out: Path

    def of_data(self, name: str) -> Path:
        """A folder inside the user's, by its path relative to it.

        Raises:
            DataError: It leads out of the folder, or is none.
        """
        return _inside(self.data, name, folder=True)

    def of_out(self, name: str) -> Path:
        """A file that the studio wrote, by its path relative to its folder.

        Raises:
            DataError: It leads out of the folder, or does not exist.
        """
        return _inside(self.out, name, folder=False)

    def listing(self, name: str) -> dict[str, object]:
        """Folders in a folder of the user's, and how many pictures it holds itself."""
        folder = self.of_data(name)
        inside = [path for path in folders_in(folder) if not self._is_out(path)]
        return {
            "path": "" if folder == self.data else folder.relative_to(self.data).as_posix(),
            "name": folder.name,
            "folders": [path.name for path in inside],
            "pictures": len(pictures_in(folder)),
        }

    def _is_out(self, path: Path) -> bool:
        return path.resolve() == self.out.resolve()


def _inside(root: Path, name: str, *, folder: bool) -> Path:
    path = root if folder and name == "" else root / check_path(name, "a path")
    found = path.is_dir() if folder else path.is_file()
    if not found or not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            got=f"the path '{name[:80]}'",
            expected=f"a {'folder' if folder else 'file'} inside {root}",
            todo="Choose one there, or start the studio with another folder.",
        )
    return path
