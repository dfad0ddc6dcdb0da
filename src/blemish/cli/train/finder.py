"""`blemish train finder`."""

from functools import partial
from pathlib import Path

from blemish.cli.options import Data, Flag
from blemish.cli.progress import Progress
from blemish.cli.train.beside import train_beside
from blemish.cli.training_options import BundleNames, Flat, Run


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
        bundle: Folder of a bundle with windows.
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from all defects of a type, not from the first third by name, and from
            test/good.
        run: Options of the training run.
    """
    from blemish.models.finder import FinderConfig
    from blemish.training.finder import FinderTraining, train_finder

    usual, own = FinderTraining(), {"symmetries": symmetries, "everything": everything}
    done = "finds defects: blemish repair and invert --defect."
    with Progress("drawing defects", usual.pool) as drawn:
        train = partial(train_finder, on_made=drawn.part)
        train_beside(
            "finder", data, bundle, run, usual, train, lambda _: FinderConfig(), done=done, **own
        )
