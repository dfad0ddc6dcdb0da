"""`blemish batch`: a data set by recipe."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, carried_on, print_json
from blemish.errors import DataError
from blemish.files import alone
from blemish.names import Device

if TYPE_CHECKING:
    from blemish.synthesis.batch.batch import Batch
    from blemish.synthesis.batch.recipe import Recipe

RecipeFile = Annotated[Path, Positional, arg(metavar="RECIPE")]
ALL_CORES = "(default: all cores; 1 on CUDA)"


def batch(
    recipe: RecipeFile,
    out: Path,
    workers: Annotated[int | None, arg(help_behavior_hint=ALL_CORES)] = None,
    device: Device = "auto",
    keep_all: Flag = False,
    dry_run: Flag = False,
    json: Json = False,
) -> None:
    """Make a data set by a recipe, and carry it on where it was left.

    Args:
        recipe: TOML file that says how many of which defect, on which photographs, under which
            masks; examples/recipe.toml explains its keys.
        out: Folder of the data set.
        workers: Processes to make it in. They change nothing but the time.
        device: What to work on; auto takes CUDA where it is found.
        keep_all: Keep the pictures of items that are refused as well.
        dry_run: Check the recipe and print what it comes to; nothing is made.
        json: Print the figures of the set as JSON.
    """
    from blemish.devices import choose_device
    from blemish.synthesis.batch.batch import Batch
    from blemish.synthesis.batch.pool import refuse_workers, usual_workers
    from blemish.synthesis.batch.recipe import read_recipe

    found, on = read_recipe(recipe), choose_device(device)
    processes = usual_workers(on) if workers is None else workers
    refuse_workers(processes)
    found.check()
    if dry_run:
        print_json(_plan(found))
        return
    start = time.monotonic()
    with carried_on(), alone(out):
        begun = Batch(found, out, device=on, keep_all=keep_all)
        before = begun.done
        _make(begun, processes)
    figures = begun.finish()
    if json:
        print_json(figures)
    else:
        _tell(figures, out, made=len(begun) - before, took=time.monotonic() - start)
    if figures["failed"] == len(begun):
        raise _nothing(figures)


def _make(batch: "Batch", workers: int) -> None:
    with Progress("making", len(batch)) as progress:
        if batch.done < len(batch):
            progress.part(batch.done)
        for row in batch.make(workers=workers):
            progress.step(row["index"])


def _plan(recipe: "Recipe") -> dict[str, Any]:
    """What a recipe comes to."""
    groups = recipe.options()["group"]
    for group in groups:
        group["photographs"] = len(group["photographs"])
        group["masks"] = len(group["masks"])
    bundle = str(recipe.bundle.path)
    return {"items": len(recipe), "bundle": bundle, "seed": recipe.seed, "groups": groups}


def _tell(figures: dict[str, Any], out: Path, *, made: int, took: float) -> None:
    counts = ", ".join(f"{figures[name]} {name}" for name in ("kept", "refused", "failed"))
    pace = f"; {made} made now, {took / made:.1f} s each" if made else ""
    print(f"{figures['items']} items: {counts}{pace}.")
    for reason, count in figures["reasons"].items():
        print(f"  refused, {reason}: {count}")
    for failure in figures["failures"]:
        print(f"  failed, {failure['name']}: {failure['reason']}")
    print(
        f"{out / 'manifest.jsonl'} has a line for each; {out / 'contact_sheet.png'} shows the last."
    )


def _nothing(figures: dict[str, Any]) -> DataError:
    first = figures["failures"][0]
    return DataError(
        got=f"a recipe of which every item failed, the first with: {first['reason']}",
        expected="photographs and masks that can be used",
        todo="Correct it, and choose another folder with --out.",
    )
