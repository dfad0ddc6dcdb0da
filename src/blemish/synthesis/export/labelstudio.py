"""Tasks for Label Studio, with polygons as predictions that people can correct.

images/<name>.png   the items
twin/<name>.png     with pairs: the photograph of each
tasks.json          a task for each item: its image, and a polygon for each connected piece
tasks_val.json      the same of the items held out
labels.xml          labelling interface with the types of defects

Images are named as local files, `/data/local-files/?d=images/<name>.png`: Label Studio serves them
if LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT is the export's folder, and `images` is added as local
storage. Corners are percentages of width and height. A polygon has no hole, so one is joined to the
outline by a seam.
"""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np
from jaxtyping import Int

from blemish.data.pairs import read_mask
from blemish.synthesis.export.items import Content, ExportItem, Items, Split
from blemish.synthesis.export.outlines import connected_pieces, polygon

LISTS: dict[Split, str] = {"train": "tasks.json", "val": "tasks_val.json"}
IMAGE, LABELS = "image", "defect"  # names in labels.xml


def labelstudio(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export, the lists last."""
    for item in items.items:
        yield f"images/{item.file}", item.image
        if pairs:
            yield f"twin/{item.file}", item.twin
    yield "labels.xml", _interface(items).encode()
    for split, path in LISTS.items():
        tasks = [_task(item) for item in items.items if item.split == split]
        if tasks:
            yield path, json.dumps(tasks, ensure_ascii=False).encode()


def _task(item: ExportItem) -> dict[str, Any]:
    address = f"/data/local-files/?d={quote(f'images/{item.file}')}"
    found = (polygon(piece) for piece in connected_pieces(read_mask(item.mask)))
    results = [_result(item, number, corners) for number, corners in enumerate(found)]
    known = {"name": item.name, "type": item.kind, "seed": item.facts["seed"]}
    prediction = {"model_version": "blemish", "result": results}
    return {"data": {IMAGE: address}, "meta": known, "predictions": [prediction]}


def _result(item: ExportItem, number: int, corners: Int[np.ndarray, "v 2"]) -> dict[str, Any]:
    h, w = item.size
    points = np.round(100 * corners / (w, h), 4).tolist()
    return {
        "id": f"{item.name}_{number}",
        "type": "polygonlabels",
        "from_name": LABELS,
        "to_name": IMAGE,
        "original_width": w,
        "original_height": h,
        "image_rotation": 0,
        "value": {"points": points, "closed": True, "polygonlabels": [item.kind]},
    }


def _interface(items: Items) -> str:
    labels = "\n".join(f"    <Label value={quoteattr(kind)}/>" for kind in items.classes)
    return (
        f'<View>\n  <Image name="{IMAGE}" value="${IMAGE}"/>\n'
        f'  <PolygonLabels name="{LABELS}" toName="{IMAGE}">\n{labels}\n  </PolygonLabels>\n'
        "</View>\n"
    )
