"""What is wrong with one photograph and its mask, and what should be known of them."""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from blemish.data.folder import LEAST_MARKED, Photograph
from blemish.data.mask_levels import Marks
from blemish.data.names import GOOD
from blemish.data.pairs import files_of, read_marks_for
from blemish.decode import (
    Decoded,
    PictureHeader,
    decode,
    header,
    in_file,
    refuse_dark,
    usual_white,
)
from blemish.errors import DataError
from blemish.pictures import fit_mask, is_oblong

DIM = 16383  # the highest level of a 14-bit camera; a photograph of 16 bits may be that dark
MOST_MARKED = 0.75


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """What is wrong with one file, or what should be known of it."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedPhotograph:
    """One photograph, read and let go; None stands for what could not be read.

    Attributes:
        photograph: The photograph, with its type and its mask's file.
        size: Width and height.
        digest: Hash of its pixels.
        mask_percent: Share of the photograph that its mask covers.
        notes: What should be known of it or of its mask.
        complaints: What is wrong with it or with its mask.
    """

    photograph: Photograph
    size: tuple[int, int] | None = None
    digest: bytes | None = None
    mask_percent: float | None = None
    notes: tuple[Complaint, ...] = ()
    complaints: tuple[Complaint, ...] = ()

    def having(
        self, path: Path, *complaints: str, notes: Iterable[str] = ()
    ) -> "ExaminedPhotograph":
        """The same with more said of a file."""
        fresh = tuple(Complaint(path=path, text=text) for text in complaints)
        known = tuple(Complaint(path=path, text=text) for text in notes)
        return replace(self, complaints=self.complaints + fresh, notes=self.notes + known)


def examine_photograph(photograph: Photograph, resolution: int) -> ExaminedPhotograph:
    """Read a photograph and its mask.

    Args:
        photograph: A photograph of a folder.
        resolution: Side of the model's pictures, at which the mask should still be seen.
    """
    finding, path = ExaminedPhotograph(photograph=photograph), photograph.path
    try:
        found = decode(path)
    except DataError as error:
        finding = finding.having(path, text_of(path, error))
        return finding if photograph.kind == GOOD else _examine_mask(finding, None, resolution)
    h, w = found.levels.shape[:2]
    finding = replace(finding, size=(w, h), digest=_digest(found))
    finding = finding.having(path, *_faults_of(path, found), notes=_notes_of(found))
    if photograph.kind == GOOD:
        return finding
    known = PictureHeader(width=w, height=h, orientation=found.orientation)
    return _examine_mask(finding, known, resolution)


def _faults_of(path: Path, found: Decoded) -> Iterator[str]:
    try:
        with in_file(path):
            refuse_dark(found)
    except DataError as error:
        yield text_of(path, error)


def _notes_of(found: Decoded) -> Iterator[str]:
    h, w = found.levels.shape[:2]
    if is_oblong(w, h):
        yield f"is {named((w, h))}; the model sees it squeezed to a square"
    highest = int(found.levels.max())
    if found.white == np.iinfo(np.uint16).max and not found.dark and 0 < highest <= DIM:
        yield (
            f"has 16 bits with levels up to {highest} only; if the camera gives fewer bits, add "
            f"--levels {usual_white(highest)}"
        )


def _examine_mask(
    finding: ExaminedPhotograph, known: PictureHeader | None, resolution: int
) -> ExaminedPhotograph:
    photograph, path = finding.photograph, finding.photograph.mask_path
    if path is None:
        text = f"has no mask in ground_truth/{photograph.kind}"
        return finding.having(photograph.path, text)
    found, finding = _read_masks(finding, known, path)
    if len(found) < len(files_of(path)):
        return finding
    mask = np.any([marks.mask for marks in found], axis=0)
    finding = replace(finding, mask_percent=100 * float(mask.mean()))
    notes = [*dict.fromkeys(note for marks in found for note in marks.notes)]
    notes += _notes_of_mask(mask, resolution)
    return finding.having(path, *_faults_of_mask(mask), notes=notes)


def _read_masks(
    finding: ExaminedPhotograph, known: PictureHeader | None, path: Path
) -> tuple[list[Marks], ExaminedPhotograph]:
    """The files that a mask consists of, as far as they can be read."""
    found: list[Marks] = []
    for file in files_of(path):
        try:
            known = known or header(file)  # of an unreadable photograph, the mask's own
            found.append(read_marks_for(known, file, finding.photograph.kind))
        except DataError as error:
            finding = finding.having(file, text_of(file, error))
    return found, finding


def _faults_of_mask(mask: Bool[np.ndarray, "h w"]) -> Iterator[str]:
    if not mask.any():
        yield "marks no pixel"
    if mask.all():
        yield "marks every pixel"


def _notes_of_mask(mask: Bool[np.ndarray, "h w"], resolution: int) -> Iterator[str]:
    share = float(mask.mean())
    if MOST_MARKED < share < 1:
        yield f"marks {share:.0%} of the photograph; is it the other way round?"
    left = int(fit_mask(mask, resolution).sum())
    if share > 0 and left < LEAST_MARKED:
        yield f"has {left} pixels at {named((resolution, resolution))}, too few to learn from"


def text_of(path: Path, error: DataError) -> str:
    """What is wrong with a file and what to do, after the file's name."""
    return f"{_got(path, error)}; {error.todo[:1].lower()}{error.todo[1:].rstrip('.')}"


def _got(path: Path, error: DataError) -> str:
    text = error.got.removeprefix(str(path)).lstrip(", ")
    words = {"which ": "", "a mask ": "is a mask ", "with ": "has ", "of ": "has "}
    for theirs, ours in words.items():
        if text.startswith(theirs):
            return ours + text.removeprefix(theirs)
    return text


def _digest(found: Decoded) -> bytes:
    """Hash of the colours at the file's own depth, so that a difference below 8 bits counts."""
    colours = np.broadcast_to(found.colours, (*found.levels.shape[:2], 3))
    digest = hashlib.blake2b(f"{colours.shape} {colours.dtype}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(colours).data)
    return digest.digest()


def named(size: tuple[int, int]) -> str:
    """Width and height in words."""
    return f"{size[0]} × {size[1]}"
