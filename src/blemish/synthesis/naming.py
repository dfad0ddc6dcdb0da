"""Names of items: those of their photographs, made valid for every system and tool.

Everything that `files.check_name` refuses is replaced: characters that are not valid in every path,
unusual spaces, dots and spaces at the ends, names reserved by Windows.
"""

from pathlib import Path

from blemish.errors import DataError
from blemish.files import check_name

STEM_LENGTH = 40


def plain_stem(path: Path, length: int | None = STEM_LENGTH) -> str:
    """Name of a photograph without its suffix, in a form that may start a file name.

    Args:
        path: File of the photograph.
        length: Maximum number of characters; None keeps all.

    Returns:
        A name that `files.check_name` accepts, or an empty one.
    """
    stem = path.stem[:length].lstrip(".")
    plain = "".join(map(_plain, stem)).strip(" ").rstrip(".")
    return f"_{plain}" if plain and _is_refused(plain) else plain


def _plain(character: str) -> str:
    taken = character.isprintable() and not _is_refused(f"a{character}a")
    return character if taken else "_"


def _is_refused(name: str) -> bool:
    try:
        check_name(name, "a name")
    except DataError:
        return True
    return False
