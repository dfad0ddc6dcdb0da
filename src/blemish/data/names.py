"""What files and folders of a data set are called: which mask is whose, and which parts are good.

Names that differ only in how accents and syllables are encoded (NFC, NFD) are one name; a Mac and a
Linux machine write them differently.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

GOOD = "good"
_GOOD_NAMES = (GOOD, "ok")

_WORDS = ("mask", "gt", "bm", "label")
_MARKS = "_-."
# "_mask" and the bare name come first: with both at hand, they are taken.
_USUAL = ("{}_mask", "{}")
_OTHERS = (
    *(f"{{}}{mark}{word}" for word in _WORDS for mark in _MARKS),
    *(f"{word}{mark}{{}}" for word in _WORDS for mark in _MARKS),
)


def normal(name: str) -> str:
    """A name in one normal form, NFC."""
    return unicodedata.normalize("NFC", name)


def kind_of(folder: Path) -> str:
    """The type of the defects in a folder: its name; "good" where that means good parts."""
    name = normal(folder.name)
    return GOOD if is_good(name) else name


def is_good(name: str) -> bool:
    """Whether a name means good parts."""
    return name.casefold() in _GOOD_NAMES


class Masks:
    """The masks of one type of defect, found by the photographs' names.

    Args:
        paths: Files, and folders that hold the masks of one photograph each.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self.by_stem: dict[str, Path] = {}
        self.by_any_case: dict[str, Path] = {}
        for path in paths:
            stem = normal(path.name if path.is_dir() else path.stem)
            self.by_stem.setdefault(stem, path)
            self.by_any_case.setdefault(stem.casefold(), path)

    def find(self, photograph: Path) -> Path | None:
        """The mask of a photograph; None without one."""
        for stem, _ in _stems(photograph):
            if stem in self.by_stem:
                return self.by_stem[stem]
        for stem, _ in _stems(photograph):
            if stem.casefold() in self.by_any_case:
                return self.by_any_case[stem.casefold()]
        return None


def pattern_of(photograph: Path, mask: Path) -> str:
    """How a mask is named after its photograph, such as "<name>_gt.png"."""
    own = normal(mask.name if mask.is_dir() else mask.stem)
    like = [(stem, pattern) for stem, pattern in _stems(photograph) if _alike(stem, own)]
    _, pattern = min(like, key=lambda found: found[0] != own)
    before = pattern.index("<name>")
    after = len(pattern) - before - len("<name>")
    shown = f"{own[:before]}<name>{own[len(own) - after :]}"
    return f"{shown}/ (a folder)" if mask.is_dir() else f"{shown}{mask.suffix}"


def _alike(one: str, other: str) -> bool:
    return one.casefold() == other.casefold()


def _stems(photograph: Path) -> Iterator[tuple[str, str]]:
    """Names that a photograph's mask may have, without suffix, with the pattern of each."""
    stem, whole = normal(photograph.stem), normal(photograph.name)
    for pattern in (*_USUAL, *_OTHERS):
        yield pattern.format(stem), pattern.format("<name>")
        yield pattern.format(whole), pattern.format(f"<name>{photograph.suffix}")
