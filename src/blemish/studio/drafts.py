"""What is being painted on a photograph, and the session on disk that outlives tab and server."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from blemish.documents import dataclass_from, limit, read_json
from blemish.errors import DataError, OptionError
from blemish.files import ensure_writable, write_atomically
from blemish.studio.painted import PaintedMask

Method = Literal["window", "paste"]
MOST_DEFECTS = 16


@dataclass(frozen=True, kw_only=True)
class Defect:
    """A defect of a draft.

    Attributes:
        type: Its type.
        mask: Its mask.
    """

    type: str
    mask: PaintedMask


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Request for an item, as the page holds it.

    Attributes:
        bundle: Name of the bundle.
        method: Placement method.
        defects: The defects, in the order in which they are laid.
        strength: Strength of all of them, above 0 and up to 1.
        seed: Random seed.
    """

    bundle: str
    method: Method = "window"
    defects: tuple[Defect, ...] = field(default_factory=tuple)
    strength: float = 1
    seed: int = 0

    def __post_init__(self) -> None:
        limit({"the number of defects": (len(self.defects), 0, MOST_DEFECTS)})
        limit({"the seed": (self.seed, 0, 2**31 - 1), "the strength": (self.strength, 0.01, 1)})


class Session:
    """Drafts by photograph, and the folders that were opened, in files.

    Args:
        folder: Folder of the session.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "session.json"

    def draft(self, id: str) -> Draft | None:
        """What was painted on a photograph, if anything was.

        Raises:
            DataError: The file is damaged.
        """
        file = self._file_of(id)
        if not file.is_file():
            return None
        return as_draft(read_json(file, "a draft of the studio"), file.name)

    def keep(self, id: str, draft: Draft) -> None:
        """Remember what is painted on a photograph."""
        ensure_writable(self.folder)
        write_atomically(self._file_of(id), json.dumps(asdict(draft)).encode())

    def folders(self) -> list[str]:
        """Folders that were opened, relative to the user's."""
        found = self._read().get("folders", [])
        return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []

    def remember_folder(self, name: str) -> None:
        """Open the folder again at the next start."""
        known = self.folders()
        if name not in known:
            ensure_writable(self.folder)
            write_atomically(self.file, json.dumps({"folders": [*known, name]}).encode())

    def _read(self) -> dict[str, Any]:
        found = read_json(self.file, "a session of the studio") if self.file.is_file() else {}
        return found if isinstance(found, dict) else {}

    def _file_of(self, id: str) -> Path:
        return self.folder / f"{id}.json"


def as_draft(value: object, name: str = "the request") -> Draft:
    """A draft from JSON.

    Raises:
        DataError: A field is missing, unknown or of another type.
    """
    try:
        return dataclass_from(Draft, value, name)
    except (ValueError, OptionError) as error:
        raise unfit(str(error)) from error


def unfit(complaint: str) -> DataError:
    """Error for a request that the page does not send."""
    return DataError(
        got=f"a request that can't be understood: {complaint}",
        expected="a request as the page sends it",
        todo="Reload the page.",
    )
