"""Reads exports with FiftyOne: `check_fiftyone.py EXPORTS`, called by scripts/check-readers.

FiftyOne's importers are called directly: its data sets need a MongoDB server, which says nothing
about how a file is read.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from fiftyone.utils.coco import COCODetectionDatasetImporter
from fiftyone.utils.yolo import YOLOv5DatasetImporter
from PIL import Image
from read_back import compare, exports, inside, joined, made

Pieces = Iterator[tuple[str, str, np.ndarray]]


def coco(folder: Path) -> Pieces:
    """Picture, type and mask of each annotation of both lists."""
    for name in ("annotations.json", "annotations_val.json"):
        read = COCODetectionDatasetImporter(
            data_path=str(folder / "images"),
            labels_path=str(folder / name),
            label_types="segmentations",
        )
        read.setup()
        for path, about, label in read:
            for one in label.detections:
                mask = np.zeros((about.height, about.width), bool)
                left, top = np.rint(np.array(one.bounding_box[:2]) * mask.shape[::-1]).astype(int)
                height, width = one.mask.shape
                mask[top : top + height, left : left + width] = one.mask
                yield Path(path).stem, one.label, mask


def yolo(folder: Path) -> Pieces:
    """Picture, type and polygon of each line of both splits."""
    for split in ("train", "val"):
        read = YOLOv5DatasetImporter(
            dataset_dir=str(folder), yaml_path="data.yaml", split=split, label_type="polylines"
        )
        read.setup()
        for path, _, label in read:
            width, height = Image.open(path).size
            for one in label.polylines:
                (corners,) = one.points
                yield Path(path).stem, one.label, inside(np.array(corners), width, height)


def main(folder: Path) -> None:
    """COCO and YOLO."""
    expected = made(folder / "mvtec")
    for read in (coco, yolo):
        name = read.__name__
        compare("fiftyone", name, joined(read(folder / name)), expected)


if __name__ == "__main__":
    main(exports())
