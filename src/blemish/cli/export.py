"""`blemish export`: made items in the layouts that others' tools read."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.names import ExportFormat

if TYPE_CHECKING:
    from blemish.synthesis.export.export import Exported

Made = Annotated[Path, Positional, arg(metavar="DIR")]
NUMBERED = ("coco", "yolo")
LEFT_OUT = {
    "unchanged": "nothing changed in them",
    "refused": "they were refused",
    "failed": "they could not be made",
}
BUNDLES = "(default: the bundle's)"
NOT_GIVEN = "(default: looked for under its name)"


def export(
    made: Made,
    out: Path,
    format: ExportFormat,
    pairs: Flag = False,
    hold_out: float = 0,
    bundle: Annotated[str | None, arg(help_behavior_hint=NOT_GIVEN)] = None,
    classes: Annotated[str | None, arg(metavar="TYPE,...", help_behavior_hint=BUNDLES)] = None,
    include_doubtful: Flag = False,
    json: Json = False,
) -> None:
    """Hand made items on to other tools, with a data card.

    Args:
        made: Folder that 'blemish synthesize' wrote.
        out: A new or empty folder.
        format: Layout of MVTec AD for anomaly detectors, COCO or YOLO with a piece of a mask as an
            object, or an image folder for Hugging Face's datasets.
        pairs: Add the untouched photograph of each item, under its name.
        hold_out: Share of the photographs to keep for testing, with all items on them.
        bundle: Folder or name of the bundle that made them, whose licence the card shall tell.
        classes: Order in which coco and yolo number the types; it may name types that are absent.
        include_doubtful: Export the items that curation refused too, if their pictures were kept.
        json: Print what was written as JSON.
    """
    from blemish.synthesis.export.export import export as write

    with Progress("exporting", 1) as progress:
        done = write(
            made,
            out,
            format,
            pairs=pairs,
            share=hold_out,
            bundle=bundle,
            classes=None if classes is None else [name.strip() for name in classes.split(",")],
            doubtful=include_doubtful,
            tell=progress.part,
        )
    found = _found(done)
    if json:
        print_json({"out": str(out), **found, "files": done.files})
    else:
        types = ", ".join(f"{kind} {count}" for kind, count in found["types"].items())
        print(f"{found['items']} items ({types}) on {found['photographs']} photographs in {out}")
        if found["held_out"]:
            print(f"  held out: {found['held_out']}")
        for outcome, why in LEFT_OUT.items():
            if found[outcome]:
                print(f"  left out, since {why}: {found[outcome]}")
        for name, why in done.items.unfit.items():
            print(f"  left out, {name!r}: {why}")
        print(f"  {out / 'README.md'} is the data card.")
    if done.by_name and format in NUMBERED:
        note = "The bundle is not at hand, so classes are numbered by name; --classes orders them."
        print(note, file=sys.stderr)


def _found(done: "Exported") -> dict[str, Any]:
    from collections import Counter

    items = done.items.items
    return {
        "items": len(items),
        "types": dict(sorted(Counter(item.kind for item in items).items())),
        "photographs": len({item.photograph for item in items}),
        "held_out": sum(item.split == "val" for item in items),
        **{outcome: getattr(done.items, outcome) for outcome in LEFT_OUT},
        "unfit": dict(done.items.unfit),
        "classes": list(done.items.classes),
    }
