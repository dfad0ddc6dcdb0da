"""The pictures in a folder that are not read, with the reason."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from blemish.data.folder import DefectFolder
from blemish.data.listing import SUFFIXES
from blemish.data.pairs import files_of

SPLITS, MASKS = ("train", "test"), "ground_truth"

# Of pictures that other programs read; a file of any other name is one if it begins like one.
_OTHER_SUFFIXES = (
    *(".arw", ".avif", ".cr2", ".dcm", ".dng", ".exr", ".hdr", ".heic", ".heif", ".ico", ".j2k"),
    *(".jp2", ".jxl", ".nef", ".npy", ".orf", ".pcx", ".psd", ".raw", ".rw2", ".svg", ".tga"),
)
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"II*\0", b"MM\0*", b"RIFF", b"BM")


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A picture that is not read.

    Attributes:
        path: Its file.
        reason: Why, as the end of a sentence that begins with the file.
        inside: Whether it lies in train/, test/ or ground_truth/, where it was meant to be read.
    """

    path: Path
    reason: str
    inside: bool


def leftovers(folder: DefectFolder) -> Iterator[Leftover]:
    """Every picture under the folder's root that is not read; hidden files are passed over.

    A mask that fits no photograph is not among them where it lies in the right place.
    """
    used = {photograph.path for photograph in folder.photographs}
    masks = (photograph.mask_path for photograph in folder.photographs)
    used |= {file for mask in masks if mask is not None for file in files_of(mask)}
    for path in _visible_files(folder.root):
        if path not in used:
            where = path.relative_to(folder.root).parts
            reason = _reason(path, where)
            if reason is not None:
                inside = len(where) > 1 and where[0] in (*SPLITS, MASKS)
                yield Leftover(path=path, reason=reason, inside=inside)


def _visible_files(root: Path) -> Iterator[Path]:
    for here, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name[0] != ".")
        yield from (Path(here, name) for name in sorted(files) if name[0] != ".")


def _reason(path: Path, where: tuple[str, ...]) -> str | None:
    """Why a file is not read; None where it is no picture, or has another complaint."""
    if not path.is_file():
        return _reason_of_irregular(path)
    if not _is_picture(path):
        return None
    top = where[0]
    if len(where) == 1 or top not in (*SPLITS, MASKS):
        return "is not read: it lies outside train/, test/ and ground_truth/"
    if len(where) == 2:
        return f"is not read: it lies in {top}/ itself, not in a folder such as {top}/{_inner(top)}"
    if path.suffix.lower() not in SUFFIXES:
        known = "has no suffix of a picture" if not path.suffix else f"{path.suffix} is not known"
        return f"is not read: {known}; save it as PNG"
    if len(where) == 3:
        return None
    within = "/".join(where[:2])
    if top == MASKS:
        return f"is not read: its folder inside {within} is named like no photograph"
    return f"is not read: it lies in a folder inside {within}; move it into {within} itself"


def _reason_of_irregular(path: Path) -> str | None:
    if path.suffix.lower() not in SUFFIXES:
        return None
    broken = path.is_symlink() and not path.exists()
    return "is not read: it is a link to nothing" if broken else "is not read: it is no file"


def _inner(top: str) -> str:
    return "<type>" if top == MASKS else "good"


def _is_picture(path: Path) -> bool:
    if path.suffix.lower() in (*SUFFIXES, *_OTHER_SUFFIXES):
        return True
    if path.suffix and path.suffix[1:].isalnum() and len(path.suffix) < 6:
        return False
    try:
        with path.open("rb") as file:
            return file.read(8).startswith(_BEGINNINGS)
    except OSError:
        return False
