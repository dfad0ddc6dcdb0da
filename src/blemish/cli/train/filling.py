"""`blemish train filling`."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from blemish.cli.options import Data, Flag
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import (
    BundleNames,
    Flat,
    Run,
    choose_symmetries,
    show,
    symmetries_of,
)


def filling(
    data: Data,
    bundle: Path,
    symmetries: BundleNames = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the network of a bundle that fills holes by codes, which can be edited afterwards.

    Args:
        data: Folder with photographs of good parts in train/good.
        bundle: Folder of a bundle with an encoder.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from test/good as well.
        run: Options of the training run.
    """
    from blemish.cli.training_options import trainable
    from blemish.data import DefectFolder
    from blemish.models.filling import NETWORK, FillingConfig
    from blemish.training.filling import FillingTraining, train_filling
    from blemish.training.presets import preset_of

    found = trainable(bundle)
    state, usual, config = found.path / "training" / NETWORK, FillingTraining(), FillingConfig()
    run, mine = recall(run, state, symmetries=symmetries, everything=everything)
    default = symmetries_of(found) or preset_of(found).training.symmetries
    chosen = choose_symmetries(mine["symmetries"], default)
    training = replace(usual, schedule=run.schedule(usual.schedule), symmetries=chosen)
    if run.dry_run:
        about = {"network": config, "training": training, "everything": mine["everything"]}
        return show(run, data=data, bundle=bundle, **about)
    work = partial(
        train_filling,
        DefectFolder(data),
        found,
        config,
        training,
        everything=mine["everything"],
    )
    done = f"{bundle} fills holes by codes: blemish fill --method codes."
    carry_out(work, run, mine, state, "filling", data, "--bundle", bundle, done=done)
