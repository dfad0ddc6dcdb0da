"""Plain, distinct names for photographs that come from several folders."""

from collections import Counter
from collections.abc import Container, Sequence
from itertools import chain, count
from pathlib import PurePosixPath

from blemish.data.names import normal
from blemish.files import check_name


def plain_names(names: Sequence[str]) -> list[str]:
    """Name without suffix for each photograph, none twice, in upper or lower case.

    A name that occurs once stays; otherwise the folders come before it, and if that does not tell
    photographs apart, a number comes after it.

    Args:
        names: Names with folders.

    Raises:
        DataError: A name can't be that of a file.
    """
    paths = [PurePosixPath(normal(name)) for name in names]
    stems = Counter(path.stem.casefold() for path in paths)
    taken = {stem for stem, times in stems.items() if times == 1}
    found = []
    for path, source in zip(paths, names, strict=True):
        alone = stems[path.stem.casefold()] == 1
        plain = path.stem if alone else _free("_".join((*path.parts[:-1], path.stem)), taken)
        taken.add(plain.casefold())
        found.append(check_name(plain, f"the photograph {source!r}, whose name becomes"))
    return found


def _free(name: str, taken: Container[str]) -> str:
    numbered = (f"{name}_{number}" for number in count(2))
    return next(name for name in chain([name], numbered) if name.casefold() not in taken)
