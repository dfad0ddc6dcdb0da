"""`blemish train generator` and `train defects`: training of the networks that generate."""

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
    """Train a generator of good parts, in a new bundle.

    Args:
        data: Folder with photographs of good parts in train/good.
        out: Folder for the new bundle.
        preset: Preset of network shape and training options; an unknown name lists all presets.
        grow: Bundle of a coarser preset with the same widths to start from.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        critic: projected judges by pretrained features, residual learns its own from the
            photographs.
        everything: Train on test/good as well; it is then no longer available for tests.
        run: Options of the training run.
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
    done = f"{out} has a generator. Next: blemish train defects {data} --bundle {out}"
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
        data: Folder with defects in test/<type> and their masks in ground_truth/<type>.
        bundle: Folder of a bundle from 'blemish train generator'.
        grow: Coarser bundle whose defect branch to start from.
        types: Defect types to learn.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        placements: Symmetries of a defect, by the same names.
        critic: projected judges by pretrained features, residual learns its own from the
            photographs.
        everything: Train on all defects of a type instead of the first third by name.
        run: Options of the training run.
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
    done = f"{bundle} has a defect branch for {', '.join(branch.types)}."
    tell_ending(fabric, ending, folder, *command, done=done)


def chosen_types(names: str | None, folder: "DefectFolder") -> tuple[str, ...]:
    """The named types of a folder, or all of them.

    Raises:
        OptionError: The folder has no such type.
    """
    from blemish.data.folder import known_types

    return known_types(folder, None if names is None else names.split(","))


def _refuse_other_bundle(out: Path) -> None:
    """Refuse to overwrite an imported bundle, or a generator that a defect branch depends on."""
    from blemish.checkpoint import Bundle
    from blemish.generator.restore import shape_of

    if not (out / "config.json").exists():
        return
    if not (out / "training" / "generator").is_dir():  # a run killed early has no state yet
        what = "a bundle that was not trained here"
    elif shape_of(Bundle(out)).defect is not None:
        what = "a bundle whose defect branch depends on its present generator"
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
            todo="Use the same options, or start over in a copy of the bundle.",
        )
