"""Check of a data set: all problems by file, before a long training finds them."""

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from blemish.data.folder import (
    GOOD,
    DefectFolder,
    Photograph,
    Split,
    Track,
    folders_in,
    pictures_in,
)
from blemish.errors import DataError
from blemish.pictures import read_mask, read_picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """Problem of one file."""

    path: Path
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Contents of one folder of photographs.

    Attributes:
        kind: "good", or the type of the defects.
        count: Number of photographs, readable or not.
        sizes: Widths and heights of the readable ones, the most common first.
        mask_percent: Smallest, median and largest mask area in percent of the photograph; None
            without readable masks.
    """

    split: Split
    kind: str
    count: int
    sizes: tuple[tuple[int, int], ...]
    mask_percent: tuple[float, float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Contents of a data set, and its problems."""

    root: Path
    rows: tuple[Row, ...]
    complaints: tuple[Complaint, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; complaints name their files relative to the root."""
        complaints = [
            {"path": complaint.path.relative_to(self.root).as_posix(), "text": complaint.text}
            for complaint in self.complaints
        ]
        rows = [asdict(row) for row in self.rows]
        return {"root": str(self.root), "rows": rows, "complaints": complaints}

    def table(self) -> Table:
        """One line for each folder of photographs."""
        table = Table("split", "type", "photographs", "sizes", "mask area, %")
        for row in self.rows:
            table.add_row(row.split, row.kind, str(row.count), _sizes(row), _percent(row))
        return table


@dataclass(frozen=True, slots=True, kw_only=True)
class _Finding:
    """Result for one photograph, without the image; None where reading failed."""

    photograph: Photograph
    size: tuple[int, int] | None
    digest: bytes | None
    mask_percent: float | None
    complaints: tuple[Complaint, ...]


def check(root: Path | str, *, track: Track = iter) -> Check:
    """Read every photograph and mask of a folder, one at a time.

    Args:
        root: Folder in the layout of MVTec AD.
        track: Wrapper of an iterable that shows progress, such as `rich.progress.track`.

    Returns:
        The folder's contents and all complaints; a bad file is a complaint, never an exception.

    Raises:
        DataError: The folder is missing, or has no photograph in this layout.
    """
    folder = DefectFolder(root)
    findings = [_examine(photograph) for photograph in track(folder.photographs)]
    complaints = [complaint for finding in findings for complaint in finding.complaints]
    complaints += [*_orphans(folder), *_shared_masks(folder), *_duplicates(findings)]
    complaints.sort(key=lambda complaint: complaint.path)
    return Check(root=folder.root, rows=_rows(findings), complaints=tuple(complaints))


def _examine(photograph: Photograph) -> _Finding:
    picture, complaints = _attempt(read_picture, photograph.path)
    mask = None
    if photograph.kind != GOOD:
        mask, of_mask = _examine_mask(photograph, picture)
        complaints += of_mask
    return _Finding(
        photograph=photograph,
        size=None if picture is None else _size(picture),
        digest=None if picture is None else _digest(picture),
        mask_percent=None if mask is None else 100 * float(mask.mean()),
        complaints=tuple(complaints),
    )


def _examine_mask(
    photograph: Photograph, picture: np.ndarray | None
) -> tuple[np.ndarray | None, list[Complaint]]:
    path = photograph.mask_path
    if path is None:
        text = f"has no mask in ground_truth/{photograph.kind}"
        return None, [Complaint(path=photograph.path, text=text)]
    mask, complaints = _attempt(read_mask, path)
    if mask is not None:
        texts = _faults(mask, picture)
        complaints += [Complaint(path=path, text=text) for text in texts]
    return mask, complaints


def _faults(mask: np.ndarray, picture: np.ndarray | None) -> Iterator[str]:
    if picture is not None and _size(mask) != _size(picture):
        yield f"is {_name(_size(mask))}, but its photograph {_name(_size(picture))}"
    if not mask.any():
        yield "marks no pixel"
    if mask.all():
        yield "marks every pixel"


def _attempt(
    read: Callable[[Path], np.ndarray], path: Path
) -> tuple[np.ndarray | None, list[Complaint]]:
    try:
        return read(path), []
    except DataError as error:
        text = error.got.removeprefix(str(path)).removeprefix(", which").strip()
        return None, [Complaint(path=path, text=text)]


def _orphans(folder: DefectFolder) -> Iterator[Complaint]:
    used = {photograph.mask_path for photograph in folder.photographs}
    for kind in folders_in(folder.root / "ground_truth"):
        for path in pictures_in(kind):
            if path not in used and kind.name != GOOD:
                yield Complaint(path=path, text="is the mask of no photograph")


def _shared_masks(folder: DefectFolder) -> Iterator[Complaint]:
    uses = Counter(photograph.mask_path for photograph in folder.photographs)
    for path, count in uses.items():
        if path is not None and count > 1:
            yield Complaint(path=path, text=f"is the mask of {count} photographs")


def _duplicates(findings: Iterable[_Finding]) -> Iterator[Complaint]:
    first: dict[bytes, Path] = {}
    for finding in findings:
        path = finding.photograph.path
        if finding.digest and first.setdefault(finding.digest, path) != path:
            folder = first[finding.digest].parent
            name = f"{folder.parent.name}/{folder.name}/{first[finding.digest].name}"
            yield Complaint(path=path, text=f"has the same pixels as {name}")


def _rows(findings: Iterable[_Finding]) -> tuple[Row, ...]:
    groups: defaultdict[tuple[Split, str], list[_Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.photograph.split, finding.photograph.kind].append(finding)
    return tuple(_row(*key, group) for key, group in groups.items())


def _row(split: Split, kind: str, findings: list[_Finding]) -> Row:
    sizes = Counter(finding.size for finding in findings if finding.size)
    areas = [finding.mask_percent for finding in findings if finding.mask_percent is not None]
    return Row(
        split=split,
        kind=kind,
        count=len(findings),
        sizes=tuple(size for size, _ in sizes.most_common()),
        mask_percent=(min(areas), statistics.median(areas), max(areas)) if areas else None,
    )


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[1], picture.shape[0]


def _digest(picture: np.ndarray) -> bytes:
    digest = hashlib.blake2b(repr(picture.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(picture).data)
    return digest.digest()


def _name(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _sizes(row: Row) -> str:
    shown = [_name(size) for size in row.sizes[:3]]
    return ", ".join([*shown, "..."] if len(row.sizes) > 3 else shown)


def _percent(row: Row) -> str:
    return " / ".join(f"{area:.2f}" for area in row.mask_percent or ())
