"""Folders as in MVTec AD, which anomaly detectors read.

train/good/<name>.png                 the photographs, each once
test/good/<name>.png                  those held out
test/<type>/<name>.png                the items
ground_truth/<type>/<name>_mask.png   their masks
twin/good/<name>.png                  with pairs: the photograph of each item

Every picture lies three deep, whatever it is: anomalib's MVTecAD takes all pictures below the
folder as split, type and name, and one that is neither "good" nor has a mask stops it. All items
are tested on, those on photographs of train/good too.
"""

from collections.abc import Iterator

from blemish.data.folder import GOOD
from blemish.synthesis.export.items import Content, Items, photographs

PLACE = {"train": "train", "val": "test"}


def mvtec(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """The files of the export."""
    for item in photographs(items.items):
        yield f"{PLACE[item.split]}/{GOOD}/{item.file}", item.twin
    for item in items.items:
        yield f"ground_truth/{item.kind}/{item.name}_mask.png", item.mask
        if pairs:
            yield f"twin/{GOOD}/{item.file}", item.twin
        yield f"test/{item.kind}/{item.file}", item.image
