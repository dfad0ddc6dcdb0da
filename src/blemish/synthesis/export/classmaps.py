"""Class maps, for semantic segmentation.

images/<name>.png    the items; images_val/ those held out
classes/<name>.png   the number of the type at each changed pixel, 0 elsewhere; classes_val/
twin/<name>.png      with pairs: the photograph of each
classes.json         the type of each number

An item with defects of several types has its own map, with the numbers of this export.
"""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
from jaxtyping import UInt8

from blemish.data.pairs import read_mask
from blemish.decode import decode
from blemish.pictures import png
from blemish.synthesis.export.items import Content, ExportItem, Items, Split
from blemish.synthesis.request import COMBINED

ENDING: dict[Split, str] = {"train": "", "val": "_val"}


def classmaps(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export, the list last."""
    numbers = {kind: number for number, kind in enumerate(_kinds(items), 1)}
    for item in items.items:
        ending = ENDING[item.split]
        yield f"classes{ending}/{item.file}", png(_map(item, numbers))
        if pairs:
            yield f"twin/{item.file}", item.twin
        yield f"images{ending}/{item.file}", item.image
    named: dict[str, Any] = {"0": "background", **{str(n): kind for kind, n in numbers.items()}}
    yield "classes.json", (json.dumps(named, indent=2, ensure_ascii=False) + "\n").encode()


def _kinds(items: Items) -> list[str]:
    """Types in the order of the classes; those of combined items after them."""
    own = [kind for item in items.items for kind in item.facts.get("classes", {}).values()]
    return [kind for kind in dict.fromkeys([*items.classes, *own]) if kind != COMBINED]


def _map(item: ExportItem, numbers: dict[str, int]) -> UInt8[np.ndarray, "h w"]:
    changed = read_mask(item.mask)
    if item.classes is None:
        return changed.astype(np.uint8) * np.uint8(numbers[item.kind])
    table = np.zeros(256, np.uint8)
    for old, kind in item.facts["classes"].items():
        table[int(old)] = numbers[kind]
    return np.where(changed, table[decode(item.classes).levels], np.uint8(0))
