"""Data to compare: synthetic items, and real defects.

Both are read from folders as users receive them, in the layout of MVTec AD. If Blemish made the
items, its manifest says which were kept and where their good twins are. A manifest may come from a
stranger: types become names of files, so they must be plain, and no file outside the folder is
read.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8

from blemish.data.folder import DefectFolder
from blemish.data.pairs import read_mask_for
from blemish.errors import DataError
from blemish.manifest import MANIFEST, Row, read_rows
from blemish.pictures import read_picture
from blemish.stores.reading import stored_file

KEPT = "kept"
MORE = ("twin", "requested")


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledDefect:
    """Defect with its mask.

    Attributes:
        kind: Type of the defect.
        image: File of the image.
        mask: File of the mask.
        twin: File of the same part without the defect; None without one.
        requested: File of the requested mask; None without one.
        reach_px: Distance beyond the requested mask within which pixels may change; None if
            unknown.
    """

    kind: str
    image: Path
    mask: Path
    twin: Path | None = None
    requested: Path | None = None
    reach_px: int | None = None

    def read(self) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
        """Image and mask.

        Raises:
            DataError: A file can't be read, they differ in size, or the mask is empty.
        """
        picture, mask = read_picture(self.image), read_mask_for(self.image, self.mask, self.kind)
        if not mask.any():
            raise DataError(
                got=f"{self.mask}, a mask with no pixel marked",
                expected="some marked",
                todo="Correct the mask, or leave the item out.",
            )
        return picture, mask


@dataclass(frozen=True, slots=True, kw_only=True)
class SyntheticSet:
    """Synthetic items of a folder.

    Attributes:
        items: Kept items, by type.
        outcomes: Number of kept, refused and failed items by type; empty without a manifest.
        reasons: Number of items by reason, over all types.
    """

    items: dict[str, list[LabelledDefect]]
    outcomes: dict[str, dict[str, int]] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)


def read_synthetic(root: Path) -> SyntheticSet:
    """Read the synthetic items of a folder.

    If two lines of its manifest have the same name, the later one counts, as for `blemish
    synthesize`.

    Raises:
        DataError: The folder has no items, or its manifest is invalid.
    """
    manifest = root / MANIFEST
    synthetic = _by_manifest(manifest) if manifest.is_file() else SyntheticSet(items=_items(root))
    if not any(synthetic.items.values()):
        why = "".join(f"; {reason}: {count}" for reason, count in synthetic.reasons.items())
        raise DataError(
            got=f"{root}, in which no item was kept{why}",
            expected="a folder written by 'blemish synthesize' or 'blemish batch'",
            todo="Give another folder, or make some items.",
        )
    return synthetic


def read_real_defects(root: Path, kinds: Sequence[str]) -> dict[str, list[LabelledDefect]]:
    """Real defects of the same types, in the order of their names.

    Raises:
        DataError: The folder has none of these types, or a photograph of one has no mask.
    """
    _refuse_maskless(root, kinds)
    items = {kind: found for kind, found in _items(root).items() if kind in kinds}
    if not items:
        raise DataError(
            got=f"{root}, without any {' or '.join(kinds)}",
            expected="real defects of the types of the synthetic items",
            todo="Give a folder that has some.",
        )
    return items


def _refuse_maskless(root: Path, kinds: Sequence[str]) -> None:
    """Refuse photographs without a mask: skipping one would move others to another third."""
    for p in DefectFolder(root).defects():
        if p.kind in kinds and p.mask_path is None:
            raise DataError(
                got=f"{p.path} without a mask",
                expected=f"one in ground_truth/{p.kind}/{p.path.stem}_mask.png",
                todo="Draw it, or move the photograph away.",
            )


def _items(root: Path) -> dict[str, list[LabelledDefect]]:
    found: dict[str, list[LabelledDefect]] = {}
    for p in DefectFolder(root).defects():
        if p.mask_path is not None:
            item = LabelledDefect(kind=p.kind, image=p.path, mask=p.mask_path)
            found.setdefault(p.kind, []).append(item)
    return found


def _by_manifest(manifest: Path) -> SyntheticSet:
    items: dict[str, list[LabelledDefect]] = {}
    outcomes: dict[str, Counter[str]] = {}
    reasons: Counter[str] = Counter()
    for row in {row["name"]: row for row in read_rows(manifest)}.values():
        kind, outcome = row["type"], row["outcome"]
        outcomes.setdefault(kind, Counter())[outcome] += 1
        reasons.update(reason.split(":")[0] for reason in row["reasons"])
        if outcome == KEPT:
            items.setdefault(kind, []).append(_item(manifest, row))
    plain = {kind: dict(counts) for kind, counts in outcomes.items()}
    return SyntheticSet(items=items, outcomes=plain, reasons=dict(reasons.most_common()))


def _item(manifest: Path, row: Row) -> LabelledDefect:
    more = {kind: stored_file(manifest, row, kind) for kind in MORE if kind in row["files"]}
    return LabelledDefect(
        kind=row["type"],
        image=stored_file(manifest, row, "image"),
        mask=stored_file(manifest, row, "mask"),
        reach_px=row.get("scores", {}).get("reach_px"),
        **more,
    )
