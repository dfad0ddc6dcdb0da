"""Image of docs/editing.md: edits, fillings and a repair of parts that the bundle draws.

python -m benchmarks.edit_sheet
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import tyro

import blemish
from blemish.editing.result import Edit
from blemish.models.load import load_generator
from blemish.pictures import grid, to_picture, write_picture
from blemish.synthesis.demo import draw_part
from blemish.windows.paint import load_windows

PICTURE = Path(__file__).parent.parent / "docs/images/editing.png"
CELL, COLUMNS = 144, 5
DISTANCES = (-2, -1, 0, 1, 2)
DIRECTIONS = ("tone", "size", "down")


def main(bundle: str = "hazelnut", seed: int = 3) -> None:
    """Write docs/images/editing.png.

    Args:
        bundle: Folder of a bundle, or the name of a shipped one.
        seed: Random seed of the first part.
    """
    opened = blemish.load(bundle)
    edits, first, second = opened.edits(), f"seed:{seed}", f"seed:{seed + 8}"
    rows = [_pictures(edits.interpolate(first, second, COLUMNS))]
    rows += [_pictures(edits.move(first, name, DISTANCES)) for name in DIRECTIONS]
    with TemporaryDirectory() as folder:
        rows += _on_a_photograph(opened, Path(folder), seed)
    cells = [
        cv2.resize(cell, (CELL, CELL), interpolation=cv2.INTER_AREA) for row in rows for cell in row
    ]
    write_picture(PICTURE, grid(cells, COLUMNS))


def _pictures(edit: Edit) -> list[np.ndarray]:
    return list(to_picture(edit.image))


def _on_a_photograph(opened: blemish.OpenBundle, folder: Path, seed: int) -> list[list[np.ndarray]]:
    """A hole and its fillings; a defect, where it is found, and the part without it."""
    generator, windows = load_generator(opened.files), load_windows(opened.files)
    part = draw_part(generator, seed=seed, windows=windows)
    write_picture(folder / "part.png", part)
    item = opened.synthesize(folder / "part.png", defect="colour", seed=4)
    hole = np.where(item.mask[:, :, None], 32, part).astype(np.uint8)
    filled = [one.picture.picture for one in opened.fill(part, item.mask, count=3)]
    found = opened.repair(item.image)
    inverted = opened.invert(item.image, defect=True)
    assert inverted.mask is not None
    seen = np.repeat(to_picture(2 * inverted.mask[0] - 1), 3, axis=2)
    drawn = to_picture(inverted.image[0])
    return [[part, hole, *filled], [item.image, seen, found.picture.picture, drawn, item.twin]]


if __name__ == "__main__":
    tyro.cli(main)
