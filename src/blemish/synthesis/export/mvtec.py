"""MVTec AD folders, for anomaly detectors.

train/good/<name>.png                 the photographs, each once
test/good/<name>.png                  those held out
test/<type>/<name>.png                the items
ground_truth/<type>/<name>_mask.png   their masks
twin/good/<name>.png                  with pairs: the photograph of each item

Every image is three levels deep: anomalib's MVTecAD takes all images below the folder as split,
type and name, and fails at one that is neither "good" nor has a mask. All items are in the test
split, also those on photographs of train/good.

anomalib also pairs images with masks by their order alone, and `x_mask.png` sorts after
`x_1_mask.png`, although `x.png` sorts before `x_1.png`. If names of a type would do so, all items
are numbered.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from blemish.data.folder import GOOD
from blemish.synthesis.export.items import Content, ExportItem, Items, photographs

PLACE = {"train": "train", "val": "test"}


def mvtec(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """Files of the export."""
    given = _pairing(items.items)
    for item in photographs(given):
        yield f"{PLACE[item.split]}/{GOOD}/{item.file}", item.twin
    for item in given:
        yield f"ground_truth/{item.kind}/{item.name}_mask.png", item.mask
        if pairs:
            yield f"twin/{GOOD}/{item.file}", item.twin
        yield f"test/{item.kind}/{item.file}", item.image


def _pairing(items: Sequence[ExportItem]) -> Sequence[ExportItem]:
    """Items under names that sort in the same order as their masks."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        names[item.kind].append(item.name)
    if all(map(_pairs, names.values())):
        return items
    digits = len(str(len(items)))
    return [replace(k, name=f"{n:0{digits}d}_{k.name}") for n, k in enumerate(items, 1)]


def _pairs(names: Sequence[str]) -> bool:
    return sorted(names, key="{}.png".format) == sorted(names, key="{}_mask.png".format)
