"""`blemish train generator` and `train defects`: what a bundle draws."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from blemish.cli.options import Data, Flag
from blemish.cli.resuming import kept, recall, resumable, tell_ending
from blemish.cli.running import (
    AllNames,
    BundleNames,
    CriticKind,
    Flat,
    Grown,
    Names,
    Run,
    choose_critic,
    choose_symmetries,
    show,
    symmetries_of,
    trainable,
)
from blemish.errors import OptionError, OutputError

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.data import DefectFolder
    from blemish.generator.network import DefectConfig


USUAL = "nut-64"
Preset = Annotated[str | None, arg(help_behavior_hint=f"(default: {USUAL})")]


def generator(
    data: Data,
    out: Path,
    preset: Preset = None,
    grow: Grown = None,
    symmetries: Names = None,
    critic: CriticKind = None,
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
        critic: projected judges by pretrained features, residual learns its own from the
            photographs.
        everything: Learn from test/good as well; the bundle can't be tested on it then.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.grow import refuse_unlike
    from blemish.generator.presets import find_preset
    from blemish.generator.train import train_generator

    folder = out / "training" / "generator"
    run, mine = recall(
        run,
        folder,
        preset=preset,
        grow=grow,
        symmetries=symmetries,
        critic=critic,
        everything=everything,
    )
    mine["preset"] = mine["preset"] or USUAL
    grow, everything = mine["grow"], mine["everything"]
    chosen = find_preset(mine["preset"])
    training = replace(
        chosen.training,
        schedule=run.schedule(chosen.training.schedule),
        symmetries=choose_symmetries(mine["symmetries"], chosen.training.symmetries),
        critic=choose_critic(mine["critic"], chosen.training.critic),
    )
    photographs = DefectFolder(data)
    coarse = None if grow is None else find_bundle(grow)
    if coarse is not None:
        refuse_unlike(chosen.shape, coarse)
    if run.dry_run:
        about = {
            "preset": mine["preset"],
            "grow": grow,
            "shape": asdict(chosen.shape),
            "training": asdict(training),
        }
        return show(run, data=data, out=out, everything=everything, **about)
    _refuse_other_bundle(out)
    command = ("generator", data, "--out", out)
    with resumable(folder, *command):
        fabric = run.launch()
        ending = train_generator(
            photographs,
            chosen.shape,
            training,
            fabric,
            out,
            resume=run.resume,
            minutes=run.minutes,
            options=kept(run, mine),
            everything=everything,
            preset=mine["preset"],
            coarse=coarse,
        )
    done = f"{out} has its generator. Next: blemish train defects {data} --bundle {out}"
    tell_ending(fabric, ending, folder, *command, done=done)


def defects(
    data: Data,
    bundle: Path,
    grow: Grown = None,
    types: AllNames = None,
    symmetries: BundleNames = None,
    placements: Names = None,
    critic: CriticKind = None,
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
        critic: projected judges by pretrained features, residual learns its own from the
            photographs.
        everything: Learn from all defects of a type, not from the first third by name.
        run: How long, on what, and from where.
    """
    from blemish.checkpoint import find_bundle
    from blemish.data import DefectFolder
    from blemish.generator.defects import train_defects
    from blemish.generator.presets import preset_of
    from blemish.synthesis.curation.yardstick import learn_curation

    found = trainable(bundle)
    folder = found.path / "training" / "defects"
    run, mine = recall(
        run,
        folder,
        grow=grow,
        types=types,
        symmetries=symmetries,
        placements=placements,
        critic=critic,
        everything=everything,
    )
    grow, everything = mine["grow"], mine["everything"]
    preset = preset_of(found)
    photographs = DefectFolder(data)
    branch = replace(preset.branch, types=chosen_types(mine["types"], photographs))
    training = replace(
        preset.defects,
        schedule=run.schedule(preset.defects.schedule),
        symmetries=choose_symmetries(
            mine["symmetries"], symmetries_of(found) or preset.defects.symmetries
        ),
        placements=choose_symmetries(mine["placements"], preset.defects.placements),
        critic=choose_critic(mine["critic"], preset.defects.critic),
    )
    if run.dry_run:
        about = {"branch": asdict(branch), "training": asdict(training)}
        return show(run, data=data, bundle=bundle, grow=grow, everything=everything, **about)
    _refuse_other_branch(found, branch, run)
    coarse = None if grow is None else find_bundle(grow)
    command = ("defects", data, "--bundle", bundle)
    with resumable(folder, *command):
        fabric = run.launch()
        ending = train_defects(
            photographs,
            found,
            branch,
            training,
            fabric,
            resume=run.resume,
            minutes=run.minutes,
            options=kept(run, mine),
            third=not everything,
            coarse=coarse,
        )
        if fabric.is_global_zero:
            learn_curation(found, photographs, device=fabric.device.type, everything=everything)
    done = f"{bundle} has its defects: {', '.join(branch.types)}."
    tell_ending(fabric, ending, folder, *command, done=done)


def chosen_types(names: str | None, folder: "DefectFolder") -> tuple[str, ...]:
    """The named types of a folder, or all of them.

    Raises:
        OptionError: The folder has no such type.
    """
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
