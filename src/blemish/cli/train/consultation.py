"""`blemish train consultation`."""

from pathlib import Path
from typing import Annotated

from tyro.conf import arg

from blemish.cli.options import Data, Flag
from blemish.cli.train.beside import train_beside
from blemish.cli.training_options import BundleNames, Flat, Run
from blemish.names import ConsultTransform

USUAL: ConsultTransform = "gated"
Transform = Annotated[ConsultTransform | None, arg(help_behavior_hint=f"(default: {USUAL})")]


def consultation(
    data: Data,
    bundle: Path,
    transform: Transform = None,
    symmetries: BundleNames = None,
    everything: Flag = False,
    run: Flat = Run(),
) -> None:
    """Train the branch of a bundle that brings a photograph's detail back into its reconstruction.

    Args:
        data: Folder with photographs of good parts in train/good.
        bundle: Folder of a bundle with an encoder.
        transform: residual scales and shifts features (HFGI); gated adds a gated change of them,
            which depends on the edit (StyleRes).
        symmetries: Symmetries of the part: flip, flip-vertical, rotate, shift, scale, colour.
        everything: Learn from test/good as well.
        run: Options of the training run.
    """
    from blemish.inversion.consult import ConsultConfig
    from blemish.training.consultation import ConsultTraining, train_consultation

    train_beside(
        "consultation",
        data,
        bundle,
        run,
        ConsultTraining(),
        train_consultation,
        lambda mine: ConsultConfig(transform=mine["transform"] or USUAL),
        done="keeps the detail of photographs: --fidelity consult.",
        transform=transform,
        symmetries=symmetries,
        everything=everything,
    )
