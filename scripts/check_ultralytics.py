"""Reads an export with ultralytics, and trains an epoch: `check_ultralytics.py EXPORTS`.

Called by scripts/check-readers. The network starts from random weights, so that nothing is
downloaded: the training is to run, not to detect. Its validation suppresses boxes with
ultralytics' own function, because torchvision's is compiled.
"""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torchvision_operators  # noqa: F401  (first, so that torchvision can be imported)
from read_back import compare, exports, inside, joined, made
from torchvision import ops
from ultralytics import YOLO
from ultralytics.data.dataset import YOLODataset
from ultralytics.data.utils import check_det_dataset
from ultralytics.utils.nms import TorchNMS


def masks(listed: Path) -> Iterator[tuple[str, str, np.ndarray]]:
    """Picture, type and polygon of each line of both splits."""
    about = check_det_dataset(str(listed))
    for split in ("train", "val"):
        data = YOLODataset(img_path=about[split], data=about, task="segment", augment=False)
        for item in data.labels:
            height, width = item["shape"]
            for (number,), corners in zip(item["cls"], item["segments"], strict=True):
                kind = about["names"][int(number)]
                yield Path(item["im_file"]).stem, kind, inside(corners, width, height)


def train(listed: Path) -> None:
    """One epoch of the smallest network for segmentation."""
    ops.nms = TorchNMS.nms
    with TemporaryDirectory() as work:
        YOLO("yolo11n-seg.yaml").train(
            data=str(listed),
            epochs=1,
            imgsz=64,
            batch=2,
            workers=0,
            device="cpu",
            plots=False,
            verbose=False,
            project=work,
        )
    print("ultralytics trains an epoch on them")


def main(folder: Path) -> None:
    """YOLO."""
    listed = folder / "yolo" / "data.yaml"
    compare("ultralytics", "yolo", joined(masks(listed)), made(folder / "mvtec"))
    train(listed)


if __name__ == "__main__":
    main(exports())
