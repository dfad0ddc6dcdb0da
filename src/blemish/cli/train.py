"""`blemish train generator` and `train defects`: what a bundle draws."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from blemish.cli.options import Data, Flag
from blemish.cli.running import (
    AllNames,
    BundleNames,
    Flat,
    Grown,
    Names,
    Run,
    choose_symmetries,
    resumable,
    show,
    symmetries_of,
    tell,
    trainable,
)
from blemish.errors import OptionError, OutputError

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.data import DefectFolder
    from blemish.generator.network import DefectConfig


def generator(
    data: Data,
    out: Path,
    preset: str = "nut-64",
    grow: Grown = None,
    symmetries: Names = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train a generator of good parts, into a new bundle.

    Args:
        data: A folder with photographs of good parts in train/good.
        out: Folder of the bundle; it is made.
        preset: Shape and options that were found to work; an unknown name lists them.
        grow: A bundle of a coarser preset of the same widths to begin as.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from test/good as well; the bundle can't be tested on it then.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.grow import refuse_unlike
    from blemish.generator.presets import find_preset
    from blemish.generator.train import train_generator

    chosen = find_preset(preset)
    training = replace(
        chosen.training,
        schedule=run.schedule(chosen.training.schedule),
        symmetries=choose_symmetries(symmetries, chosen.training.symmetries),
    )
    folder = DefectFolder(data)
    coarse = None if grow is None else find_bundle(grow)
    if coarse is not None:
        refuse_unlike(chosen.shape, coarse)
    if run.dry_run:
        about = {
            "preset": preset,
            "grow": grow,
            "shape": asdict(chosen.shape),
            "training": asdict(training),
        }
        return show(run, data=data, out=out, everything=everything, **about)
    _refuse_other_bundle(out)
    with resumable():
        fabric = run.launch()
        train_generator(
            folder,
            chosen.shape,
            training,
            fabric,
            out,
            resume=run.resume,
            everything=everything,
            preset=preset,
            coarse=coarse,
        )
    tell(fabric, f"{out} has its generator. Next: blemish train defects {data} --bundle {out}")


def defects(
    data: Data,
    bundle: Path,
    grow: Grown = None,
    types: AllNames = None,
    symmetries: BundleNames = None,
    placements: Names = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the defect branch of a bundle that has a generator.

    Args:
        data: A folder with defects in test/<type> and their masks in ground_truth/<type>.
        bundle: Folder of the bundle, as 'blemish train generator' made it.
        grow: A coarser bundle whose defect branch to begin as.
        types: The defects to learn.
        symmetries: What leaves a part a part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: What leaves a defect a defect, by the same names.
        everything: Learn from all defects of a type, not from the first third by name.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.defects import train_defects
    from blemish.generator.presets import preset_of
    from blemish.synthesis.curation.yardstick import learn_curation

    found = trainable(bundle)
    preset = preset_of(found)
    folder = DefectFolder(data)
    branch = replace(preset.branch, types=_types(types, folder))
    training = replace(
        preset.defects,
        schedule=run.schedule(preset.defects.schedule),
        symmetries=choose_symmetries(symmetries, symmetries_of(found) or preset.defects.symmetries),
        placements=choose_symmetries(placements, preset.defects.placements),
    )
    if run.dry_run:
        about = {"branch": asdict(branch), "training": asdict(training)}
        return show(run, data=data, bundle=bundle, grow=grow, everything=everything, **about)
    _refuse_other_branch(found, branch, run)
    coarse = None if grow is None else find_bundle(grow)
    with resumable():
        fabric = run.launch()
        train_defects(
            folder,
            found,
            branch,
            training,
            fabric,
            resume=run.resume,
            third=not everything,
            coarse=coarse,
        )
        if fabric.is_global_zero:
            learn_curation(found, folder, device=fabric.device.type, everything=everything)
    tell(fabric, f"{bundle} has its defects: {', '.join(branch.types)}.")


def _types(names: str | None, folder: "DefectFolder") -> tuple[str, ...]:
    if names is None:
        return folder.types
    from blemish.data.names import normal

    chosen = tuple(dict.fromkeys(normal(name.strip()) for name in names.split(",")))
    unknown = ", ".join(sorted({*chosen} - {*folder.types}))
    if unknown:
        raise OptionError(
            got=f"--types {names}, of which {folder.root} has no {unknown}",
            expected=f"some of {', '.join(folder.types) or 'its types, of which there are none'}",
            todo="Correct --types, or leave it out to learn all.",
        )
    return chosen


def _refuse_other_bundle(out: Path) -> None:
    """A new generator would leave a stranger's bundle, or a defect branch, in pieces."""
    from blemish.checkpoint import Bundle
    from blemish.generator.restore import shape_of

    if not (out / "config.json").exists():
        return
    if not (out / "training" / "generator").is_dir():  # killed early, it has no state yet
        what = "a bundle that was not trained here"
    elif shape_of(Bundle(out)).defect is not None:
        what = "a bundle whose defect branch was trained on the generator that it has"
    else:
        return
    raise OutputError(
        got=f"{out}, {what}", expected="a new folder", todo="Choose another folder with --out."
    )


def _refuse_other_branch(bundle: "Bundle", branch: "DefectConfig", run: Run) -> None:
    from blemish.generator.restore import shape_of

    trained = shape_of(bundle).defect
    if run.resume and trained not in (None, branch):
        assert trained is not None
        raise OptionError(
            got=f"--resume with the types {', '.join(branch.types)}",
            expected=f"{', '.join(trained.types)}, as in {bundle.path}",
            todo="Use the same options, or begin anew in a copy of the bundle.",
        )
