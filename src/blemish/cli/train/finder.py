"""`blemish train finder`."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from blemish.cli.options import Data, Flag
from blemish.cli.progress import Progress
from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import (
    BundleNames,
    Flat,
    Run,
    choose_symmetries,
    show,
    symmetries_of,
)


def finder(
    data: Data,
    bundle: Path,
    symmetries: BundleNames = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the network of a bundle that finds the defect of a photograph.

    It learns from defects that the bundle's windows draw, so their masks are exact.

    Args:
        data: Folder with photographs of good parts in train/good, defects in test/<type> and their
            masks in ground_truth/<type>.
        bundle: Folder of a bundle with a generator and windows.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        run: Options of the training run.
    """
    from blemish.cli.training_options import trainable
    from blemish.data import DefectFolder
    from blemish.models.finder import NETWORK, FinderConfig
    from blemish.training.finder import FinderTraining, train_finder
    from blemish.training.presets import preset_of

    found = trainable(bundle)
    state, usual, config = found.path / "training" / NETWORK, FinderTraining(), FinderConfig()
    run, mine = recall(run, state, symmetries=symmetries, everything=everything)
    default = symmetries_of(found) or preset_of(found).training.symmetries
    chosen = choose_symmetries(mine["symmetries"], default)
    training = replace(usual, schedule=run.schedule(usual.schedule), symmetries=chosen)
    if run.dry_run:
        about = {"network": config, "training": training, "everything": mine["everything"]}
        return show(run, data=data, bundle=bundle, **about)
    made = Progress("drawing defects", training.pool)
    work = partial(
        train_finder,
        DefectFolder(data),
        found,
        config,
        training,
        everything=mine["everything"],
        on_made=made.part,
    )
    done = f"{bundle} finds defects: blemish repair and invert --defect."
    with made:
        carry_out(work, run, mine, state, "finder", data, "--bundle", bundle, done=done)
