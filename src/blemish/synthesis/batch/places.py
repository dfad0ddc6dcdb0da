"""Places of data sets: a folder of this machine, or a prefix of an object store.

pyarrow reads and writes both: s3://bucket/prefix, gs://bucket/prefix, file:///folder.
"""

import re
import shutil
from pathlib import Path
from typing import Any

from blemish.errors import OptionError, OutputError
from blemish.files import ensure_writable, replacing

BLOCK = 2**22  # bytes that are copied at a time
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+://")


def is_uri(place: str) -> bool:
    """Whether a place is written as a URI, not as a path."""
    return _SCHEME.match(place) is not None


class DataPlace:
    """Folder of a data set, wherever it lies. Files are written whole or not at all.

    Args:
        uri: A path, or a URI that pyarrow knows.

    Attributes:
        folder: The folder, if it is one of this machine's file system.

    Raises:
        OptionError: pyarrow is not installed, or does not know the URI.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.folder = uri, None if is_uri(uri) else Path(uri).absolute()
        if self.folder is None:
            self.system, self.root = _found(uri)
            if self.system.type_name == "local":
                self.folder = Path(self.root)

    def fetch(self, name: str, to: Path) -> None:
        """Copy a file, which must be there, to a folder of this machine."""
        to.parent.mkdir(parents=True, exist_ok=True)
        with self._opened(name) as file, to.open("wb") as copy:
            shutil.copyfileobj(file, copy, BLOCK)

    def has(self, name: str) -> bool:
        """Whether there is such a file."""
        if self.folder is not None:
            return (self.folder / name).is_file()
        return bool(self.system.get_file_info(self._at(name)).is_file)

    def store(self, file: Path, name: str) -> None:
        """Copy a file of this machine to this place.

        Raises:
            OutputError: It can't be written.
        """
        if self.folder is not None:
            ensure_writable((self.folder / name).parent)
            with replacing(self.folder / name) as temporary:
                shutil.copyfile(file, temporary)
            return
        try:
            with file.open("rb") as given, self.system.open_output_stream(self._at(name)) as copy:
                shutil.copyfileobj(given, copy, BLOCK)  # it is there once the stream is closed
        except OSError as error:
            raise OutputError(
                got=f"{self.uri}/{name}: {error}",
                expected="a place that can be written to",
                todo="Check the URI and the credentials.",
            ) from error

    def remove(self, name: str) -> None:
        """Remove a folder with all files in it, if it is there."""
        if self.folder is None:
            if self.system.get_file_info(self._at(name)).type.name != "NotFound":
                self.system.delete_dir(self._at(name))
            return
        if (self.folder / name).exists():
            shutil.rmtree(self.folder / name)

    def _opened(self, name: str) -> Any:
        if self.folder is not None:
            return (self.folder / name).open("rb")
        return self.system.open_input_stream(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self.root}/{name}"


def _found(uri: str) -> tuple[Any, str]:
    try:
        from pyarrow.fs import FileSystem

        system, path = FileSystem.from_uri(uri)
    except ImportError as error:
        raise OptionError(
            got=f"{uri} without the package pyarrow",
            expected="the package of the extra 'ray'",
            todo="Run pip install 'blemish[ray]'.",
        ) from error
    except (OSError, ValueError) as error:
        raise OptionError(
            got=f"{uri}, which is no place that can be written to: {error}",
            expected="a folder, or a URI such as s3://bucket/prefix",
            todo="Correct --out.",
        ) from error
    return system, path.rstrip("/")
