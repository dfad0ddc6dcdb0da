"""`blemish batch`: a data set from a recipe, or one shard of it; `blemish gather` joins shards."""

import json
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import Positional, arg

from blemish.cli.options import Flag, Json
from blemish.cli.progress import Progress, carried_on, print_json
from blemish.errors import DataError, OptionError
from blemish.files import alone
from blemish.names import Device, Engine, StoreName

if TYPE_CHECKING:
    from blemish.synthesis.batch.batch import BatchFolder
    from blemish.synthesis.batch.recipe import Recipe
    from blemish.synthesis.batch.shard_run import ShardRun
    from blemish.synthesis.batch.shards import Shard

RecipeFile = Annotated[Path, Positional, arg(metavar="RECIPE")]
Made = Annotated[Path, Positional, arg(metavar="OUT")]
Share = Annotated[str | None, arg(metavar="K/N|auto", help_behavior_hint="(default: all items)")]
Address = Annotated[
    str | None, arg(metavar="ADDRESS", help_behavior_hint="(default: a cluster of this machine)")
]
ALL_CORES = "(default: all cores; 1 on CUDA)"


def batch(
    recipe: RecipeFile,
    out: Annotated[str, arg(metavar="PATH|URI")],
    workers: Annotated[int | None, arg(help_behavior_hint=ALL_CORES)] = None,
    device: Device = "auto",
    keep_all: Flag = False,
    store: StoreName = "folder",
    shard: Share = None,
    engine: Engine = "processes",
    address: Address = None,
    dry_run: Flag = False,
    as_json: Json = False,
) -> None:
    """Make a data set from a recipe; resume an interrupted one.

    Args:
        recipe: TOML file with the number of defects of each type, the photographs and the masks;
            examples/recipe.toml explains its keys.
        out: Folder of the data set; with --engine ray also s3://… or gs://….
        workers: Number of processes. It changes only the time. Ray uses all cores of its cluster.
        device: Device to compute on; auto uses CUDA if available.
        keep_all: Keep the images of refused items, too.
        store: How the pictures lie in the folder: a file each, or a thousand items in a tar archive
            (as WebDataset reads it) or in a Parquet file (as Hugging Face's datasets reads it;
            needs the extra 'parquet'). Their bytes are the same.
        shard: Make shard K of N, for 'blemish gather' to join. auto is the one of a SLURM array or
            of a Kubernetes Indexed Job (with JOB_COMPLETION_COUNT); auto/N reads an index from 0.
        engine: Processes of this machine, or a Ray cluster (needs the extra 'ray'), whose machines
            all see the recipe's files under the same paths. The result is the same.
        address: Address of the Ray cluster; auto finds the one that this machine belongs to.
        dry_run: Check the recipe and print its plan without making items.
        as_json: Print the figures of the set as JSON.
    """
    from blemish.devices import choose_device
    from blemish.synthesis.batch.pool import refuse_workers, usual_workers
    from blemish.synthesis.batch.recipe import read_recipe
    from blemish.synthesis.batch.shards import read_shard

    only = None if shard is None else read_shard(shard, os.environ)
    _refuse_mixed(out, engine, only=only, workers=workers, address=address)
    found, on = read_recipe(recipe), choose_device(device)
    processes = usual_workers(on) if workers is None else workers
    refuse_workers(processes)
    found.check()
    making = {"device": on, "keep_all": keep_all, "store": store}
    if dry_run:
        print_json(_plan(found, only))
    elif engine == "ray":
        _make_on_ray(found, out, making, address, as_json=as_json)
    elif only is not None:
        _make_shard(found, only, Path(out), processes, making, as_json=as_json)
    else:
        _make_here(found, Path(out), processes, making, as_json=as_json)


def gather(out: Made, as_json: Json = False) -> None:
    """Join the shards of a data set; the result is that of a run without shards, byte for byte.

    Args:
        out: Folder in which 'blemish batch --shard' has made all shards.
        as_json: Print the figures of the set as JSON.
    """
    from blemish.synthesis.batch.gather import gather as join
    from blemish.synthesis.batch.gather import kinds_of, refuse_missing

    refuse_missing(out)
    with carried_on(), alone(out), Progress("gathering", 1) as progress:
        figures = join(out, progress.part)
    _note(kinds_of(out))
    _show(figures, out, as_json=as_json)


def _make_here(
    recipe: "Recipe", out: Path, workers: int, making: dict[str, Any], *, as_json: bool
) -> None:
    from blemish.synthesis.batch.batch import BatchFolder

    start = time.monotonic()
    with carried_on(), alone(out):
        begun = BatchFolder(recipe, out, **making)
        before = begun.done
        _make(begun, workers)
        figures = begun.finish()
    took = time.monotonic() - start
    _show(figures, out, made=len(begun) - before, took=took, as_json=as_json)


