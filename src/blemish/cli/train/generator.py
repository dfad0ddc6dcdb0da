"""`blemish train generator`."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import arg

from blemish.cli.options import Data, Flag
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import (
    CriticOption,
    Flat,
    Grown,
    Names,
    Run,
    choose_critic,
    choose_symmetries,
    show,
)
from blemish.errors import OptionError, OutputError

if TYPE_CHECKING:
    from blemish.data import DefectFolder


USUAL = "nut-64"
Preset = Annotated[str | None, arg(help_behavior_hint=f"(default: {USUAL})")]


def generator(
    data: Data,
    out: Path,
    preset: Preset = None,
    grow: Grown = None,
    symmetries: Names = None,
    critic: CriticOption = None,
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
    from blemish.training.generator import train_generator
    from blemish.training.grow import refuse_unlike
    from blemish.training.presets import find_preset

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
    work = partial(
        train_generator,
        photographs,
        chosen.shape,
        training,
        out=out,
        everything=everything,
        preset=mine["preset"],
        coarse=coarse,
    )
    done = f"{out} has a generator. Next: blemish train encoder {data} --bundle {out}"
    carry_out(work, run, mine, folder, "generator", data, "--out", out, done=done)


def refuse_removed_stages(args: Sequence[str]) -> None:
    """Refuse the stages `train defects DATA` and `train mapper DATA`, which are gone.

    Raises:
        OptionError: It is one of them; the message names what replaced them.
    """
    removed = args[:1] == ["train"] and args[1:2] in (["defects"], ["mapper"])
    if removed and len(args) > 2 and not args[2].startswith("-"):  # else a folder of that name
        raise OptionError(
            got=f"'blemish train {args[1]}', which this version no longer has",
            expected="'blemish train windows', which replaced it",
            todo=f"Run 'blemish train windows {args[2]} --bundle BUNDLE'.",
        )


def chosen_types(names: str | None, folder: "DefectFolder") -> tuple[str, ...]:
    """The named types of a folder, or all of them.

    Raises:
        OptionError: The folder has no such type.
    """
    from blemish.data.folder import known_types

    return known_types(folder, None if names is None else names.split(","))


def _refuse_other_bundle(out: Path) -> None:
    """Refuse to overwrite a bundle that was imported, or whose generator has a defect branch."""
    from blemish.checkpoint import Bundle
    from blemish.models.load import shape_of

    if not (out / "config.json").exists():
        return
    if not (out / "training" / "generator").is_dir():  # a run killed early has no state yet
        what = "a bundle that was not trained here"
    elif shape_of(Bundle(out)).defect is not None:
        what = "a bundle whose generator has a defect branch"
    else:
        return
    raise OutputError(
        got=f"{out}, {what}", expected="a new folder", todo="Choose another folder with --out."
    )
