"""Image files and folders in a folder, by name, without hidden ones.

Any suffix of `SUFFIXES` is accepted, in upper or lower case.
"""

import os
from pathlib import Path

SUFFIXES = (
    *(".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png", ".pnm", ".ppm"),
    *(".tif", ".tiff", ".webp"),
)


def pictures_in(folder: Path) -> list[Path]:
    """Image files of a folder; empty if it is missing."""
    return [folder / name for name in picture_names(folder)]


def picture_names(folder: Path) -> list[str]:
    """Names of the files of `pictures_in`, a million of them in seconds."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if _is_picture(entry))


def folders_in(folder: Path) -> list[Path]:
    """Folders in a folder; empty if it is missing."""
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."]


def _is_picture(entry: os.DirEntry[str]) -> bool:
    hidden = entry.name.startswith(".")
    return entry.name.lower().endswith(SUFFIXES) and not hidden and entry.is_file()
