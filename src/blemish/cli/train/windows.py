"""`blemish train windows`, and `blemish train DATA --out BUNDLE`, which needs no other option."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli.options import Data, Flag
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import AllNames, Flat, Logger, Run, Threads, report, show

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from blemish.checkpoint import Bundle
    from blemish.data import DefectFolder
    from blemish.models.window_generator import WindowConfig
    from blemish.training.stopping import Ending
    from blemish.training.windows.train import WindowTraining
    from blemish.windows.sources import Sources


def windows(
    data: Data,
    bundle: Path,
    types: AllNames = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the window generator of a bundle: defects on photographs, at their own scale.

    Args:
        data: A folder with photographs of good parts in train/good, defects in test/<type> and
            their masks in ground_truth/<type>.
        bundle: Folder of a bundle; it is made if it is missing.
        types: The defects to learn.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        run: How long, on what, and from where.
    """
    _train(data, bundle, types, everything, run, command=("windows", data, "--bundle", bundle))


def whole(
    data: Data,
    out: Path,
    minutes: float = 60,
    types: AllNames = None,
    everything: Flag = False,
    seed: int = 0,
    threads: Threads = None,
    log: Logger = None,
    dry_run: Flag = False,
) -> None:
    """Train all that `blemish synthesize` needs, masks and windows, within a time limit.

    What the folder holds is looked at first, and a plan is printed. The same command carries on a
    training that was interrupted, and one whose time is up. At the end the snapshot whose defects
    look most real is kept.

    Args:
        data: A folder with photographs of good parts in train/good, defects in test/<type> and
            their masks in ground_truth/<type>.
        out: Folder of the bundle; it is made.
        minutes: Time limit. An hour on two cores gives defects that are worth a look.
        types: The defects to learn.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        seed: Random seed.
        threads: CPU threads.
        log: Logger of the figures beside stats.jsonl; each needs the extra of its name.
        dry_run: Print the plan, and do nothing.
    """
    from blemish.api.training import minutes_of_masks
    from blemish.cli.train.masks import train_into
    from blemish.devices import usual_precision
    from blemish.training.loop import STATE

    share = minutes_of_masks(minutes)
    command = (data, "--out", out)

    def run(stage: str, minutes: float) -> Run:
        begun = (out / "training" / stage / STATE).exists()
        return Run(
            minutes=minutes,
            seed=None if begun else seed,
            precision=usual_precision(),
            threads=threads,
            log=log,
            resume=begun,
            dry_run=dry_run,
        )

    if not dry_run:
        train_into(data, out, types, everything, run("masks", share), command=command, flag=False)
    windows = run("windows", minutes - share)
    _train(data, out, types, everything, windows, command=command, plan=True)


def _train(
    data: Path,
    out: Path,
    types: str | None,
    everything: bool,
    run: Run,
    *,
    command: tuple[object, ...],
    plan: bool = False,
) -> None:
    from blemish.checkpoint import Bundle
    from blemish.cli.train.generator import chosen_types
    from blemish.data import DefectFolder
    from blemish.models.window_generator import GOOD, WindowConfig
    from blemish.training.windows.train import WindowTraining, train_windows
    from blemish.windows.sources import read_sources

    folder = out / "training" / "windows"
    run, mine = recall(run, folder, types=types, everything=everything)
    photographs = DefectFolder(data)
    config = WindowConfig(types=(*chosen_types(mine["types"], photographs), GOOD))
    usual = WindowTraining()
    training = replace(usual, schedule=run.schedule(usual.schedule))
    if run.dry_run and not plan:
        about = {"types": config.types, "training": training}
        return show(run, data=data, bundle=out, everything=mine["everything"], **about)
    everything, kinds = mine["everything"], config.types[:-1]
    learns = {"first_third": not everything, "everything": everything}
    sources = read_sources(photographs, kinds, **learns)
    if run.dry_run:
        return _print_plan(sources, config, training, run.launch(), run)

    def work(fabric: "Fabric", **run_options: Any) -> "Ending":
        if plan:
            _print_plan(sources, config, training, fabric, run)
        known = {"sources": sources, **learns, **run_options}
        ending = train_windows(photographs, out, config, training, fabric, **known)
        if fabric.is_global_zero:
            _keep_most_real(Bundle(out), sources)
            _learn_bounds(Bundle(out), photographs, kinds, everything)
        report(fabric, f"{out} draws {', '.join(kinds)}. Next: blemish synthesize --bundle {out}")
        return ending

    done = "The training is finished."
    carry_out(work, run, mine, folder, *command, done=done, flag=not plan)


def _print_plan(
    sources: "Sources",
    config: "WindowConfig",
    training: "WindowTraining",
    fabric: "Fabric",
    run: Run,
) -> None:
    if not fabric.is_global_zero:
        return
    from blemish.training.windows.plan import images_per_second, plan_lines
    from blemish.training.windows.train import WindowStage

    speed = images_per_second(WindowStage(config, training, sources, fabric))
    for line in plan_lines(sources, speed, run.minutes or 0):
        report(fabric, line)


def _learn_bounds(
    bundle: "Bundle", data: "DefectFolder", types: tuple[str, ...], everything: bool
) -> None:
    """Learn the bounds of curation; a photograph without its mask is no reason to fail now."""
    from blemish.errors import DataError
    from blemish.synthesis.curation.defect_stats import learn_curation

    try:
        learn_curation(bundle, data, types, everything=everything)
    except DataError as error:
        print(f"Items will not be judged: {error}")


def _keep_most_real(bundle: "Bundle", sources: "Sources") -> None:
    """Choose among the last snapshots, if the network that judges is at hand."""
    from blemish.cli.progress import Progress
    from blemish.errors import BundleError
    from blemish.evaluation.windows import choose_snapshot

    try:
        with Progress("choosing a snapshot", 1) as progress:
            best = choose_snapshot(bundle, sources, on_progress=progress.say)
    except BundleError:
        print("The last snapshot is kept: SqueezeNet's weights, which judge them, are not found.")
        return
    if best is not None:
        print(f"Kept {best.file.stem}: kernel distance {best.distance:.1f} to real close-ups.")
