"""YOLO labels for segmentation, from which those for detection derive.

images/train/<name>.png   the items; images/val those held out
labels/train/<name>.txt   a line for each connected piece: class and corners, alternating x and
                          y, as fractions of width and height
twin/<name>.png           with pairs: the photograph of each
data.yaml                 where they are, and the names of the classes

The format has no holes: a hole is joined to the outline by a seam without width. Without held-out
items `val` names the training images, because readers require one.
"""

import json
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int

from blemish.data.pairs import read_mask
from blemish.synthesis.export.items import Content, ExportItem, Items
from blemish.synthesis.export.outlines import connected_pieces, polygon


def yolo(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export, data.yaml last."""
    for item in items.items:
        label = _label(item, items.classes.index(item.kind))
        yield f"labels/{item.split}/{item.name}.txt", label.encode()
        if pairs:
            yield f"twin/{item.file}", item.twin
        yield f"images/{item.split}/{item.file}", item.image
    yield "data.yaml", _yaml(items).encode()


def _label(item: ExportItem, number: int) -> str:
    found = (polygon(piece) for piece in connected_pieces(read_mask(item.mask)))
    return "".join(f"{number} {_shares(corners, item.size)}\n" for corners in found)


def _shares(corners: Int[np.ndarray, "v 2"], size: Sequence[int]) -> str:
    h, w = size
    return " ".join(f"{share:.6f}" for share in (corners / (w, h)).flat)


def _yaml(items: Items) -> str:
    """Content without `path`, so that readers use the folder of the file itself."""
    apart = any(item.split == "val" for item in items.items)
    names = [
        f"  {k}: {json.dumps(kind, ensure_ascii=False)}" for k, kind in enumerate(items.classes)
    ]
    lines = ["train: images/train", f"val: images/{'val' if apart else 'train'}", "names:", *names]
    return "\n".join(lines) + "\n"
