"""`blemish export`: synthetic items in the formats of other tools."""

import sys
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, print_json
from blemish.names import ExportFormat

Made = Annotated[Path, Positional, arg(metavar="DIR")]
NUMBERED = ("coco", "yolo", "class-maps")
BUNDLES = "(default: the bundle's)"
NOT_PUSHED = "(default: stay here)"
NOT_GIVEN = "(default: found by its name)"


def export(
    made: Made,
    out: Path,
    format: ExportFormat,
    pairs: Flag = False,
    hold_out: float = 0,
    bundle: Annotated[str | None, arg(help_behavior_hint=NOT_GIVEN)] = None,
    classes: Annotated[str | None, arg(metavar="TYPE,...", help_behavior_hint=BUNDLES)] = None,
    include_doubtful: Flag = False,
    push: Annotated[str | None, arg(metavar="USER/SET", help_behavior_hint=NOT_PUSHED)] = None,
    private: Flag = False,
    json: Json = False,
) -> None:
    """Export synthetic items to other tools, with a data card.

    Args:
        made: Folder written by 'blemish synthesize' or 'batch'.
        out: A new or empty folder.
        format: MVTec AD layout for anomaly detectors; COCO or YOLO, with one object per mask
            region; an image folder for Hugging Face's datasets, with Croissant metadata; tasks with
            polygons for Label Studio; or maps of class numbers.
        pairs: Add the untouched photograph of each item under the same name.
        hold_out: Fraction of the photographs to hold out for tests, with all items on them.
        bundle: Folder or name of the bundle that made the items; the card states its licence.
        classes: Order in which coco, yolo and class-maps number the types; it may contain other
            types, too.
        include_doubtful: Export the items that curation refused, too, if their images were kept.
        push: Data set of the Hugging Face Hub to upload the folder to; it is created if missing.
        private: Make a new data set of the hub private.
        json: Print a summary of the written files as JSON.
    """
    from blemish.synthesis.export.export import LEFT_OUT
    from blemish.synthesis.export.export import export as write
    from blemish.synthesis.export.push import push_set, refuse_nameless

    refuse_nameless(push)
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
            on_progress=progress.part,
        )
    found = done.summary()
    pushed = {} if push is None else {"pushed": push_set(out, push, private=private)}
    if json:
        print_json({"out": str(out), **found, "files": done.files, **pushed})
    else:
        types = ", ".join(f"{kind} {count}" for kind, count in found["types"].items())
        print(f"{found['items']} items ({types}) on {found['photographs']} photographs in {out}")
        if found["held_out"]:
            print(f"  held out: {found['held_out']}")
        for outcome, why in LEFT_OUT.items():
            if found[outcome]:
                print(f"  left out, because {why}: {found[outcome]}")
        for name, why in done.items.unfit.items():
            print(f"  left out, {name!r}: {why}")
        print(f"  {out / 'README.md'} is the data card.")
        for address in pushed.values():
            print(f"  pushed to {address}")
    if done.by_name and format in NUMBERED:
        note = "The bundle is not available, so classes are in order of name; see --classes."
        print(note, file=sys.stderr)
