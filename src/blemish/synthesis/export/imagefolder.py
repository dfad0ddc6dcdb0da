"""Image folder for `load_dataset("imagefolder", data_dir=...)` of Hugging Face's `datasets`.

train/image/<name>.png   the items; validation/ those held out
train/mask/<name>.png    their masks
train/twin/<name>.png    with pairs: the photograph of each
train/metadata.jsonl     a line for each item: its files, type, photograph and seed

`datasets` makes an image column of `file_name` and of each key with this ending: image, mask and
twin. A folder per split is needed even for one split: some releases ignore a list beside the image
folders, and they search file names for the words "test" and "val".
"""

import json
from collections.abc import Iterator
from pathlib import Path

from blemish.synthesis.export.items import Content, ExportItem, Items

LIST = "metadata.jsonl"
PLACE = {"train": "train", "val": "validation"}


def imagefolder(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export, the lists last."""
    for item in items.items:
        for kind, source in _pictures(item, pairs).items():
            yield f"{PLACE[item.split]}/{kind}/{item.file}", source
    for split, place in PLACE.items():
        here = [item for item in items.items if item.split == split]
        if here:
            yield f"{place}/{LIST}", "".join(_line(k, pairs) for k in here).encode()


def _pictures(item: ExportItem, pairs: bool) -> dict[str, Path]:
    twin = {"twin": item.twin} if pairs else {}
    return {"mask": item.mask, **twin, "image": item.image}


def _line(item: ExportItem, pairs: bool) -> str:
    files = {f"{kind}_file_name": f"{kind}/{item.file}" for kind in _pictures(item, pairs)}
    about = {
        "file_name": files.pop("image_file_name"),
        **files,
        "name": item.name,
        "type": item.kind,
        "photograph": Path(item.facts["normal"]).name,
        "seed": item.facts["seed"],
    }
    return json.dumps(about, ensure_ascii=False) + "\n"
