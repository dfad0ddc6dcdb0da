"""`blemish train consultation`."""

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
from blemish.names import ConsultTransform

USUAL: ConsultTransform = "gated"


def consultation(
    data: Data,
    bundle: Path,
    transform: ConsultTransform | None = None,
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
    from blemish.cli.training_options import trainable
    from blemish.data import DefectFolder
    from blemish.inversion.consult import NETWORK, ConsultConfig
    from blemish.training.consultation import ConsultTraining, train_consultation
    from blemish.training.presets import preset_of

    found = trainable(bundle)
    state, usual = found.path / "training" / NETWORK, ConsultTraining()
    run, mine = recall(
        run, state, transform=transform, symmetries=symmetries, everything=everything
    )
    config = ConsultConfig(transform=mine["transform"] or USUAL)
    default = symmetries_of(found) or preset_of(found).training.symmetries
    chosen = choose_symmetries(mine["symmetries"], default)
    training = replace(usual, schedule=run.schedule(usual.schedule), symmetries=chosen)
    if run.dry_run:
        about = {"branch": config, "training": training, "everything": mine["everything"]}
        return show(run, data=data, bundle=bundle, **about)
    work = partial(
        train_consultation,
        DefectFolder(data),
        found,
        config,
        training,
        everything=mine["everything"],
    )
    done = f"{bundle} keeps the detail of photographs: --fidelity consult."
    carry_out(work, run, mine, state, "consultation", data, "--bundle", bundle, done=done)
