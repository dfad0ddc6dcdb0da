"""`blemish data import`: photographs and annotations from other tools."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.options import Json
from blemish.cli.progress import Progress, print_json
from blemish.names import AnnotationChoice, BoxUse

if TYPE_CHECKING:
    from blemish.data.importing.importing import Imported, ProposalMethod

MOST_NAMED = 5
SPLITS = "A split of the source is not kept: trainings take the first third of each type by name."


def import_annotations(
    source: Annotated[Path, Positional, arg(metavar="SOURCE")],
    out: Path,
    format: AnnotationChoice = "auto",
    classes: Annotated[
        str | None, arg(metavar="NAME=TYPE,...", help_behavior_hint="(default: the names)")
    ] = None,
    boxes: BoxUse = "propose",
    bundle: Annotated[str | None, arg(help_behavior_hint="(default: none)")] = None,
    line_width: int = 3,
    levels: Annotated[int | None, arg(help_behavior_hint="(default: as the file says)")] = None,
    json: Json = False,
) -> None:
    """Turn annotations of other tools into photographs and masks in the layout of MVTec AD.

    Photographs without annotations become good parts.

    Args:
        source: Folder of photographs and annotations, or a file of annotations.
        out: A new or empty folder.
        format: COCO instances, LabelMe, CVAT for images 1.1, or YOLO; auto finds it.
        classes: Types for the classes of the source; several may have one type, and annotations of
            the type good are dropped.
        boxes: Masks for boxes: proposed inside them and recorded in proposed.json, or filled.
        bundle: Bundle with a finder of defects, which proposes the masks; without it, the box is
            compared with photographs of good parts and with its surroundings.
        line_width: Width of lines in pixels, for formats whose lines have none.
        levels: Highest level of the camera in 16-bit files, such as 4095 for 12 bits.
        json: Print a summary of the written files as JSON.
    """
    from blemish.data.importing.classes import parse_classes
    from blemish.data.importing.importing import import_annotations as write
    from blemish.reading import Reading, read_as

    named = None if classes is None else parse_classes(classes)
    with read_as(Reading(levels=levels)), Progress("importing", 1) as progress:
        done = write(
            source,
            out,
            format=format,
            classes=named,
            line_width=line_width,
            method=None if boxes == "fill" else _method(bundle),
            on_progress=progress.part,
        )
    if json:
        print_json({"out": str(out), **_found(done)})
    else:
        _print(done, out)


def _method(bundle: str | None) -> "ProposalMethod":
    if bundle is None:
        from blemish.data.importing.propose import BY_GOOD

        return BY_GOOD
    from blemish.checkpoint import load_bundle
    from blemish.editing.find import by_finder

    return by_finder(load_bundle(bundle))


def _found(done: "Imported") -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(done)


def _print(done: "Imported", out: Path) -> None:
    types = "".join(f", {kind} {count}" for kind, count in done.types.items())
    print(f"good {done.good}{types} in {out}, from annotations of {done.format}")
    if done.dropped:
        print(f"  annotations of good parts, dropped: {done.dropped}")
    if done.several:
        print(f"  photographs under each of several types: {_named(done.several)}")
    for name, labels in done.left_out.items():
        print(f"  left out, {name!r}: it shows {', '.join(labels)}, but not where")
    if done.proposed:
        print(f"  masks proposed inside boxes: {_named(done.proposed)}")
        print(f"  Look at them before a training; 'blemish data check {out}' lists them.")
    print(SPLITS, file=sys.stderr)


def _named(names: tuple[str, ...]) -> str:
    more = ", ..." if len(names) > MOST_NAMED else ""
    return f"{len(names)} ({', '.join(names[:MOST_NAMED])}{more})"
