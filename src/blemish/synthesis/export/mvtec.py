"""Folders as in MVTec AD, which anomaly detectors read.

train/good/<name>.png                 the photographs, each once
test/good/<name>.png                  those held out
test/<type>/<name>.png                the items
ground_truth/<type>/<name>_mask.png   their masks
twin/good/<name>.png                  with pairs: the photograph of each item

Every picture lies three deep, whatever it is: anomalib's MVTecAD takes all pictures below the
folder as split, type and name, and one that is neither "good" nor has a mask stops it. All items
are tested on, those on photographs of train/good too.

anomalib also pairs pictures with masks by their order alone, and `x_mask.png` comes behind
`x_1_mask.png`, though `x.png` comes before `x_1.png`. Where names of a type would do so, all items
are numbered.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from blemish.data.folder import GOOD
from blemish.synthesis.export.items import Content, Item, Items, photographs

PLACE = {"train": "train", "val": "test"}


def mvtec(items: Items, *, pairs: bool) -> Iterator[tuple[str, Content]]:
    """The files of the export."""
    given = _pairing(items.items)
    for item in photographs(given):
        yield f"{PLACE[item.split]}/{GOOD}/{item.file}", item.twin
    for item in given:
        yield f"ground_truth/{item.kind}/{item.name}_mask.png", item.mask
        if pairs:
            yield f"twin/{GOOD}/{item.file}", item.twin
        yield f"test/{item.kind}/{item.file}", item.image


def _pairing(items: Sequence[Item]) -> Sequence[Item]:
    """The items under names by which masks follow their pictures when sorted."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for item in items:
        names[item.kind].append(item.name)
    if all(map(_pairs, names.values())):
        return items
    digits = len(str(len(items)))
    return [replace(k, name=f"{n:0{digits}d}_{k.name}") for n, k in enumerate(items, 1)]


def _pairs(names: Sequence[str]) -> bool:
    return sorted(names, key="{}.png".format) == sorted(names, key="{}_mask.png".format)
