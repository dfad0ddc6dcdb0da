"""Drawn photographs with annotations as other tools write them."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as runs

from blemish.pictures import png

W, H = 40, 24
PHOTOGRAPHS = ("good", "scratched", "dented", "both")
POLYGON = [[4, 3], [20, 3], [20, 9], [4, 9]]  # marks the rows 3 to 8 and the columns 4 to 19
BOX = (22, 8, 10, 12)  # left, top, width and height


def picture(seed: int, w: int = W, h: int = H) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (h, w, 3), np.uint8)


def write_photograph(path: Path, seed: int, orientation: int = 1) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(picture(seed)).save(path, exif=exif) if orientation != 1 else path.write_bytes(
        png(picture(seed))
    )
    return path


def block(left: int, top: int, right: int, bottom: int, w: int = W, h: int = H) -> np.ndarray:
    mask = np.zeros((h, w), bool)
    mask[top:bottom, left:right] = True
    return mask


POLYGON_MASK = block(4, 3, 20, 9)
BOX_MASK = block(22, 8, 32, 20)


def flat(corners: Sequence[Sequence[float]]) -> list[float]:
    return [number for corner in corners for number in corner]


def compressed(mask: np.ndarray) -> dict[str, Any]:
    found: Any = runs.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": list(mask.shape), "counts": found["counts"].decode()}


def uncompressed(mask: np.ndarray) -> dict[str, Any]:
    values = mask.ravel(order="F")
    ends = np.flatnonzero(np.diff(values, prepend=False, append=not values[-1]))
    return {"size": list(mask.shape), "counts": np.diff(ends, prepend=0).tolist()}


def coco(*annotations: dict[str, Any], files: tuple[str, ...] = ()) -> dict[str, Any]:
    """A list in which the image of each file has the number of its place, from 1."""
    names = files or tuple(f"{name}.png" for name in PHOTOGRAPHS)
    images = [{"id": k, "file_name": n, "width": W, "height": H} for k, n in enumerate(names, 1)]
    return {
        "images": images,
        "categories": [{"id": 1, "name": "scratch"}, {"id": 5, "name": "dent"}],
        "annotations": [{"id": k, "iscrowd": 0, **a} for k, a in enumerate(annotations, 1)],
    }


def write_json(path: Path, document: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


def write_photographs(folder: Path) -> None:
    for seed, name in enumerate(PHOTOGRAPHS):
        write_photograph(folder / f"{name}.png", seed)


def write_coco(root: Path) -> Path:
    """Four photographs: none, a scratch, a dent, and one of both."""
    write_photographs(root / "images")
    scratch = {"category_id": 1, "segmentation": [flat(POLYGON)]}
    dent = {"category_id": 5, "segmentation": compressed(BOX_MASK)}
    write_json(
        root / "annotations" / "instances_default.json",
        coco(
            {"image_id": 2, **scratch},
            {"image_id": 3, **dent},
            {"image_id": 4, **scratch},
            {"image_id": 4, **dent},
        ),
    )
    return root


def shape(label: str, points: Sequence[Sequence[float]], kind: str = "polygon") -> dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}}


def labelme(name: str, *shapes: dict[str, Any], **more: Any) -> dict[str, Any]:
    known = {"version": "5.5.0", "flags": {}, "imageData": None, "imagePath": name}
    return {**known, "imageHeight": H, "imageWidth": W, "shapes": [*shapes], **more}


def stamped(mask: np.ndarray) -> str:
    return base64.b64encode(png(mask)).decode()


def write_labelme(root: Path) -> Path:
    write_photographs(root)
    scratch, dent = shape("scratch", POLYGON), shape("dent", [[22, 8], [31, 19]], "mask")
    dent["mask"] = stamped(np.ones((12, 10), bool))
    for name, shapes in zip(PHOTOGRAPHS, ((), (scratch,), (dent,), (scratch, dent)), strict=True):
        if shapes:
            write_json(root / f"{name}.json", labelme(f"{name}.png", *shapes))
    return root


def cvat(*images: tuple[str, str]) -> str:
    """Annotations of images by name, each with the XML of its shapes."""
    inner = "".join(
        f'<image id="{k}" name="{name}" width="{W}" height="{H}">{shapes}</image>'
        for k, (name, shapes) in enumerate(images)
    )
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    return f"{head}<annotations><version>1.1</version>{inner}</annotations>"


SCRATCH = '<polygon label="scratch" occluded="0" points="4.0,3.0;20.0,3.0;20.0,9.0;4.0,9.0"/>'
DENT = '<mask label="dent" rle="0, 120" left="22" top="8" width="10" height="12"/>'


def write_cvat(root: Path) -> Path:
    write_photographs(root / "images")
    shapes = ("", SCRATCH, DENT, SCRATCH + DENT)
    pairs = zip((f"{name}.png" for name in PHOTOGRAPHS), shapes, strict=True)
    (root / "annotations.xml").write_text(cvat(*pairs))
    return root


def shares(corners: Sequence[Sequence[float]]) -> str:
    return " ".join(f"{x / W:.6f} {y / H:.6f}" for x, y in corners)


def write_yolo(root: Path) -> Path:
    write_photographs(root / "images" / "train")
    left, top, w, h = BOX
    rim = [[left, top], [left + w, top], [left + w, top + h], [left, top + h]]
    lines = (f"0 {shares(POLYGON)}", f"1 {shares(rim)}")
    (root / "labels" / "train").mkdir(parents=True)
    for name, numbers in {"scratched": [0], "dented": [1], "both": [0, 1], "good": []}.items():
        text = "\n".join(lines[k] for k in numbers)
        (root / "labels" / "train" / f"{name}.txt").write_text(text)
    (root / "data.yaml").write_text("path: .\ntrain: images/train\nnames: [scratch, dent]\n")
    return root


WRITERS = {"coco": write_coco, "labelme": write_labelme, "cvat": write_cvat, "yolo": write_yolo}
