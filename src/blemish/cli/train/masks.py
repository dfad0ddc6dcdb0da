"""`blemish train masks`."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from blemish.cli.options import Data, Flag
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import AllNames, Flat, Run, show


def masks(
    data: Data,
    bundle: Path,
    types: AllNames = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the mask generator of a bundle: masks like real ones, on any part.

    Args:
        data: A folder with photographs of good parts in train/good, defects in test/<type> and
            their masks in ground_truth/<type>.
        bundle: Folder of a bundle; it is made if it is missing.
        types: The defects to learn.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        run: How long, on what, and from where.
    """
    train_into(data, bundle, types, everything, run, command=("masks", data, "--bundle", bundle))


def train_into(
    data: Path,
    bundle: Path,
    types: str | None,
    everything: bool,
    run: Run,
    *,
    command: tuple[object, ...],
    flag: bool = True,
) -> None:
    """Train the mask generator of a bundle.

    Args:
        data: See `masks`.
        bundle: See `masks`.
        types: See `masks`.
        everything: See `masks`.
        run: See `masks`.
        command: Command that goes on with the training, without --resume.
        flag: The command needs --resume to go on.
    """
    from blemish.cli.train.generator import chosen_types
    from blemish.data import DefectFolder
    from blemish.models.mask_generator import MaskConfig
    from blemish.training.masks.train import MaskTraining, train_masks

    folder = bundle / "training" / "masks"
    run, mine = recall(run, folder, types=types, everything=everything)
    photographs, usual = DefectFolder(data), MaskTraining()
    config = MaskConfig(types=chosen_types(mine["types"], photographs))
    training = replace(usual, schedule=run.schedule(usual.schedule))
    if run.dry_run:
        about = {"types": config.types, "training": training}
        return show(run, data=data, bundle=bundle, everything=mine["everything"], **about)
    everything = mine["everything"]
    learns = {"first_third": not everything, "everything": everything}
    work = partial(train_masks, photographs, bundle, config, training, **learns)
    done = f"{bundle} draws masks of {', '.join(config.types)}: --mask-kind learned."
    carry_out(work, run, mine, folder, *command, done=done, flag=flag)
