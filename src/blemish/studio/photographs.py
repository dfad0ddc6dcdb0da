"""Photographs that were opened, and what is computed of one once and kept."""

import hashlib
from collections import OrderedDict
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock

from blemish.data.listing import SUFFIXES, pictures_in
from blemish.decode import header
from blemish.errors import DataError, OptionError
from blemish.files import ensure_writable, replacing, write_atomically
from blemish.pictures import read_picture
from blemish.studio.views import PREVIEW_SIDE, THUMBNAIL, jpeg, reduced
from blemish.synthesis.assemble import photograph_digest
from blemish.synthesis.naming import plain_stem
from blemish.synthesis.part import GoodPart

KEPT_OPEN = 3  # photographs; one of 64 million pixels takes half a gigabyte
KEPT_SMALL = 512
MOST_UPLOADS = 2000


class Opened:
    """A photograph in memory.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self.part = GoodPart.read(path)
        self.path, self.original = path, self.part.original

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        h, w = self.original.levels.shape[:2]
        return h, w

    @cached_property
    def digest(self) -> str:
        """Name by its pixels, as manifests have it."""
        return photograph_digest(self.original.picture)

    @cached_property
    def preview(self) -> bytes:
        """Reduced photograph as a JPEG."""
        return jpeg(reduced(self.original.picture, PREVIEW_SIDE))

    def about(self) -> dict[str, object]:
        """What the page shows of the file."""
        levels, (h, w) = self.original.levels, self.size
        return {
            "width": w,
            "height": h,
            "bits": 8 * levels.dtype.itemsize,
            "channels": 1 if levels.ndim == 2 else levels.shape[2],
            "orientation": self.original.orientation,
        }


@dataclass(frozen=True)
class ListedPhotograph:
    """A photograph that can be opened.

    Attributes:
        id: Name that the page uses for it; it says nothing of the path.
        path: Its file.
        folder: Folder as users see it.
    """

    id: str
    path: Path
    folder: str


class Photographs:
    """All photographs of the opened folders.

    Args:
        uploads: Folder for photographs that are dragged onto the page.
    """

    def __init__(self, uploads: Path) -> None:
        self.uploads = uploads
        self.known: dict[str, ListedPhotograph] = {}
        self.open, self.small = OrderedDict[str, Opened](), OrderedDict[str, bytes]()
        self.lock = Lock()

    def add_folder(self, folder: Path, shown: str) -> list[ListedPhotograph]:
        """Make the pictures of a folder known."""
        return [self.add(path, shown) for path in pictures_in(folder)]

    def add(self, path: Path, shown: str) -> ListedPhotograph:
        """Make a picture known."""
        id = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:16]
        return self.known.setdefault(id, ListedPhotograph(id, path, shown))

    def find(self, id: str) -> ListedPhotograph:
        """A photograph by its name on the page.

        Raises:
            DataError: There is none of that name.
        """
        if id not in self.known:
            raise DataError(
                got=f"the photograph '{id[:40]}'",
                expected="one that was opened",
                todo="Open its folder.",
            )
        return self.known[id]

    def opened(self, id: str) -> Opened:
        """A photograph in memory; the last few stay there.

        Raises:
            DataError: It can't be read.
        """
        photograph = self.find(id)
        if id not in self.open:
            self.open[id] = Opened(photograph.path)
        self.open.move_to_end(id)
        while len(self.open) > KEPT_OPEN:
            self.open.popitem(last=False)
        return self.open[id]

    def thumbnail(self, id: str) -> bytes:
        """A small picture of a photograph as a JPEG."""
        photograph = self.find(id)
        with self.lock:  # one at a time, so that memory stays bounded
            if id not in self.small:
                self.small[id] = jpeg(reduced(read_picture(photograph.path), THUMBNAIL), 85)
            while len(self.small) > KEPT_SMALL:
                self.small.popitem(last=False)
            return self.small[id]

    async def receive(self, name: str, chunks: AsyncIterator[bytes]) -> ListedPhotograph:
        """Store a file that was dragged onto the page, byte for byte.

        Args:
            name: Name of the file.
            chunks: Its content.

        Raises:
            DataError: It is no picture that can be read.
            OptionError: There are too many of them.
        """
        target = self._free(name)
        with replacing(target) as temporary:
            with temporary.open("wb") as file:
                async for chunk in chunks:
                    file.write(chunk)
            header(temporary)
        return self.add(target, self.uploads.name)

    def keep(self, name: str, data: bytes) -> ListedPhotograph:
        """Store a picture that the studio has made, and list it."""
        target = self._free(name)
        write_atomically(target, data)
        return self.add(target, self.uploads.name)

    def _free(self, name: str) -> Path:
        """A new file for an upload."""
        ensure_writable(self.uploads)
        stem, suffix = plain_stem(Path(name)), Path(name).suffix.lower()
        if suffix not in SUFFIXES or not stem:
            raise DataError(
                got=f"a file named '{name[:80]}'",
                expected=f"a picture: {', '.join(SUFFIXES)}",
                todo="Convert it, or choose another file.",
            )
        if len(pictures_in(self.uploads)) >= MOST_UPLOADS:
            raise OptionError(
                got=f"more than {MOST_UPLOADS} photographs dragged onto the page",
                expected="fewer",
                todo="Start the studio with their folder instead.",
            )
        names = (f"{stem}{f'-{k}' if k else ''}{suffix}" for k in range(MOST_UPLOADS + 1))
        return next(self.uploads / one for one in names if not (self.uploads / one).exists())
