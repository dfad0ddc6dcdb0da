"""What the trainings of a further network beside a bundle's generator share."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blemish.cli.resuming import carry_out, recall
from blemish.cli.training_options import Run, choose_symmetries, show, symmetries_of, trainable

if TYPE_CHECKING:
    from blemish.checkpoint import Bundle
    from blemish.data.augment import Symmetries
    from blemish.training.stopping import Ending


def train_beside(
    verb: str,
    data: Path,
    bundle: Path,
    run: Run,
    usual: Any,
    train: "Callable[..., Ending]",
    shape: Callable[[Mapping[str, Any]], Any],
    *,
    done: str,
    **mine: Any,
) -> None:
    """Train a further network of a bundle.

    Args:
        verb: Name of the verb, of the network, and of the folder of its state.
        data: Folder of photographs.
        bundle: Folder of a bundle.
        run: Options of the training run.
        usual: Usual options of the training, with its symmetries.
        train: The training.
        shape: Shape of the network, by the verb's own options.
        done: What the bundle can do at the end.
        **mine: The verb's own options.
    """
    from blemish.data import DefectFolder

    found = trainable(bundle)
    state = found.path / "training" / verb
    run, mine = recall(run, state, **mine)
    chosen = choose_symmetries(mine["symmetries"], _usual_symmetries(found))
    training = replace(usual, schedule=run.schedule(usual.schedule), symmetries=chosen)
    network, everything = shape(mine), mine["everything"]
    if run.dry_run:
        about = {"network": network, "training": training, "everything": everything}
        return show(run, data=data, bundle=bundle, **about)
    work = partial(train, DefectFolder(data), found, network, training, everything=everything)
    carry_out(work, run, mine, state, verb, data, "--bundle", bundle, done=f"{bundle} {done}")


def _usual_symmetries(bundle: "Bundle") -> "Symmetries":
    """Symmetries of the generator's training; without one those of most parts."""
    from blemish.data.augment import Symmetries
    from blemish.training.presets import preset_of

    if bundle.has("generator"):
        return symmetries_of(bundle) or preset_of(bundle).training.symmetries
    return Symmetries(flip=True, flip_vertical=True, shift=True, scale=True, colour=True)
