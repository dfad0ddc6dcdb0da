"""Check of a data set: all problems by file, before a long training finds them."""

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from blemish.data.examine import Complaint, ExaminedPhotograph, examine_photograph, named, text_of
from blemish.data.folder import DefectFolder, Photograph, Split, Track
from blemish.data.leftovers import Leftover, leftovers
from blemish.data.listing import folders_in, pictures_in
from blemish.data.names import GOOD, kind_of, pattern_of
from blemish.data.pairs import files_of
from blemish.data.proposed import RECORD, proposed_in
from blemish.errors import DataError

RESOLUTION = 64
MOST_NAMED = 3


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
    """Contents of a data set, and its problems.

    Attributes:
        root: The folder.
        rows: What each folder of photographs holds.
        taken: What names were taken for, such as "ok" for good parts, a sentence each.
        notes: What should be known of single files, but is no mistake.
        complaints: What is wrong with single files.
    """

    root: Path
    rows: tuple[Row, ...]
    taken: tuple[str, ...]
    notes: tuple[Complaint, ...]
    complaints: tuple[Complaint, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`; files are named relative to the root."""
        return {
            "root": str(self.root),
            "rows": [asdict(row) for row in self.rows],
            "taken": [*self.taken],
            "notes": [self._plain(note) for note in self.notes],
            "complaints": [self._plain(complaint) for complaint in self.complaints],
        }

    def _plain(self, said: Complaint) -> dict[str, str]:
        return {"path": said.path.relative_to(self.root).as_posix(), "text": said.text}

    def table(self) -> Table:
        """One line for each folder of photographs."""
        table = Table("split", "type", "photographs", "sizes", "mask area, %")
        for row in self.rows:
            table.add_row(row.split, row.kind, str(row.count), _sizes(row), _percent(row))
        return table


def check(root: Path | str, *, resolution: int = RESOLUTION, track: Track = iter) -> Check:
    """Read every photograph and mask of a folder, one at a time.

    Args:
        root: Folder in the layout of MVTec AD.
        resolution: Side of the model's pictures, at which masks should still be seen.
        track: Wrapper of an iterable that shows progress, such as `rich.progress.track`.

    Returns:
        The folder's contents and all complaints; a bad file is a complaint, never an exception.

    Raises:
        DataError: The folder is missing, or has no picture at all.
    """
    try:
        folder = DefectFolder(root)
    except DataError as error:
        if not pictures_in(Path(root)):
            raise
        return _check_plain(Path(root), error)
    findings = [
        examine_photograph(photograph, resolution) for photograph in track(folder.photographs)
    ]
    complaints = [complaint for finding in findings for complaint in finding.complaints]
    complaints += [*_orphans(folder), *_shared_masks(folder)]
    twice = [*_duplicates(findings)]
    complaints += [complaint for complaint, several in twice if not several]
    left = [*leftovers(folder)]
    complaints += [Complaint(path=one.path, text=one.reason) for one in left if one.inside]
    notes = [note for finding in findings for note in finding.notes]
    notes += [note for note, several in twice if several]
    notes += _outside([one for one in left if not one.inside])
    proposed, unreadable = _proposals(folder.root)
    notes += proposed
    return Check(
        root=folder.root,
        rows=_rows(findings),
        taken=tuple(_taken(folder)),
        notes=_sorted(notes),
        complaints=_sorted([*complaints, *unreadable]),
    )


def _proposals(root: Path) -> tuple[list[Complaint], list[Complaint]]:
    """Notes on masks that were proposed, and a complaint if their record can't be read."""
    text = "was proposed inside a box, not drawn; look at it"
    try:
        return [Complaint(path=path, text=text) for path in proposed_in(root)], []
    except DataError as error:
        return [], [Complaint(path=root / RECORD, text=text_of(root / RECORD, error))]


def _check_plain(root: Path, error: DataError) -> Check:
    """A folder of pictures that is in no layout: what is wrong with each as a photograph."""
    good = [Photograph(path=path, kind=GOOD, split="train") for path in pictures_in(root)]
    findings = [examine_photograph(photograph, RESOLUTION) for photograph in good]
    complaints = [complaint for finding in findings for complaint in finding.complaints]
    todo = f"has no photographs in train/ or test/; expected {error.expected}"
    return Check(
        root=root,
        rows=(),
        taken=(),
        notes=_sorted(note for finding in findings for note in finding.notes),
        complaints=_sorted([Complaint(path=root, text=todo), *complaints]),
    )


def _sorted(said: Iterable[Complaint]) -> tuple[Complaint, ...]:
    return tuple(sorted(dict.fromkeys(said), key=lambda one: (one.path, one.text)))


def _outside(left: Iterable[Leftover]) -> Iterator[Complaint]:
    """Pictures outside the layout, each by itself, or by their folder if there are many in one."""
    folders: defaultdict[Path, list[Leftover]] = defaultdict(list)
    for one in left:
        folders[one.path.parent].append(one)
    for folder, found in folders.items():
        if len(found) > MOST_NAMED:
            text = f"holds {len(found)} pictures; each {found[0].reason}"
            yield Complaint(path=folder, text=text)
        else:
            yield from (Complaint(path=one.path, text=one.reason) for one in found)


def _taken(folder: DefectFolder) -> Iterator[str]:
    """How names were understood, where there is more than one way."""
    good = {p.path.parent for p in folder.good() if p.path.parent.name != GOOD}
    for place in sorted(good):
        yield f"{place.relative_to(folder.root).as_posix()} is taken for good parts"
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for photograph, mask in dict.fromkeys((p.path, p.mask_path) for p in folder.defects()):
        if mask is not None:
            counts[mask.parent.name][pattern_of(photograph, mask)] += 1
    for kind, patterns in sorted(counts.items()):
        shown = ", ".join(f"{count} by {name}" for name, count in sorted(patterns.items()))
        yield f"masks in ground_truth/{kind} are found by name: {shown}"


def _orphans(folder: DefectFolder) -> Iterator[Complaint]:
    masks = {photograph.mask_path for photograph in folder.photographs}
    used = {file for mask in masks if mask is not None for file in files_of(mask)}
    for kind in folders_in(folder.root / "ground_truth"):
        for path in pictures_in(kind):
            if path not in used and kind_of(kind) != GOOD:
                yield Complaint(path=path, text="is the mask of no photograph")


def _shared_masks(folder: DefectFolder) -> Iterator[Complaint]:
    pairs = {(photograph.mask_path, photograph.path) for photograph in folder.photographs}
    for path, count in Counter(mask for mask, _ in pairs).items():
        if path is not None and count > 1:
            yield Complaint(path=path, text=f"is the mask of {count} photographs")


def _duplicates(findings: Iterable[ExaminedPhotograph]) -> Iterator[tuple[Complaint, bool]]:
    """Photographs that occur again, and whether that is because they show several types."""
    first: dict[bytes, ExaminedPhotograph] = {}
    for finding in findings:
        photograph = finding.photograph
        if finding.digest is None:
            continue
        known = first.setdefault(finding.digest, finding).photograph
        if known.path != photograph.path:
            name = "/".join(known.path.parts[-3:])
            named_alike = known.path.name == photograph.path.name
            defects = GOOD not in (known.kind, photograph.kind)
            several = named_alike and defects and known.kind != photograph.kind
            text = f"has the same pixels as {name}"
            text += f", which is right if it also shows {known.kind}" if several else ""
            yield Complaint(path=photograph.path, text=text), several


def _rows(findings: Iterable[ExaminedPhotograph]) -> tuple[Row, ...]:
    groups: defaultdict[tuple[Split, str], list[ExaminedPhotograph]] = defaultdict(list)
    for finding in findings:
        groups[finding.photograph.split, finding.photograph.kind].append(finding)
    return tuple(_row(*key, group) for key, group in groups.items())


def _row(split: Split, kind: str, findings: list[ExaminedPhotograph]) -> Row:
    sizes = Counter(finding.size for finding in findings if finding.size)
    areas = [finding.mask_percent for finding in findings if finding.mask_percent is not None]
    return Row(
        split=split,
        kind=kind,
        count=len(findings),
        sizes=tuple(size for size, _ in sizes.most_common()),
        mask_percent=(min(areas), statistics.median(areas), max(areas)) if areas else None,
    )


def _sizes(row: Row) -> str:
    shown = [named(size) for size in row.sizes[:3]]
    return ", ".join([*shown, "..."] if len(row.sizes) > 3 else shown)


def _percent(row: Row) -> str:
    return " / ".join(f"{area:.2f}" for area in row.mask_percent or ())
