"""README's image: the items of a set side by side, at screen size.

blemish batch examples/recipe.toml --out OUT && python -m benchmarks.sheet OUT
"""

from pathlib import Path

import cv2
import tyro

from blemish.pictures import grid, read_picture, write_picture
from blemish.synthesis.dataset import Dataset

PICTURE = Path(__file__).parent.parent / "docs/images/batch.png"
CELL, COLUMNS = 140, 8


def main(made: Path, /) -> None:
    """Write docs/images/batch.png from a folder of synthetic items.

    Args:
        made: Folder written by `blemish batch`.
    """
    files = [
        made / row["files"]["image"] for row in Dataset(made).rows() if "image" in row["files"]
    ]
    cells = [cv2.resize(read_picture(f), (CELL, CELL), interpolation=cv2.INTER_AREA) for f in files]
    write_picture(PICTURE, grid(cells, COLUMNS))


if __name__ == "__main__":
    tyro.cli(main)
