"""COCO, for detection and segmentation frameworks.

images/<name>.png      the items
twin/<name>.png        with pairs: the photograph of each
annotations.json       images, categories, and an annotation for each connected piece of a mask
annotations_val.json   the same of the items held out

Pieces are run lengths, compressed as in pycocotools: masks are restored exactly, including holes,
which polygons can't represent.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool
from pycocotools import mask as runs

from blemish.data.pairs import read_mask
from blemish.synthesis.export.items import Content, ExportItem, Items, Split
from blemish.synthesis.export.outlines import connected_pieces

LISTS: dict[Split, str] = {"train": "annotations.json", "val": "annotations_val.json"}


def coco(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export, the lists last."""
    for item in items.items:
        yield f"images/{item.file}", item.image
        if pairs:
            yield f"twin/{item.file}", item.twin
    for split, path in LISTS.items():
        here = [item for item in items.items if item.split == split]
        if here:
            yield path, json.dumps(_list(here, items.classes)).encode()


def _list(items: Sequence[ExportItem], kinds: Sequence[str]) -> dict[str, Any]:
    """Numbers start at 1, because some readers use 0 for the background."""
    numbers = {kind: number for number, kind in enumerate(kinds, 1)}
    images, annotations = [], []
    for image, item in enumerate(items, 1):
        h, w = item.size
        images.append({"id": image, "file_name": item.file, "height": h, "width": w})
        about = {"image_id": image, "category_id": numbers[item.kind], "iscrowd": 0}
        annotations += [
            {**about, **_annotation(piece)} for piece in connected_pieces(read_mask(item.mask))
        ]
    return {
        "info": {"description": "Made by Blemish; README.md says how."},
        "licenses": [],
        "categories": [{"id": number, "name": kind} for kind, number in numbers.items()],
        "images": images,
        "annotations": [{"id": k, **known} for k, known in enumerate(annotations, 1)],
    }


def _annotation(piece: Bool[np.ndarray, "h w"]) -> dict[str, Any]:
    levels = np.asfortranarray(piece.astype(np.uint8))
    counts: Any = runs.encode(levels)["counts"]  # bytes, despite its type stub
    segmentation = {"size": [int(side) for side in piece.shape], "counts": counts.decode()}
    box = [*cv2.boundingRect(piece.astype(np.uint8))]
    return {"segmentation": segmentation, "bbox": box, "area": int(piece.sum())}