def _make_on_ray(
    recipe: "Recipe", out: str, making: dict[str, Any], address: str | None, *, as_json: bool
) -> None:
    from blemish.synthesis.batch.cluster import make_on_cluster
    from blemish.synthesis.batch.places import DataPlace

    folder = DataPlace(out).folder
    lock = nullcontext() if folder is None else alone(folder)
    with carried_on(), lock, Progress("making", 1) as progress:
        figures = make_on_cluster(recipe, out, **making, address=address, on_progress=progress.part)
    _show(figures, out if folder is None else folder, as_json=as_json)


def _make_shard(
    recipe: "Recipe",
    shard: "Shard",
    out: Path,
    workers: int,
    making: dict[str, Any],
    *,
    as_json: bool,
) -> None:
    from blemish.synthesis.batch.shard_run import ShardRun, folder_of, is_gathered

    if is_gathered(recipe, shard, out, **making):
        print(f"{out} is gathered already: nothing is left to do for shard {shard}.")
        return
    start = time.monotonic()
    with carried_on(), alone(folder_of(out, shard)):
        begun = ShardRun(recipe, shard, out, **making)
        before = begun.done
        _make(begun, workers)
    figures = begun.figures()
    if as_json:
        print_json(figures)
        return
    _report(figures, made=len(begun) - before, took=time.monotonic() - start)
    print(f"This was shard {shard}; after the last one: blemish gather {out}")


def _make(batch: "BatchFolder | ShardRun", workers: int) -> None:
    with Progress("making", len(batch)) as progress:
        if batch.done < len(batch):
            progress.part(batch.done)
        for _ in batch.make(workers=workers):
            progress.part(batch.done)


def _plan(recipe: "Recipe", shard: "Shard | None") -> dict[str, Any]:
    """Size and contents of the set that a recipe describes; files are only counted."""
    groups = [
        {
            **group.record(),
            "photographs": len(group.photographs),
            "masks": len(group.mask_names),
        }
        for group in recipe.groups
    ]
    bundle = None if recipe.bundle is None else str(recipe.bundle.path)
    plain = json.loads(json.dumps(groups, default=str))
    known = {"items": len(recipe), "bundle": bundle, "seed": recipe.seed, "groups": plain}
    if shard is None:
        return known
    items = shard.items(recipe)
    return {**known, "shard": {"name": str(shard), "first": items.start, "items": len(items)}}


def _report(figures: dict[str, Any], *, made: int = 0, took: float = 0) -> None:
    counts = ", ".join(f"{figures[name]} {name}" for name in ("kept", "refused", "failed"))
    pace = f"; {made} made now, {took / made:.1f} s each" if made else ""
    print(f"{figures['items']} items: {counts}{pace}.")
    for reason, count in figures["reasons"].items():
        print(f"  refused, {reason}: {count}")
    for failure in figures["failures"]:
        print(f"  failed, {failure['name']}: {failure['reason']}")


def _note(kinds: dict[str, list[str]]) -> None:
    """Say that machines of several kinds have made a set, on stderr."""
    if not kinds:
        return
    print(
        "Note: machines of several kinds made these items. On another kind the last bits of an "
        "item may differ, so compare bytes only within one; machines.json has the items of each:",
        *(f"  {kind}" for kind in kinds),
        sep="\n",
        file=sys.stderr,
    )


def _show(
    figures: dict[str, Any], out: Path | str, *, as_json: bool, made: int = 0, took: float = 0
) -> None:
    """Print the figures of a finished set.

    Raises:
        DataError: All its items failed.
    """
    if as_json:
        print_json(figures)
    else:
        _report(figures, made=made, took=took)
        print(f"{out}/manifest.jsonl has one line each; {out}/contact_sheet.png shows the last.")
    if figures["failed"] == figures["items"]:
        raise _nothing(figures)


def _refuse_mixed(out: str, engine: Engine, *, only: object, **others: object) -> None:
    """Refuse options of one engine for the other."""
    given = "workers" if engine == "ray" else "address"
    wrong = [f"--{given} {others[given]}"] if others[given] is not None else []
    if engine == "ray" and only is not None:
        wrong.append(f"--shard {only}")
    if engine == "processes" and "://" in out:
        wrong.append(f"--out {out}")
    if wrong:
        raise OptionError(
            got=f"{' and '.join(wrong)} with --engine {engine}",
            expected="options of that engine",
            todo="Leave them out, or choose the other engine.",
        )


def _nothing(figures: dict[str, Any]) -> DataError:
    first = figures["failures"][0]
    return DataError(
        got=f"a recipe of which every item failed, the first with: {first['reason']}",
        expected="usable photographs and masks",
        todo="Correct the recipe, and choose another folder with --out.",
    )
