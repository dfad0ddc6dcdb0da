"""Masks as another tool reads them from an export, compared with the masks that were made."""

import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TypeAlias

import numpy as np
from PIL import Image

Masks: TypeAlias = dict[str, tuple[str, np.ndarray]]  # of a picture: its type, and `h w`


def made(folder: Path) -> Masks:
    """Masks of an export in MVTec AD's layout, which are the files that were made."""
    found = {}
    for path in sorted((folder / "ground_truth").glob("*/*_mask.png")):
        levels = np.asarray(Image.open(path))
        found[path.stem.removesuffix("_mask")] = path.parent.name, levels > 127
    return found


def joined(pieces: Iterable[tuple[str, str, np.ndarray]]) -> Masks:
    """Masks of whole pictures from (picture, type, mask) of each annotation."""
    found: Masks = {}
    for name, kind, piece in pieces:
        before = found.get(name, (kind, np.zeros_like(piece)))
        assert before[0] == kind, f"{name} has the types {before[0]} and {kind}"
        found[name] = kind, before[1] | piece
    return found


def inside(corners: np.ndarray, width: int, height: int) -> np.ndarray:
    """Pixels inside of a polygon that follows pixel edges, by the even-odd rule.

    Args:
        corners: `v 2`, x and y as fractions of width and height.
        width: Pixels.
        height: Pixels.
    """
    points = np.rint(corners * (width, height)).astype(int)
    assert np.abs(points - corners * (width, height)).max() < 0.01, "corners between pixels"
    mask = np.zeros((height, width), bool)
    for (x, y), (to_x, to_y) in zip(points, np.roll(points, -1, axis=0), strict=True):
        assert x == to_x or y == to_y, "a slanting edge"
        if x == to_x:
            mask[min(y, to_y) : max(y, to_y), x:] ^= True
    return mask


def compare(tool: str, export: str, found: Masks, expected: Mapping[str, tuple[str, np.ndarray]]):
    """Every picture is there with its type and, pixel for pixel, its mask."""
    assert found.keys() == expected.keys(), f"read {sorted(found)}, made {sorted(expected)}"
    for name, (kind, mask) in expected.items():
        assert found[name][0] == kind, f"{name} is read as {found[name][0]}, not {kind}"
        assert np.array_equal(found[name][1], mask), f"the mask of {name} is another"
    print(f"{tool} {version(tool)} reads {len(found)} masks of --format {export} as they were made")


def exports() -> Path:
    """Folder that holds the exports, from the command line."""
    return Path(sys.argv[1]).resolve()
