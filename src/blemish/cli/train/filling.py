"""`blemish train filling`."""

from pathlib import Path

from blemish.cli.options import Data, Flag
from blemish.cli.train.beside import train_beside
from blemish.cli.training_options import BundleNames, Flat, Run


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
    from blemish.models.filling import FillingConfig
    from blemish.training.filling import FillingTraining, train_filling

    train_beside(
        "filling",
        data,
        bundle,
        run,
        FillingTraining(),
        train_filling,
        lambda _: FillingConfig(),
        done="fills holes by codes: blemish fill --method codes.",
        symmetries=symmetries,
        everything=everything,
    )
