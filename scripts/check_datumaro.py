"""Reads exports with datumaro: `check_datumaro.py EXPORTS`, called by scripts/check-readers.

datumaro looks for COCO's lists in `annotations/instances_<split>.json` and for pictures in
`images/<split>/`, so links are laid from there. Its reader of YOLO takes boxes only.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from datumaro import Dataset, Mask
from read_back import compare, exports, joined, made

SPLITS = {"train": "annotations.json", "val": "annotations_val.json"}


def laid_out(coco: Path, folder: Path) -> Path:
    """The same export as datumaro expects it."""
    (folder / "annotations").mkdir()
    (folder / "images").mkdir()
    for split, name in SPLITS.items():
        (folder / "annotations" / f"instances_{split}.json").symlink_to(coco / name)
        (folder / "images" / split).symlink_to(coco / "images")
    return folder


def masks(folder: Path, layout: str) -> Iterator[tuple[str, str, np.ndarray]]:
    """Picture, type and mask of each annotation; good parts have none."""
    data = Dataset.import_from(str(folder), layout)
    kinds = next(iter(data.categories().values()))
    for item in data:
        for note in item.annotations:
            if isinstance(note, Mask):
                yield item.id.split("/")[-1], kinds[note.label].name, note.image.astype(bool)


def main(folder: Path) -> None:
    """COCO and MVTec AD."""
    expected = made(folder / "mvtec")
    with TemporaryDirectory() as work:
        coco = laid_out(folder / "coco", Path(work))
        compare("datumaro", "coco", joined(masks(coco, "coco_instances")), expected)
    found = joined(masks(folder / "mvtec", "mvtec_segmentation"))
    compare("datumaro", "mvtec", found, expected)


if __name__ == "__main__":
    main(exports())
