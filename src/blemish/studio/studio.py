"""All that one start of the studio knows."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from blemish.checkpoint import Bundle, embedded_bundles, find_bundle
from blemish.data.folder import DefectFolder
from blemish.data.listing import folders_in
from blemish.errors import DataError
from blemish.studio.collection import Collection
from blemish.studio.drafts import Session
from blemish.studio.editing import Editing
from blemish.studio.jobs import Jobs
from blemish.studio.photographs import Photographs
from blemish.studio.places import Places
from blemish.studio.placing import DraftPlacer
from blemish.studio.worker import Worker

GOOD = ("train/good", "good", "")  # where photographs of good parts lie in a folder, the best first


@dataclass(frozen=True)
class Studio:
    """The studio's parts.

    Args:
        places: Folders.
        bundle: Name or folder of the first bundle.
        device: Device to compute on.

    Raises:
        BundleError: There is no such bundle.
    """

    places: Places
    bundle: str
    device: str

    def __post_init__(self) -> None:
        find_bundle(self.bundle)
        for name in self.session.folders() or [self._first_folder()]:
            self.open_folder(name)
        uploads = self.photographs.uploads
        self.photographs.add_folder(uploads, uploads.name)

    @cached_property
    def photographs(self) -> Photographs:
        """Photographs that were opened."""
        return Photographs(self.places.out / "photographs")

    @cached_property
    def session(self) -> Session:
        """What survives a restart."""
        return Session(self.places.out / "session")

    @cached_property
    def collection(self) -> Collection:
        """Items."""
        return Collection(self.places.out)

    @cached_property
    def jobs(self) -> Jobs:
        """Long work."""
        return Jobs(self.places.out)

    @cached_property
    def worker(self) -> Worker:
        """The thread that computes."""
        return Worker()

    @cached_property
    def placer(self) -> DraftPlacer:
        """Bundles at work."""
        return DraftPlacer(self.bundles(), self.real, self.device)

    @cached_property
    def editing(self) -> Editing:
        """Edits and repairs."""
        return Editing(self.placer, self.photographs, self.worker, self.places.out)

    @cached_property
    def real(self) -> Path | None:
        """Folder of real defects: the user's, if it has the layout of MVTec AD."""
        try:
            return self.places.data if DefectFolder(self.places.data).types else None
        except DataError:
            return None

    def bundles(self) -> dict[str, Bundle]:
        """Bundles by name: the first, the shipped ones, and those that the studio has trained."""
        own = [path for path in folders_in(self.places.out / "bundles") if _is_bundle(path)]
        found = {self.bundle: find_bundle(self.bundle)}
        found |= {name: find_bundle(name) for name in embedded_bundles() if name not in found}
        return found | {path.name: Bundle(path) for path in own}

    def open_folder(self, name: str) -> None:
        """Make the pictures of a folder inside the user's known; one that is gone is left out."""
        try:
            folder = self.places.of_data(name)
        except DataError:
            return
        self.photographs.add_folder(folder, name or folder.name)

    def _first_folder(self) -> str:
        found = [name for name in GOOD if (self.places.data / name).is_dir()]
        return found[0]


def _is_bundle(path: Path) -> bool:
    return (path / "config.json").is_file()
