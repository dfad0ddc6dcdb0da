"""Names of items: those of their photographs, made plain, so that every system and tool takes them.

What `files.check_name` refuses is replaced here: characters that a path can't hold everywhere,
spaces other than the plain one, dots and spaces at the ends, names that Windows reserves.
"""

from pathlib import Path

from blemish.errors import DataError
from blemish.files import check_name

STEM_LENGTH = 40


def plain_stem(path: Path, length: int | None = STEM_LENGTH) -> str:
    """The name of a photograph without its suffix, as it may begin the name of a file.

    Args:
        path: The photograph's file.
        length: Characters to keep; None keeps all.

    Returns:
        A name that `files.check_name` takes, or an empty one.
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
